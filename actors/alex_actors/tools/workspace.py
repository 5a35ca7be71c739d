"""The workspace: a session's directory, which no path that goes through here can leave.

A path is opened one name at a time, each relative to the directory before it and never through a symbolic
link (``openat`` with ``O_NOFOLLOW``). So there is no moment between a check and a use in which a link could be
slipped in. All calls block: tools make them on a thread. Every refusal is a ToolError.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from alex_actors.ports import ToolError
from alex_actors.tools.limits import Quota
from alex_actors.tools.supervisor import DEEPEST, MOST, usage
from alex_actors.values import Value

_LONGEST_PATH = 4096
"""Bytes, as Linux has it."""

_ON_DISK = 4096
"""Bytes that a file takes the multiple of, with nearly all file systems."""

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that takes a file's place after the check must not hang.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Content(Value, frozen=True):
    """Some bytes of a file, and how many it has in all."""

    data: bytes
    size: int


class Entry(Value, frozen=True):
    """What stands in a directory under a name."""

    name: str
    mode: int
    size: int

    @property
    def is_directory(self) -> bool:
        """Return whether it is a directory, not a link to one."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Return whether it is a regular file, not a link to one."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Return whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class Workspace:
    """Reads and writes regular files below ``root``, which is made when the first file is written."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def make(self) -> None:
        """Make the directory if it is not there."""
        with _explained("."):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def entry(self, path: str) -> Entry | None:
        """Return what is at a path; None if nothing is."""
        parts = split_path(path)
        with _explained(path):
            try:
                if not parts:
                    found = self._root.lstat()
                else:
                    with self._directory(parts[:-1]) as parent:
                        found = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                return None
        return Entry(parts[-1] if parts else ".", found.st_mode, found.st_size)

    def read(self, path: str, *, limit: int, offset: int = 0) -> Content:
        """Return up to ``limit`` bytes of a regular file from ``offset`` on; none if it ends before that."""
        parts = _file_parts(path)
        with _explained(path), self._directory(parts[:-1]) as parent:
            _refuse_special(os.stat(parts[-1], dir_fd=parent, follow_symlinks=False), path)
            with os.fdopen(os.open(parts[-1], _OPEN_FILE, dir_fd=parent), "rb") as file:
                found = os.fstat(file.fileno())
                _refuse_special(found, path)
                if offset > found.st_size:  # it may be larger than a file's position can be
                    return Content(b"", found.st_size)
                file.seek(offset)
                return Content(file.read(limit), found.st_size)

    def write(self, path: str, data: bytes, *, quota: Quota | None = None) -> None:
        """Write a whole file, all of it or nothing, and its directories; in place of one that is there.

        A file with several hard links is refused: its other names may lie outside. What the workspace holds is
        counted anew each time, so that what commands did is seen: 30 ms for 10,000 files. Writes at the same time
        do not see each other, and may together exceed the ``quota`` by what they write.
        """
        parts = _file_parts(path)
        if len(parts) > DEEPEST + 1:
            raise ToolError(
                f"The path has {len(parts) - 1:,} directories; a file can be in up to {DEEPEST}, one in the other."
            )
        self.make()
        if quota is not None:
            self._refuse_beyond(quota, parts, len(data))
        with _explained(path), self._directory(parts[:-1], create=True) as parent:
            mode = _mode_of_replaceable(parts[-1], parent, path)
            _replace(parts[-1], data, parent=parent, mode=0o644 if mode is None else mode)

    def entries(self, path: str = ".") -> list[Entry]:
        """Return what is in a directory, by name; nothing if the workspace was not made yet."""
        parts = split_path(path)
        if not parts and not self._root.exists():
            return []
        with _explained(path), self._directory(parts) as directory:
            return _sorted_entries(directory)

    def walk(self, path: str = ".") -> Iterator[tuple[str, Entry]]:
        """Yield all that is below a directory with its path, parents first, by name.

        Directories that cannot be read, go away meanwhile, or are nested more than 100 levels deep, are left out.
        """
        pending = [(self._joined(path, entry), entry) for entry in reversed(self.entries(path))]
        while pending:
            at, entry = pending.pop()
            yield at, entry
            if entry.is_directory and at.count("/") < DEEPEST:
                with suppress(ToolError):
                    pending += [(f"{at}/{child.name}", child) for child in reversed(self.entries(at))]

    def _refuse_beyond(self, quota: Quota, parts: Sequence[str], size: int) -> None:
        """Raise ToolError if there is no room for a file, and for the directories on its way."""
        with _explained("."), self._directory(()) as root:
            taken, entries = usage(root, entries=4 * quota.workspace_files)
        # The file that it replaces is there until the new one is: no room is made by writing.
        on_disk = -(-size // _ON_DISK) * _ON_DISK
        if taken + on_disk > quota.workspace_bytes:
            raise ToolError(
                f"There is no room for {size:,} bytes: the workspace may have {quota.workspace_bytes:,} on the "
                f"disk, and has {f'{taken:,}' if taken < MOST else 'more than can be counted'}."
            )
        if entries + len(parts) > quota.workspace_files and self.entry("/".join(parts)) is None:
            raise ToolError(
                f"There is no room for another file: the workspace may have {quota.workspace_files:,} files and "
                f"directories, and has {entries:,}."
            )

    def _joined(self, path: str, entry: Entry) -> str:
        return "/".join((*split_path(path), entry.name))

    @contextmanager
    def _directory(self, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """Open a directory below the root, one name at a time. Yields its descriptor."""
        descriptor = os.open(self._root, _OPEN_DIRECTORY)
        try:
            for part in parts:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=descriptor)
                below = _open_below(part, descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)


def split_path(path: str) -> list[str]:
    """Return the names that a relative path consists of, ``.`` and ``..`` resolved; none for the root itself."""
    if "\0" in path:
        raise ToolError("A path cannot contain a NUL character.")
    try:
        length = len(os.fsencode(path))
    except UnicodeEncodeError:
        raise ToolError(f"{shown(path)!r} is not a path: it is not valid Unicode.") from None
    if length > _LONGEST_PATH:
        raise ToolError(f"The path is too long: {length} bytes; up to {_LONGEST_PATH} are possible.")
    if path.startswith("/"):
        raise ToolError(
            f"{shown(path)!r} is absolute: paths are relative to the workspace, such as 'notes/a.txt'."
        )
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise ToolError(f"{shown(path)!r} leads out of the workspace.")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def shown(name: str) -> str:
    """Return a file's name in one line of printable characters: others are escaped, as Python would."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _file_parts(path: str) -> list[str]:
    parts = split_path(path)
    if not parts or path.endswith("/"):
        raise ToolError(f"{shown(path)!r} names a directory, not a file.")
    return parts


