"""Copies and removes directories with all that is below them: through no link, and however deep it is."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that takes a file's place must not hang.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

CHUNK = 1024 * 1024
"""Bytes that are copied at once."""

MOST_NAMED = 20
"""Things left out that are remembered by name."""

MOST_OPEN = 50
"""Directories of a tree that are open at once: a tree may be deeper than files can be open."""

NOT_OPENED = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENODEV)
"""Why a file is left out: it may not be read, or is a link or no file any more."""

_VANISHED = (FileNotFoundError, NotADirectoryError)


class TreeTooLarge(Exception):
    """There is more to copy than is allowed, or it is nested too deeply."""


class TreeCopy:
    """Copies trees that others may change meanwhile: what goes away, or becomes a link, is not copied.

    Every name is opened relative to its directory and never through a symbolic link, so that nothing from outside
    is copied. A file with several names becomes several files. Sockets, pipes and devices are left out, and so is
    what may not be read. Directories keep their permissions, but their owner can always use the copies.
    """

    def __init__(
        self,
        *,
        links: bool,
        most_bytes: int | None = None,
        most_entries: int | None = None,
        most_levels: int | None = None,
        sync: bool = False,
    ) -> None:
        """``links``: whether symbolic links are copied, as links; ``sync``: whether all is on the disk then.

        The limits are for all trees together: bytes of content, and files and directories; and for each: levels of
        directories below it.
        """
        self._links = links
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self._most_levels = most_levels
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
        with _Descent(source) as there, _Descent(target) as here:
            waiting = [self._directory(there, here)]
            while waiting:
                if not waiting[-1]:
                    waiting.pop()
                    there.up()
                    here.up()
                    continue
                name = waiting[-1].pop()
                try:
                    there.down(name)
                except _VANISHED:
                    continue
                except OSError as error:
                    if error.errno not in NOT_OPENED:
                        raise
                    self._leave_out((*there.parts, name))
                    continue
                here.down(name)
                waiting.append(self._directory(there, here))

    def _directory(self, there: _Descent, here: _Descent) -> list[str]:
        """Copy what stands in a directory; return the names of the directories in it, the first one last."""
        parts, source, target = there.parts, there.descriptor(), here.descriptor()
        names = sorted(os.listdir(source))  # noqa: PTH208 - a descriptor
        below = [name for name in names if self._entry(name, parts, source, target)]
        os.fchmod(target, stat.S_IMODE(os.fstat(source).st_mode) & 0o777 | 0o700)
        self._flush(target)
        return below[::-1]

    def _entry(self, name: str, parts: tuple[str, ...], there: int, here: int) -> bool:
        """Copy what has a name; return whether it is a directory, whose content is to be copied yet."""
        try:
            mode = os.stat(name, dir_fd=there, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                self._count_entry()
                if self._most_levels is not None and len(parts) >= self._most_levels:
                    raise TreeTooLarge
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


class _Descent:
    """A directory in a tree, and the way to it: of the directories on it, the deepest are open.

    Those above are opened again from the root once they are needed, many at a time.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: list[str] = []
        self._open: deque[int] = deque()

    def __enter__(self) -> _Descent:
        self._open.append(os.open(self._root, _OPEN_DIRECTORY))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            os.close(self._open.pop())

    @property
    def parts(self) -> tuple[str, ...]:
        """The names that lead to the directory from the root on."""
        return tuple(self._names)

    def descriptor(self) -> int:
        """Return the directory, open. Raises OSError if it is not there any more."""
        if not self._open:
            try:
                self._append(os.open(self._root, _OPEN_DIRECTORY))
                for name in self._names:
                    self._append(os.open(name, _OPEN_DIRECTORY, dir_fd=self._open[-1]))
            except OSError:
                self.__exit__(None, None, None)
                raise
        return self._open[-1]

    def down(self, name: str) -> None:
        """Go to a directory in the directory. Raises OSError, and stays, if it cannot be opened."""
        self._append(os.open(name, _OPEN_DIRECTORY, dir_fd=self.descriptor()))
        self._names.append(name)

    def up(self) -> None:
        """Go to the directory that has this one. From the root, it leads to nothing."""
        if self._open:
            os.close(self._open.pop())
        if self._names:
            self._names.pop()

    def _append(self, descriptor: int) -> None:
        self._open.append(descriptor)
        if len(self._open) > MOST_OPEN:
            os.close(self._open.popleft())


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is below it, whatever permissions it has; through no link.

    What is nested deeper than ``MOST_OPEN`` levels is moved to the top first: so each directory is opened a few
    times at most, however deep it was. Raises OSError at the first thing that cannot be removed, FileNotFoundError
    or NotADirectoryError if there is no such directory.
    """
    top = _open_to_empty(str(path), None)
    try:
        moved: list[str] = []
        _empty(top, top, MOST_OPEN, moved)
        while moved:
            _remove(moved.pop(), top, top, MOST_OPEN, moved)
    finally:
        os.close(top)
    path.rmdir()


def _empty(directory: int, top: int, levels: int, moved: list[str]) -> None:
    """Remove what is in a directory; what is ``levels`` below goes to the top, and ``moved`` gets its new name."""
    with os.scandir(directory) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_directory in entries:
        with suppress(FileNotFoundError):
            if not is_directory:
                os.unlink(name, dir_fd=directory)
            elif levels > 0:
                _remove(name, directory, top, levels - 1, moved)
            else:
                os.close(_open_to_empty(name, directory))  # else it may not be moved
                fresh = secrets.token_hex(16)
                os.rename(name, fresh, src_dir_fd=directory, dst_dir_fd=top)
                moved.append(fresh)


def _remove(name: str, parent: int, top: int, levels: int, moved: list[str]) -> None:
    directory = _open_to_empty(name, parent)
    try:
        _empty(directory, top, levels, moved)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=parent)


def _open_to_empty(name: str, parent: int | None) -> int:
    """Open a directory, and give its owner back what permissions a tool took away."""
    try:
        directory = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)  # no link: that is another error
        directory = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    if stat.S_IMODE(os.fstat(directory).st_mode) & 0o700 != 0o700:
        os.fchmod(directory, 0o700)
    return directory
