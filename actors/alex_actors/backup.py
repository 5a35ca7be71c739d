"""Backup: copies a data directory, while a server uses it or not, so that a server can start on the copy."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from typing import TYPE_CHECKING

from alex_actors.store.database import OPEN_AS_CREATED, DatabaseError
from alex_actors.store.looking import looking_at
from alex_actors.trees import TreeCopy, remove_tree
from alex_actors.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = "alex.sqlite3"
WORKSPACES = "workspaces"
FILES = ("tokens.json",)
"""What else makes a data directory. Not the log, which has nothing that is needed; not the lock."""


class BackupError(Exception):
    """There is no backup, and nothing of it is left; the text says why, and what to do."""


class Backup(Value, frozen=True, kw_only=True):
    """What a backup has."""

    sessions: int
    tasks: int
    workspaces: int
    files: int
    """In the workspaces."""
    bytes: int
    """The size of the database and of these files."""
    left_out: tuple[str, ...]
    """The first of the sockets, pipes, devices and unreadable files that are not in it."""
    left_out_count: int


def back_up(source: Path, target: Path) -> Backup:
    """Copy the data directory ``source`` to ``target``, which must not exist. Returns what is in it.

    The database is copied first, as it was last committed at one moment; then the workspaces of the sessions that
    it has. So a file may be newer than what is recorded, but what is recorded as done is in the files: a task that
    goes on from the copy finds what it had made. A session that is deleted meanwhile may be there without files.
    Tokens come last, so that one that is revoked meanwhile is.

    It is made under another name beside the target and renamed when all is on the disk. Raises BackupError.
    """
    if os.path.lexists(target):
        msg = f"{target} exists. A backup is a new directory: name one that is not there yet."
        raise BackupError(msg)
    if _is_within(target, source):
        msg = f"{target} is in the data directory: a backup would contain itself. Name a directory outside of it."
        raise BackupError(msg)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with _removed_on_failure(partial):
            partial.mkdir(mode=0o700)
            made = _copy(source, partial)
            _sync(partial)
            partial.rename(target)  # replaces an empty directory at most
            _sync(target.parent)
    except DatabaseError as error:
        raise BackupError(str(error)) from error
    except OSError as error:
        msg = (
            f"{target} could not be written ({error.strerror or error}). Nothing is left of it. "
            "Name a directory on a file system with enough space, which this user may write."
        )
        raise BackupError(msg) from error
    return made


def _is_within(target: Path, source: Path) -> bool:
    """Return whether a backup would be below what it copies, also by way of symbolic links."""
    resolved = target.parent.resolve() / target.name
    return any(resolved.is_relative_to(copied.resolve()) for copied in (source, source / WORKSPACES))


def _copy(source: Path, target: Path) -> Backup:
    database = target / DATABASE
    _copy_database(source / DATABASE, database)
    keys, tasks = _verified(database)
    workspaces = target / WORKSPACES
    workspaces.mkdir(mode=0o700)
    trees = TreeCopy(links=True, sync=True)
    for key in keys:
        trees.copy(source / WORKSPACES / str(key), workspaces / str(key))
    _sync(workspaces)
    for name in FILES:
        _copy_file(source / name, target / name)
    return Backup(
        sessions=len(keys),
        tasks=tasks,
        workspaces=sum(1 for _ in workspaces.iterdir()),
        files=trees.files,
        bytes=database.stat().st_size + trees.bytes,
        left_out=tuple(trees.left_out),
        left_out_count=trees.left_out_count,
    )


def _copy_database(source: Path, target: Path) -> None:
    """Copy what the database has, as of one moment: no writer waits, and what was deleted is not copied.

    SQLite's online backup would begin anew with each commit of the server (https://sqlite.org/backup.html); VACUUM
    INTO reads within one transaction.
    """
    target.touch(mode=OPEN_AS_CREATED)
    with looking_at(source) as connection:
        # SQLite calls it every some milliseconds; Python looks for signals then, as Ctrl-C.
        connection.set_progress_handler(lambda: 0, 100_000)
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        except sqlite3.OperationalError as error:  # a damaged source is another kind of error
            msg = f"The database could not be copied: {error}. Nothing is left of the copy."
            raise BackupError(msg) from error
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _verified(database: Path) -> tuple[list[int], int]:
    """Return the keys of a copy's sessions and how many tasks it has. Raises BackupError if it is not sound."""
    with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            faults = [row[0] for row in connection.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
            faults += [
                f"a row of {row[0]} refers to none" for row in connection.execute("PRAGMA foreign_key_check")
            ]
            keys = [row[0] for row in connection.execute("SELECT session_key FROM sessions ORDER BY 1")]
            (tasks,) = connection.execute("SELECT count(*) FROM tasks").fetchone()
        except sqlite3.Error as error:
            faults = [str(error)]
    if faults:
        msg = (
            f"The copy of the database is not sound ({faults[0]}), so the database may not be either: nothing is "
            "left of the copy. `alex check` says more."
        )
        raise BackupError(msg)
    return keys, tasks


def _copy_file(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        data = source.read_bytes()
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OPEN_AS_CREATED), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:  # also if somebody presses Ctrl-C
        with contextlib.suppress(OSError):
            remove_tree(path)
        raise


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
