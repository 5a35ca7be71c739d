"""Which cores this process runs on, and its children.

Threads of one Python process take turns anyhow. On several cores each turn is handed from one core to another,
which costs more than what is handed over: a process on one core answers more requests, and leaves the others to
what it starts.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cores:
    """The cores that the process was given, and the one that it keeps to, if it does."""

    def __init__(self, *, one: bool) -> None:
        """With ``one``, keep to one core from now on, where the system knows how (Linux).

        For the main thread, before there are others: they take over what it has.
        """
        self._given: set[int] = set()
        self._kept: set[int] = set()
        if one and hasattr(os, "sched_setaffinity"):
            self._given = os.sched_getaffinity(0)
            # Not always the first: other servers on the machine would all keep to it.
            kept = {random.choice(sorted(self._given))}  # noqa: S311 - no secret
            with suppress(OSError):  # a sandbox may forbid it
                os.sched_setaffinity(0, kept)
                self._kept = kept

    @contextmanager
    def for_children(self) -> Iterator[None]:
        """Have what the calling thread starts within the block run on all cores that the process was given.

        Each thread has its own cores, and gives them to what it starts. Coroutines of one thread may be in such
        blocks at the same time: what starts a process does so before it first waits.
        """
        if not self._kept:
            yield
            return
        os.sched_setaffinity(0, self._given)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self._kept)  # not what the thread had: another's block may go on
