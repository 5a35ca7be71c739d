"""Copies the workspaces of sessions that are forked, and removes those of deleted ones, on a thread of its own."""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from alex_actors.tools.supervisor import DEEPEST
from alex_actors.trees import TreeCopy, remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from alex_actors.store.reader import StoreReader


class WorkspaceKeeper:
    """Copies and removes one workspace after the other.

    What it does not get to before the process ends waits for ``sweep``: it finds what was to be removed, and
    copies whose sessions were never recorded. ``directory`` has the workspaces, each named by the key of its
    session. A copy has at most so many bytes, and so many files and directories, as a workspace may have, and no
    more levels of directories than are counted in one.
    """

    def __init__(self, *, directory: Path, log: FilteringBoundLogger, most_bytes: int, most_entries: int) -> None:
        self._directory = directory
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self._log = log
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="workspaces", daemon=True)
        self._thread.start()

    def discard(self, session_key: int) -> None:
        """Remove the workspace of a session that is gone, if it has one."""
        self._jobs.put(lambda: self._remove(session_key))

    def copy(self, session_key: int, new_key: int, done: Callable[[Exception | None], None]) -> None:
        """Copy a workspace, if there is one, for a session that is yet to be recorded under a key of its own.

        Files and directories alone: symbolic links could lead out of the copy. ``done`` is called on this thread,
        with None, or with why there is no copy: TreeTooLarge, or what the system said.
        """
        self._jobs.put(lambda: self._copy(session_key, new_key, done))

    def sweep(self, reader: StoreReader) -> None:
        """Remove what a process left that ended too early: the workspaces of all sessions that are gone."""
        self._jobs.put(lambda: self._sweep(reader))

    def stop(self, *, timeout: float) -> bool:
        """Have the thread end when all is removed; return whether that was within ``timeout`` seconds."""
        self._jobs.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next workspace is to be removed
                self._log.error("workspaces.failed", exc_info=error)

    def _copy(self, session_key: int, new_key: int, done: Callable[[Exception | None], None]) -> None:
        trees = TreeCopy(
            links=False, most_bytes=self._most_bytes, most_entries=self._most_entries, most_levels=DEEPEST
        )
        try:
            trees.copy(self._directory / str(session_key), self._directory / str(new_key))
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits
            self._log.error("workspace.not_copied", path=str(self._directory / str(session_key)), error=str(error))
            self._remove(new_key)
            done(error)
        else:
            done(None)

    def _sweep(self, reader: StoreReader) -> None:
        names = [entry.name for entry in os.scandir(self._directory)]
        present = {int(name) for name in names if name.isascii() and name.isdecimal()}
        if not present:
            return
        try:
            # In this order: what is made meanwhile has a larger key. A key above the last is of another database.
            last, _ = reader.last_keys()
            there = reader.session_keys()
        except SQLAlchemyError as error:
            self._log.error("store.read_failed", error=str(error))
            return
        for session_key in sorted(present - there):
            if session_key <= last:
                self._remove(session_key)

    def _remove(self, session_key: int) -> None:
        path = self._directory / str(session_key)
        try:
            if path.is_symlink():
                path.unlink()
            else:
                remove_tree(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._log.error("workspace.not_removed", path=str(path), error=str(error))
