"""The database's files: moved, replaced or damaged while they are open, and odd ones at the start."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, exc, text

from alex_actors.store.database import DatabaseError, cause_of, explain, open_readers, open_writer
from alex_actors.store.database_file import OpenedFiles

COUNT = text("SELECT count(*) FROM sqlite_master")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alex.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[Engine]:
    engine = open_writer(path, synchronous="OFF")
    yield engine
    engine.dispose()


def write(engine: Engine) -> None:
    """Change something, in a transaction of its own."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS changed (x)")
        connection.exec_driver_sql("INSERT INTO changed VALUES (1)")


def refused(path: Path) -> str:
    """Return why the database is not opened."""
    with pytest.raises(DatabaseError) as raised:
        open_writer(path, synchronous="OFF")
    return str(raised.value)


# While it is open.


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_nothing_is_committed_while_a_file_is_away_and_all_goes_on_when_it_is_back(
    writer: Engine, path: Path, suffix: str
) -> None:
    file, aside = path.with_name(path.name + suffix), path.with_name("aside")
    write(writer)
    file.rename(aside)

    with pytest.raises(exc.OperationalError) as raised:
        write(writer)
    aside.rename(file)
    write(writer)

    assert cause_of(raised.value).startswith(f"{file.name} is not where it was")
    assert "Move it back" in cause_of(raised.value)
    with writer.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM changed").scalar_one() == 2


def test_nothing_is_committed_while_another_file_is_in_its_place(writer: Engine, path: Path) -> None:
    write(writer)
    aside = path.rename(path.with_name("aside"))
    path.write_bytes(aside.read_bytes())

    with pytest.raises(exc.OperationalError, match=r"was replaced.*start the server again"):
        write(writer)
    aside.rename(path)

    write(writer)


def test_readers_that_are_open_read_on_and_new_ones_do_not_read_another_database(
    writer: Engine, path: Path
) -> None:
    readers = open_readers(path, connections=2)
    with readers.connect() as reading:
        before = reading.execute(COUNT).scalar_one()
    aside = path.rename(path.with_name("aside"))
    path.write_bytes(aside.read_bytes())

    with readers.connect() as reading:
        after = reading.execute(COUNT).scalar_one()
        with pytest.raises(exc.OperationalError, match="was replaced"):
            readers.connect()
    aside.rename(path)
    with readers.connect() as reading, readers.connect() as another:
        both = [reading.execute(COUNT).scalar_one(), another.execute(COUNT).scalar_one()]
    readers.dispose()

    assert after == before
    assert both == [before, before]


def test_a_link_that_leads_elsewhere_now_is_a_change(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).touch()
    link = tmp_path / "alex.sqlite3"
    link.symlink_to("one")
    files = OpenedFiles(link)
    before = files.changed()

    link.unlink()
    link.symlink_to("two")

    assert before is None
    assert "was replaced" in str(files.changed())


def test_damage_is_a_failure_of_the_store_and_not_of_one_row(writer: Engine, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    readers = open_readers(path, connections=1)

    with pytest.raises(exc.OperationalError, match="malformed") as raised, readers.connect() as reading:
        reading.execute(text("SELECT * FROM events"))
    path.write_bytes(whole)
    with readers.connect() as reading:
        reading.execute(text("SELECT * FROM events"))
    readers.dispose()

    assert isinstance(raised.value.orig, sqlite3.DatabaseError)
    assert "backup" in explain(raised.value, path)


def test_an_io_error_says_which_it_was() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = 1034, "SQLITE_IOERR_FSYNC"

    cause = cause_of(exc.OperationalError("COMMIT", {}, error))

    assert cause == "disk I/O error (SQLITE_IOERR_FSYNC)"


# At the start.


def test_a_database_that_is_gone_while_its_log_is_there_is_not_made_anew(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(b"what was committed last")

    why = refused(path)

    assert "missing or empty" in why
    assert "backup" in why
    assert [file.name for file in path.parent.iterdir()] == [log.name]


def test_a_link_that_leads_nowhere_is_refused(path: Path) -> None:
    path.symlink_to("/nowhere/alex.sqlite3")

    assert "a link to /nowhere/alex.sqlite3, which is not there" in refused(path)


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_directory_in_the_place_of_what_belongs_to_it_is_named(path: Path, suffix: str) -> None:
    file = path.with_name(path.name + suffix)
    file.mkdir()

    assert refused(path).startswith(f"{file} is a directory")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EROFS, "read-only file system"),
        (errno.EACCES, "write access"),
        (errno.EISDIR, "is a directory"),
        (errno.EIO, "the disk reports an error"),
        (errno.ELOOP, "cannot be opened"),
    ],
)
def test_an_error_of_the_system_is_told_with_what_to_do(path: Path, code: int, said: str) -> None:
    assert said in explain(OSError(code, "as the system has it"), path)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the disk reports an error"),
        (sqlite3.SQLITE_CANTOPEN, "write access"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "write access"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked by another program"),
        (sqlite3.SQLITE_CORRUPT_VTAB, "no intact SQLite database"),
        (sqlite3.SQLITE_ERROR, "cannot be opened"),
    ],
)
def test_an_error_of_the_database_is_told_with_what_to_do(path: Path, code: int, said: str) -> None:
    error = sqlite3.OperationalError("as SQLite has it")
    error.sqlite_errorcode = code

    assert said in explain(exc.OperationalError("COMMIT", {}, error), path)
