"""The data directory: what is where in it, and that one server uses it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

_REMEDIES = {
    errno.ENOSPC: "Free some space on its disk",
    errno.EDQUOT: "Free some space on its disk",
    errno.EROFS: "Have its file system mounted for writing",
}


class DirectoryError(Exception):
    """The data directory cannot be used; the text says why, and what to do."""


def make_directory(path: Path) -> None:
    """Make a data directory, for this user alone, unless it is there. Raises DirectoryError.

    One that is made is there after a power cut: SQLite sees to the names in it, but not to its own.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for one in missing:
            _sync(one.parent)
    except OSError as error:
        raise _unusable(path, error) from error


def tokens_file(path: Path) -> Path:
    """Return where the tokens of a data directory are, whoever uses it."""
    return path / "tokens.json"


def log_file_of(path: Path) -> Path:
    """Return where the log of a data directory is, whoever reads it."""
    return path / "logs" / "alex.jsonl"


def _sync(directory: Path) -> None:
    with contextlib.suppress(OSError):  # it may be one that this user may not read
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remedy(error: OSError) -> str:
    """Return what to do about a file or a directory that cannot be written: the beginning of a sentence."""
    return _REMEDIES.get(error.errno or 0, "Give this user write access to it")


def _unusable(path: Path, error: OSError) -> DirectoryError:
    return DirectoryError(
        f"The data directory {path} cannot be used ({error.strerror}). "
        f"{remedy(error)}, or choose another with --data-dir."
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
        with contextlib.suppress(OSError):  # the disk is full: the lock holds, it does not say whose it is
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode("ascii"), 0)
        self._check_not_bereft()

    def _check_not_bereft(self) -> None:
        """Refuse a directory whose database is gone: a new one would know of nothing that was there."""
        if self.database.is_file() and self.database.stat().st_size > 0:
            self.note_database()
            return
        with os.scandir(self.workspaces) as found:
            workspaces = sum(1 for _ in found)
        if workspaces or self._mark.exists():
            self.release()
            there = (
                f"there are workspaces of its sessions in {self.workspaces}"
                if workspaces
                else f"{self._mark.name} says that there was one"
            )
            raise DirectoryError(
                f"The database {self.database} is missing or empty, but {there}. Move it back, or restore a "
                f"backup. To begin anew, move the workspaces and {self._mark} away, or choose another directory "
                "with --data-dir."
            )

    def note_database(self) -> None:
        """Note that there is a database: should it go, no start makes another. Once it is made, and at each start.

        A file of its own, because that is what outlives a power cut; tokens are no sign, they are made before.
        """
        with contextlib.suppress(OSError):  # the disk is full: it is noted at the next start
            self._mark.touch(mode=0o600)
            _sync(self.path)

    @property
    def _mark(self) -> Path:
        return self.path / "database-made"

    @property
    def database(self) -> Path:
        """Where the database is."""
        return self.path / "alex.sqlite3"

    @property
    def log_file(self) -> Path:
        """Where the log is written."""
        return log_file_of(self.path)

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
