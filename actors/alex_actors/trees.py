"""Copies directories with their files: through no link, within limits, and with the holes of sparse files."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that takes a file's place must not hang.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

CHUNK = 1024 * 1024
"""Bytes that are copied at once."""

MOST_NAMED = 20
"""Things left out that are remembered by name."""

NOT_OPENED = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENODEV)
"""Why a file is left out: it may not be read, or is a link or no file any more."""

_VANISHED = (FileNotFoundError, NotADirectoryError)


class TreeTooLarge(Exception):
    """There is more to copy than is allowed."""


class TreeCopy:
    """Copies trees that others may change meanwhile: what goes away, or becomes a link, is not copied.

    Every name is opened relative to its directory and never through a symbolic link, so that nothing from outside
    is copied. A file with several names becomes several files. Sockets, pipes and devices are left out, and so is
    what may not be read. Directories keep their permissions, but their owner can always use the copies.
    """

    def __init__(
        self, *, links: bool, most_bytes: int | None = None, most_entries: int | None = None, sync: bool = False
    ) -> None:
        """``links``: whether symbolic links are copied, as links; ``sync``: whether all is on the disk then.

        The limits are for all trees together: bytes of content, and files and directories.
        """
        self._links = links
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self._sync = sync
        self.files = 0
        self.bytes = 0
        self.left_out: list[str] = []
        """The first of what was left out, as paths that begin with the tree's name."""
        self.left_out_count = 0
        self._entries = 0
        self._tree = ""

    def copy(self, source: Path, target: Path) -> None:
        """Make ``target`` a copy of the directory ``source``. Nothing is made if there is no such directory.

        Raises TreeTooLarge, OSError if it cannot be written or read, FileExistsError if the target is there.
        What was copied until then stays.
        """
        if not stat.S_ISDIR(_mode_of(source)):  # a link least of all
            return
        target.mkdir(mode=0o700)
        self._tree = source.name
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            try:
                with _directory(source, parts) as there:
                    names = sorted(os.listdir(there))  # noqa: PTH208 - a descriptor
                    with _directory(target, parts) as here:
                        below = [(*parts, name) for name in names if self._entry(name, parts, there, here)]
                        os.fchmod(here, stat.S_IMODE(os.fstat(there).st_mode) & 0o777 | 0o700)
                        self._flush(here)
            except _VANISHED:
                continue
            except OSError as error:
                if error.errno not in NOT_OPENED:
                    raise
                self._leave_out(parts)
                continue
            waiting += reversed(below)

    def _entry(self, name: str, parts: tuple[str, ...], there: int, here: int) -> bool:
        """Copy what has a name; return whether it is a directory, whose content is to be copied yet."""
        try:
            mode = os.stat(name, dir_fd=there, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                self._count_entry()
                os.mkdir(name, 0o700, dir_fd=here)
                return True
            if stat.S_ISREG(mode) and self._file(name, there, here):
                return False
            if stat.S_ISLNK(mode) and self._links:
                self._count_entry()
                os.symlink(os.readlink(name, dir_fd=there), name, dir_fd=here)
                return False
        except FileNotFoundError:
            return False
        self._leave_out((*parts, name))
        return False

    def _file(self, name: str, there: int, here: int) -> bool:
        """Copy a file; return whether it was one that can be read."""
        try:
            source = os.open(name, _OPEN_FILE, dir_fd=there)
        except OSError as error:
            if error.errno in NOT_OPENED:
                return False
            raise
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode):
                return False
            self._count_entry()
            target = os.open(name, _CREATE_FILE, 0o600, dir_fd=here)
            try:
                self._content(source, target, found.st_size)
                os.ftruncate(target, found.st_size)
                os.fchmod(target, stat.S_IMODE(found.st_mode) & 0o777)
                os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
                self._flush(target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        self.files += 1
        return True

    def _content(self, source: int, target: int, size: int) -> None:
        """Copy what a file had when it was opened, less its holes: a sparse file may be larger than the disk."""
        at = 0
        while at < size:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    return
                raise
            end = min(os.lseek(source, at, os.SEEK_HOLE), size)
            while at < end:
                data = os.pread(source, min(CHUNK, end - at), at)
                if not data:  # it was made shorter meanwhile
                    return
                written = os.pwrite(target, data, at)
                at += written
                self.bytes += written
                if self._most_bytes is not None and self.bytes > self._most_bytes:
                    raise TreeTooLarge

    def _count_entry(self) -> None:
        self._entries += 1
        if self._most_entries is not None and self._entries > self._most_entries:
            raise TreeTooLarge

    def _flush(self, descriptor: int) -> None:
        if self._sync:
            os.fsync(descriptor)

    def _leave_out(self, parts: tuple[str, ...]) -> None:
        self.left_out_count += 1
        if len(self.left_out) < MOST_NAMED:
            self.left_out.append("/".join((self._tree, *parts)))


def _mode_of(path: Path) -> int:
    with suppress(*_VANISHED):
        return path.lstat().st_mode
    return 0


@contextmanager
def _directory(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open a directory below a root, one name at a time. Yields its descriptor.

    From the root each time: a tree may be deeper than files can be open.
    """
    descriptor = os.open(root, _OPEN_DIRECTORY)
    try:
        for part in parts:
            below = os.open(part, _OPEN_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)
