"""The database's files: whether they are still those that were opened, and what is wrong with them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

LOG, INDEX = "-wal", "-shm"
"""What SQLite keeps beside a database while it is open: what was committed last, and where that is."""

ALMOST_NOTHING = 1024 * 1024
"""Bytes left on a file system below which an I/O error is put down to that: SQLite needs a few pages at once."""


class OpenedFiles:
    """The files of a database as they were when it was opened.

    SQLite looks at their names once. When one of them is moved away, deleted or replaced, it goes on with the
    file that has lost its name, and says nothing: what is committed then is gone with the process. And whoever
    opens the database meanwhile gets other files, so that the two damage each other's.
    """

    def __init__(self, path: Path) -> None:
        """Remember the files that are there: the database has been opened, and read or written once."""
        real = path.resolve()  # SQLite, too, keeps the others beside the file that a link leads to
        names = (str(path.absolute()), f"{real}{LOG}", f"{real}{INDEX}")
        self._opened = tuple((name, found) for name in names if (found := _identity(name)) is not None)

    def changed(self) -> str | None:
        """Return which is gone or is another one, and what to do; None if none is. Takes 6 microseconds."""
        for name, opened in self._opened:
            found = _identity(name)
            if found != opened:
                return _what_changed(Path(name).name, found)
        return None


def _identity(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)  # noqa: PTH116 - a Path takes half as long again, and this is done for every commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _what_changed(name: str, found: tuple[int, int] | None) -> str:
    if found is None:
        return (
            f"{name} is not where it was when the server opened it: it was moved or deleted. Move it back; if it "
            "is gone, stop the server and restore a backup."
        )
    return (
        f"{name} is not the file that the server opened: it was replaced. Put the first one back, or start the "
        "server again to go on with this one."
    )


def vanished(path: Path) -> str | None:
    """Return what is wrong if the database is gone and what belongs to it is there; None if all is well.

    SQLite would make a new one, and throw away the log of the other, which has what was committed last.
    """
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to {os.readlink(path)}, which is not there. Put it back, or remove the link."  # noqa: PTH115 - as it is written
    log = Path(f"{path.resolve()}{LOG}")
    if _size(path) == 0 and _size(log) > 0 and log.is_file():
        return (
            f"{path} is missing or empty, but {log.name}, which has what was committed to it last, is there. Move "
            f"the database back, or restore a backup; to do without, remove {log.name}."
        )
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def advice(code: int | None, path: Path) -> str | None:
    """Return what to do about an error of the operating system with this ``errno`` on a path; None if unknown."""
    match code:
        case errno.ENOSPC | errno.EDQUOT:
            return f"{path} cannot be written: the disk is full. Free some space, or choose another --data-dir."
        case errno.EROFS:
            return (
                f"{path} cannot be written: it is on a read-only file system. Have that mounted for writing, or "
                "choose another --data-dir."
            )
        case errno.EACCES | errno.EPERM:
            return f"{path} cannot be written. Give this user write access to it, or choose another --data-dir."
        case errno.EISDIR:
            return f"{path} is a directory, and has to be a file. Move it away, or choose another --data-dir."
        case errno.EIO:
            return (
                f"{path} cannot be used: the disk reports an error. See the system's log for it; restore a backup "
                "on another disk, and choose that with --data-dir."
            )
        case _:
            return None


def trouble_with(path: Path) -> str | None:
    """Return what keeps the database's files from being opened or written, as far as it can be seen; else None.

    SQLite says no more than that it could not.
    """
    for file in (path, Path(f"{path.resolve()}{LOG}"), Path(f"{path.resolve()}{INDEX}")):
        if file.is_dir():
            return advice(errno.EISDIR, file)
        if os.path.lexists(file) and not file.is_file():
            return f"{file} is no file. Move it away, or choose another --data-dir."
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError:
            continue
        except OSError as error:
            return advice(error.errno, file)
    if shutil.disk_usage(path.parent).free < ALMOST_NOTHING:
        return advice(errno.ENOSPC, path)
    if not os.access(path.parent, os.W_OK):
        return advice(errno.EACCES, path)
    return None
