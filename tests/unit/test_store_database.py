"""Opening the database: made, brought up to date, or refused with a text that a person can act on."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, exc, text

from alex_actors.store.database import DatabaseError, open_readers, open_writer
from alex_actors.store.migrations import MIGRATIONS
from alex_actors.store.schema import APPLICATION_ID, metadata

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alex.sqlite3"


def make(path: Path) -> None:
    """Make a database, and close it again."""
    open_writer(path, synchronous="OFF").dispose()


def pragma(path: Path, name: str) -> object:
    """Read a pragma as any other program would."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return value


def run_sql(path: Path, *statements: str) -> None:
    """Change a database as any other program would."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# What is made.


def test_a_new_file_gets_the_tables_the_version_and_the_programs_mark(path: Path) -> None:
    make(path)

    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == len(MIGRATIONS)
    assert pragma(path, "journal_mode") == "wal"


def test_nobody_else_on_the_machine_reads_the_file(path: Path) -> None:
    make(path)

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_path_with_characters_that_mean_something_in_a_uri_is_that_path(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1?mode=memory"

    make(path)

    assert path.stat().st_size > 0
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_recorded_is_there_when_it_is_opened_again(path: Path) -> None:
    make(path)
    run_sql(path, "INSERT INTO sessions VALUES (1, 'local', 's', 'then', 'then', NULL, '{}')")

    engine = open_writer(path, synchronous="OFF")
    with engine.begin() as connection:
        count = connection.execute(text("SELECT count(*) FROM sessions")).scalar_one()
    engine.dispose()

    assert count == 1


@pytest.mark.parametrize(("synchronous", "number"), [("OFF", 0), ("NORMAL", 1), ("FULL", 2)])
def test_the_writer_is_as_durable_as_was_asked_for(path: Path, synchronous: str, number: int) -> None:
    engine = open_writer(path, synchronous=synchronous)  # type: ignore[arg-type] # parametrize gives any str

    with engine.begin() as connection:
        found = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    engine.dispose()

    assert found == number


def test_a_failing_transaction_is_rolled_back_as_a_whole(path: Path) -> None:
    engine = open_writer(path, synchronous="OFF")
    insert = text("INSERT INTO sessions VALUES (:key, 'local', 's', 'then', 'then', NULL, '{}')")

    def insert_twice() -> None:
        with engine.begin() as connection:
            connection.execute(insert, {"key": 1})
            connection.execute(insert, {"key": 2})

    with pytest.raises(exc.IntegrityError):
        insert_twice()
    with engine.begin() as connection:
        count = connection.execute(text("SELECT count(*) FROM sessions")).scalar_one()
    engine.dispose()

    assert count == 0


def test_a_task_needs_its_session(path: Path) -> None:
    engine = open_writer(path, synchronous="OFF")

    with pytest.raises(exc.IntegrityError), engine.begin() as connection:
        connection.execute(text("INSERT INTO events VALUES (1, 99, 1, 'task_created', 'then', x'7b7d')"))
    engine.dispose()


# Readers.


def test_readers_see_what_was_committed_and_cannot_write(path: Path) -> None:
    writer = open_writer(path, synchronous="OFF")
    readers = open_readers(path, connections=2)

    with writer.begin() as connection:
        connection.execute(text("INSERT INTO sessions VALUES (1, 'local', 's', 'then', 'then', NULL, '{}')"))
        with readers.connect() as reading:
            before = reading.execute(text("SELECT count(*) FROM sessions")).scalar_one()
    with readers.connect() as reading:
        after = reading.execute(text("SELECT count(*) FROM sessions")).scalar_one()
    with pytest.raises(exc.OperationalError, match="readonly"), readers.begin() as reading:
        reading.execute(text("DELETE FROM sessions"))
    readers.dispose()
    writer.dispose()

    assert (before, after) == (0, 1)


# Migrations.


def add_notes(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE notes (note TEXT)")


def fail(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE half (note TEXT)")
    connection.exec_driver_sql("CREATE TABLE half (note TEXT)")


def test_an_older_database_is_brought_up_to_date_once(path: Path) -> None:
    make(path)

    for _ in range(2):
        open_writer(path, synchronous="OFF", migrations=(*MIGRATIONS, add_notes)).dispose()

    assert pragma(path, "user_version") == len(MIGRATIONS) + 1
    run_sql(path, "INSERT INTO notes VALUES ('there')")


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    make(path)

    with pytest.raises(DatabaseError, match="already exists"):
        open_writer(path, synchronous="OFF", migrations=(*MIGRATIONS, add_notes, fail))

    assert pragma(path, "user_version") == len(MIGRATIONS)
    run_sql(path, "CREATE TABLE notes (note TEXT)", "CREATE TABLE half (note TEXT)")


def test_a_database_of_version_1_keeps_what_it_has(path: Path) -> None:
    open_writer(path, synchronous="OFF", migrations=MIGRATIONS[:1]).dispose()
    row = ["place", "owner", "task_id", "session_key", "status", "task", "agent_preset", "tool_preset", "model"]
    row += ["created_at", "current_iteration", "total_iterations", "tokens_used", "total_tokens", "cost_usd"]
    row += ["strategy", "max_iterations", "metadata", "trace_id"]
    values = "1, 'local', 't', 1, 'completed', 'x', 'default', 'safe', 'offline', 'then', 1, 1, 2, 2, 0.5"
    run_sql(
        path,
        "INSERT INTO sessions VALUES (1, 'local', 's', 'then', 'then', NULL, '{}')",
        f"INSERT INTO tasks ({', '.join(row)}) VALUES ({values}, 'enqueue', 50, '{{}}', 'trace')",
        "INSERT INTO events VALUES (7, 1, 1, 'task_created', 'then', x'7b7d')",
    )

    make(path)

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT place, task_id, cost_usd, trace_id FROM tasks").fetchall() == [
            (1, "t", 0.5, "trace")
        ]
        assert connection.execute("SELECT event_id, place FROM events").fetchall() == [(7, 1)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchall() == [(7,)]
    run_sql(path, "INSERT INTO sessions VALUES (2, 'ada', 's', 'then', 'then', NULL, '{}')")
    run_sql(
        path, f"INSERT INTO tasks ({', '.join(row)}) SELECT 2, 'ada', {', '.join(row[2:])} FROM tasks"
    )  # another owner may have a task of that ID


def test_a_database_of_version_2_has_its_approvals_found_by_the_index_of_version_3(path: Path) -> None:
    open_writer(path, synchronous="OFF", migrations=MIGRATIONS[:2]).dispose()
    run_sql(
        path, "PRAGMA foreign_keys=OFF", "INSERT INTO events VALUES (7, 1, 1, 'approval_requested', '', x'7b7d')"
    )

    make(path)

    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT event_id FROM events INDEXED BY approvals_by_task"
            " WHERE place = 1 AND event_type = 'approval_requested'"
        ).fetchall()
        condition = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'approvals_by_task'").fetchone()
    (index,) = [index for index in metadata.tables["events"].indexes if index.name == "approvals_by_task"]
    assert found == [(7,)]
    assert str(index.dialect_options["sqlite"]["where"]) in condition[0]


def test_the_tables_are_those_that_the_queries_are_made_for(path: Path) -> None:
    make(path)

    engine = open_writer(path, synchronous="OFF")
    with engine.connect() as connection:
        found = MetaData()
        found.reflect(connection)
    engine.dispose()
    assert {table.name: table.columns.keys() for table in found.sorted_tables} == {
        table.name: table.columns.keys() for table in metadata.sorted_tables
    }
    indices = {index.name for table in found.sorted_tables for index in table.indexes}
    assert indices == {index.name for table in metadata.sorted_tables for index in table.indexes}


def test_foreign_keys_are_looked_at_after_it_was_brought_up_to_date(path: Path) -> None:
    engine = open_writer(path, synchronous="OFF")
    with engine.connect() as connection:
        on = connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one()
    engine.dispose()
    assert on == 1


def test_a_newer_database_is_refused_and_left_as_it_is(path: Path) -> None:
    make(path)
    run_sql(path, "PRAGMA user_version=99")

    with pytest.raises(DatabaseError, match=r"schema version 99.*knows up to 3.*newer version"):
        open_writer(path, synchronous="OFF")

    assert pragma(path, "user_version") == 99


# What is refused.


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE theirs (x)", "PRAGMA application_id=42", "PRAGMA application_id=1; CREATE TABLE x(x)"],
)
def test_a_database_of_another_program_is_refused_and_left_as_it_is(path: Path, statement: str) -> None:
    run_sql(path, *statement.split("; "), "PRAGMA user_version=7")
    before = path.read_bytes()

    with pytest.raises(DatabaseError, match=r"another program.*--data-dir"):
        open_writer(path, synchronous="OFF")

    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"Dear diary, today I wrote a server. " * 100)
    before = path.read_bytes()

    with pytest.raises(DatabaseError, match=r"no intact SQLite database.*backup"):
        open_writer(path, synchronous="OFF")

    assert path.read_bytes() == before


def test_a_damaged_database_is_refused(path: Path) -> None:
    make(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))

    with pytest.raises(DatabaseError, match=r"no intact SQLite database.*malformed.*backup"):
        open_writer(path, synchronous="OFF")


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="No such file or directory"):
        open_writer(tmp_path / "missing" / "alex.sqlite3", synchronous="OFF")


def test_a_directory_in_the_files_place_is_refused(path: Path) -> None:
    path.mkdir()

    with pytest.raises(DatabaseError, match=r"is a directory.*has to be a file.*--data-dir"):
        open_writer(path, synchronous="OFF")


def test_a_database_that_is_locked_is_refused(path: Path) -> None:
    make(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(DatabaseError, match=r"locked by another program.*start again"):
            open_writer(path, synchronous="OFF")


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """Give up the rights of root, if these are root's tests, for a directory that anybody may look into."""
    directory = Path(tempfile.mkdtemp())
    user = os.geteuid()
    if user == 0:
        os.chown(directory, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield directory
    directory.chmod(0o700)
    os.seteuid(user)
    shutil.rmtree(directory)


def test_a_file_that_may_not_be_written_is_refused(ordinary_user: Path) -> None:
    path = ordinary_user / "alex.sqlite3"
    make(path)
    path.chmod(0o400)

    with pytest.raises(DatabaseError, match=r"cannot be written.*write access"):
        open_writer(path, synchronous="OFF")


def test_a_directory_that_may_not_be_written_is_refused(ordinary_user: Path) -> None:
    ordinary_user.chmod(0o500)

    with pytest.raises(DatabaseError, match=r"cannot be written.*write access"):
        open_writer(ordinary_user / "alex.sqlite3", synchronous="OFF")
