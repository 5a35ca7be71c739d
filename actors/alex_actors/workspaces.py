"""Removes the workspaces of sessions that are deleted, on a thread of its own."""

from __future__ import annotations

import os
import shutil
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from alex_actors.store.reader import StoreReader


class WorkspaceRemover:
    """Removes one workspace after the other. What it does not get to before the process ends waits for ``sweep``.

    ``directory`` has the workspaces, each named by the key of its session.
    """

    def __init__(self, *, directory: Path, log: FilteringBoundLogger) -> None:
        self._directory = directory
        self._log = log
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="workspaces", daemon=True)
        self._thread.start()

    def discard(self, session_key: int) -> None:
        """Remove the workspace of a session that is gone, if it has one."""
        self._jobs.put(lambda: self._remove(session_key))

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
            try:
                if path.is_symlink():
                    path.unlink()
                else:
                    shutil.rmtree(path)
            except PermissionError:  # a tool took a directory's permissions away
                _make_removable(path)
                shutil.rmtree(path)
        except FileNotFoundError:
            pass
        except (OSError, RecursionError) as error:  # the latter: a tool made a tree of a thousand levels
            self._log.error("workspace.not_removed", path=str(path), error=str(error))


def _make_removable(path: Path) -> None:
    """Give back the permissions on all directories of a tree; through no link."""
    path.chmod(0o700)
    for parent, names, _ in os.walk(path):
        for name in names:
            directory = os.path.join(parent, name)  # noqa: PTH118 - as os.walk has it
            if not os.path.islink(directory):  # noqa: PTH114 - as above
                os.chmod(directory, 0o700)  # noqa: PTH101 - as above; the owner's alone
