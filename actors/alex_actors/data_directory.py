"""The data directory: what is where in it, and that one server uses it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class DirectoryError(Exception):
    """The data directory cannot be used; the text says why, and what to do."""


def make_directory(path: Path) -> None:
    """Make a data directory, for this user alone, unless it is there. Raises DirectoryError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(path, error) from error


def tokens_file(path: Path) -> Path:
    """Return where the tokens of a data directory are, whoever uses it."""
    return path / "tokens.json"


def _unusable(path: Path, error: OSError) -> DirectoryError:
    return DirectoryError(
        f"The data directory {path} cannot be used ({error.strerror}). "
        "Give this user write access to it, or choose another with --data-dir."
    )


class DataDirectory:
    """A directory that this process alone uses, until ``release`` or the process' end, however it ends.

    The lock is ``flock``'s: the kernel frees it with the process, also after ``kill -9``, so that no stale
    file ever keeps a server from starting. Raises DirectoryError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_directory(path)
        try:
            for part in (self.workspaces, self.log_file.parent):
                part.mkdir(exist_ok=True, mode=0o700)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            msg = (
                f"Another server{f' (process {holder})' if holder else ''} uses the data directory {path}. "
                "Stop it, or choose another with --data-dir."
            )
            raise DirectoryError(msg) from error
        except OSError as error:
            os.close(self._lock)
            msg = (
                f"The data directory {path} cannot be locked ({error.strerror}). "
                "Choose one on a local file system with --data-dir."
            )
            raise DirectoryError(msg) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode("ascii"), 0)

    @property
    def database(self) -> Path:
        """Where the database is."""
        return self.path / "alex.sqlite3"

    @property
    def log_file(self) -> Path:
        """Where the log is written."""
        return self.path / "logs" / "alex.jsonl"

    @property
    def tokens(self) -> Path:
        """Where the tokens are."""
        return tokens_file(self.path)

    @property
    def workspaces(self) -> Path:
        """Where the sessions' workspaces are."""
        return self.path / "workspaces"

    def workspace(self, session_key: int) -> Path:
        """Return a session's workspace: named by its key, never by what a client called it."""
        return self.workspaces / str(session_key)

    def release(self) -> None:
        """Let another server use it."""
        os.close(self._lock)