def _open_below(name: str, directory: int) -> int:
    try:
        return os.open(name, _OPEN_DIRECTORY, dir_fd=directory)
    except NotADirectoryError:
        # Linux says ENOTDIR for a link as well; ask again, only to be able to say which it was.
        if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise


def _refuse_special(found: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"{shown(path)!r} is not a regular file.")


def _mode_of_replaceable(name: str, directory: int, path: str) -> int | None:
    """Return the permissions of the file that is to be replaced; None if there is none."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    _refuse_special(found, path)
    if found.st_nlink > 1:
        raise ToolError(f"{shown(path)!r} has other hard links: writing it could change a file elsewhere.")
    return stat.S_IMODE(found.st_mode) & 0o777


def _replace(name: str, data: bytes, *, parent: int, mode: int) -> None:
    """Write a new file and give it the name: a reader, or a crash, sees the old content or the new."""
    temporary = f".alex-{secrets.token_hex(8)}.tmp"
    try:
        with os.fdopen(os.open(temporary, _CREATE_FILE, 0o600, dir_fd=parent), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        raise


def _sorted_entries(directory: int) -> list[Entry]:
    entries = []
    with os.scandir(directory) as found:
        for item in found:
            with suppress(FileNotFoundError):  # it went away meanwhile
                status = item.stat(follow_symlinks=False)
                entries.append(Entry(item.name, status.st_mode, status.st_size))
    entries.sort(key=lambda entry: entry.name)
    return entries


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn the system's errors into texts that help a model."""
    name = repr(shown(path))
    try:
        yield
    except FileNotFoundError as error:
        raise ToolError(f"There is no {name} in the workspace.") from error
    except IsADirectoryError as error:
        raise ToolError(f"{name} is a directory, not a file.") from error
    except NotADirectoryError as error:
        raise ToolError(f"{name} is not in a directory: a part of it is a file.") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):  # FreeBSD and macOS differ in which
            raise ToolError(f"{name} is or goes through a symbolic link: tools follow none.") from error
        raise ToolError(f"{name} cannot be used: {error.strerror or error}.") from error
