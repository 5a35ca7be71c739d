"""What a simulation can find: each is raised out of the run, with the trace that led to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from alex_actors.diagrams.trace import Trace, describe

LAST = 20
"""Messages that a report of a run without end shows."""


class Finding(AssertionError):
    """Something that must not be. Its text says what, in words."""

    def __init__(self, text: str, trace: Trace, *, failed: str = "") -> None:
        """With ``failed``, write that into the trace."""
        super().__init__(text)
        self.trace = trace
        if failed:
            trace.add("failed", "the run", failed)
        self.index = len(trace) - 1
        """The trace's last entry when it was found."""


class Violation(Finding):
    """Something that must always hold did not."""

    def __init__(self, invariant: str, text: str, trace: Trace, *, about: Collection[str] = ()) -> None:
        """Name the invariant in words, say in ``text`` what was seen instead, and name whom it is about."""
        found = f"{invariant}\n  {text}" if text else invariant
        super().__init__(found, trace, failed=f"{invariant} {text}".strip())
        self.invariant = invariant
        self.about = about


class Crash(Finding):
    """An actor that nobody supervises crashed."""

    def __init__(self, actor: str, error: BaseException, trace: Trace) -> None:
        super().__init__(f"{actor} crashed: {describe(error)}", trace)
        self.actor = actor


class Deadlock(Finding):
    """Nobody can go on, and nothing is due: whoever waits, waits for ever."""

    def __init__(self, waiting: Iterable[str], trace: Trace) -> None:
        text = "Deadlock: nothing can go on any more."
        super().__init__("\n  ".join((text, *waiting)), trace, failed=text)


class Livelock(Finding):
    """The run does not end."""

    def __init__(self, waiting: Iterable[str], trace: Trace) -> None:
        handled = [entry for entry in trace if entry.kind == "handled"][-LAST:]
        lines = (f"{entry.peer} -> {entry.who}: {describe(entry.what)}" for entry in handled)
        text = f"Livelock: still busy after {trace.step} steps."
        super().__init__("\n  ".join((text, *waiting, "The last messages:", *lines)), trace, failed=text)
