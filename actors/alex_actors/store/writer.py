"""Writes a batch of changes in one transaction. One writer; used by one thread."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from sqlalchemy import Insert, Table, Update, bindparam, delete, insert, select, tuple_, update

from alex_actors.projection import Progress
from alex_actors.store import copying, retiring
from alex_actors.store.erasing import Erasure
from alex_actors.store.schema import events, idempotency_keys, messages, sessions, tasks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import Connection, Dialect, Engine

    from alex_actors.store.copying import Fork
    from alex_actors.store.retiring import OldSession, OldTask
    from alex_actors.values import Owner, SessionName, TaskId, Timestamp

_find_sessions = select(sessions.c.owner, sessions.c.session_id, sessions.c.session_key).where(
    tuple_(sessions.c.owner, sessions.c.session_id).in_(bindparam("names", expanding=True))
)

_tasks_of_session = select(tasks.c.task_id).where(tasks.c.session_key == bindparam("key")).order_by(tasks.c.place)
_of_tasks = select(tasks.c.place).where(tasks.c.session_key == bindparam("key"))
_erase = (
    delete(idempotency_keys).where(idempotency_keys.c.place.in_(_of_tasks)),
    *(
        delete(table).where(table.c.session_key == bindparam("key"))
        for table in (events, tasks, messages, sessions)
    ),
)
"""Rows that refer to others first."""

_forget_keys = delete(idempotency_keys).where(idempotency_keys.c.created_at <= bindparam("until"))
_keep_key = insert(idempotency_keys).prefix_with("OR REPLACE")  # a clock that is set back may find an older one

GROUPS = (64, 16, 4, 1)
"""How many rows are inserted by one statement: few sizes, so that SQLite's statements are compiled once."""


class RowInsert:
    """An insert of any number of rows, each a tuple in the order of the table's columns.

    Many rows to a statement: the driver gives up the GIL for each statement that it runs, and with threads that
    wait for it, getting it back costs more than inserting a row.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        sql, _ = _compiled(insert(table), table.columns.keys(), dialect)
        head, row = sql.split(" VALUES ")
        self._sql = {size: f"{head} VALUES {', '.join([row] * size)}" for size in GROUPS}

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert the rows."""
        start = 0
        for size in GROUPS:
            while len(rows) - start >= size:
                values = tuple(chain.from_iterable(rows[start : start + size]))
                connection.exec_driver_sql(self._sql[size], values)
                start += size


class RowUpdate:
    """An update that is run with many rows at once, each a tuple of its parameters in ``order``."""

    def __init__(self, statement: Update, *, parameters: Sequence[str], dialect: Dialect) -> None:
        self._sql, self.order = _compiled(statement, parameters, dialect)

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Run it, unless there is no row."""
        if rows:
            connection.exec_driver_sql(self._sql, list(rows))


def _compiled(
    statement: Insert | Update, parameters: Sequence[str], dialect: Dialect
) -> tuple[str, tuple[str, ...]]:
    """Return a statement's SQL and the order of its parameters, compiled once for a dialect that numbers them.

    SQLAlchemy's way from dictionaries to the driver's tuples costs more for an event than SQLite's insert.
    """
    compiled = statement.compile(dialect=dialect, column_keys=list(parameters))
    if compiled.positiontup is None:
        msg = f"The dialect {dialect.name} names its parameters, and does not number them."
        raise TypeError(msg)
    return str(compiled), tuple(compiled.positiontup)


class Statements:
    """The statements that write, for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.insert_sessions = RowInsert(sessions, dialect)
        self.insert_tasks = RowInsert(tasks, dialect)
        self.insert_events = RowInsert(events, dialect)
        self.touch_sessions = RowUpdate(
            # Not back: a task may be confirmed before another one's end, and recorded after it.
            update(sessions).where(
                sessions.c.session_key == bindparam("key"), sessions.c.updated_at < bindparam("at")
            ),
            parameters=["updated_at"],
            dialect=dialect,
        )
        self.update_tasks = RowUpdate(
            update(tasks).where(tasks.c.place == bindparam("key")),
            parameters=Progress.__struct_fields__,
            dialect=dialect,
        )
        self.progress_values = attrgetter(*self.update_tasks.order[:-1])  # the key comes last, in the WHERE


class Batch:
    """The changes of one transaction. Rows are tuples in the order of their table's columns."""

    def __init__(self) -> None:
        self.new_sessions: list[tuple[object, ...]] = []
        self.touched: dict[int, Timestamp] = {}
        self.new_tasks: list[tuple[object, ...]] = []
        self.progress: dict[int, Progress] = {}
        self.events: list[tuple[object, ...]] = []
        self.keys: list[dict[str, object]] = []
        """Idempotency keys, by column."""
        self.keys_until: Timestamp | None = None
        """Those that are as old as this, or older, are forgotten."""

    def __bool__(self) -> bool:
        """Return whether there is anything to write."""
        return any((self.new_sessions, self.touched, self.new_tasks, self.progress, self.events))


class Transaction:
    """What can be done within one transaction."""

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def write(self, batch: Batch) -> None:
        """Write the changes: rows that others refer to first."""
        connection, statements = self._connection, self._statements
        statements.insert_sessions.run(connection, batch.new_sessions)
        statements.touch_sessions.run(connection, [(at, key, at) for key, at in batch.touched.items()])
        statements.insert_tasks.run(connection, batch.new_tasks)
        states = [(*statements.progress_values(state), place) for place, state in batch.progress.items()]
        statements.update_tasks.run(connection, states)
        statements.insert_events.run(connection, batch.events)
        if batch.keys:
            connection.execute(_forget_keys, {"until": batch.keys_until})
            connection.execute(_keep_key, batch.keys)

    def write_nothing_new(self) -> None:
        """Write what is there already: to see whether writing works."""
        (version,) = self._connection.exec_driver_sql("PRAGMA user_version").one()
        self._connection.exec_driver_sql(f"PRAGMA user_version={version}")

    def session_keys(self, names: Collection[SessionName]) -> dict[SessionName, int]:
        """Return the keys of those of the sessions that exist."""
        if not names:
            return {}
        found = self._connection.execute(_find_sessions, {"names": list(names)})
        return {(row[0], row[1]): row[2] for row in found}

    def erase(self, session: SessionName, *, trace_id: str) -> Erasure | None:
        """Delete a session, its tasks and their events. Returns what there was; None if there was nothing."""
        key = self.session_keys([session]).get(session)
        if key is None:
            return None
        task_ids = tuple(row[0] for row in self._connection.execute(_tasks_of_session, {"key": key}))
        for statement in _erase:
            self._connection.execute(statement, {"key": key})
        return Erasure(*session, key, task_ids, trace_id)

    # Whole sessions, and what is old.

    def reserve(self, session_key: int) -> None:
        """Have a session key never given again, though no session has it yet."""
        copying.reserve(self._connection, session_key)

    def fork(self, fork: Fork, at: Timestamp) -> None:
        """Record a session with a copy of another one's conversation."""
        copying.fork(self._connection, fork, at)

    def existing_task(self, owner: Owner, task_ids: Sequence[TaskId]) -> TaskId | None:
        """Return one of these tasks that exists; None if none does."""
        return copying.existing_task(self._connection, owner, task_ids)

    def add_messages(self, rows: list[dict[str, object]]) -> None:
        """Record messages that a session has inherited, by column."""
        copying.add_messages(self._connection, rows)

    def remove_ended(self, until: Timestamp, *, most_tasks: int, most_events: int) -> list[OldTask]:
        """Delete the tasks that ended first, if that was until then; return what they were."""
        return retiring.remove_ended(self._connection, until, most_tasks=most_tasks, most_events=most_events)

    def remove_unused(self, until: Timestamp, *, after: int, span: int) -> list[OldSession]:
        """Delete sessions with these keys that have nothing, and were not used since; return what they were."""
        return retiring.remove_unused(self._connection, until, after=after, span=span)


class Superseded(Exception):
    """Another server writes to this database now: this one must not, ever again."""


class StoreWriter:
    """The one connection that writes.

    It begins by counting up the fence in the database, and writes only while that is as it left it. So a server
    that another one took the place of (the lock of its data directory was lost, or never held: not every file
    system has locks) can record nothing more. Kleppmann, "How to do distributed locking" (2016), calls it fencing.
    """

    def __init__(self, *, engine: Engine) -> None:
        """Shut out every writer before this one. Raises SQLAlchemyError if the database cannot be written."""
        self._engine = engine
        self._statements = Statements(engine.dialect)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE fence SET epoch = epoch + 1")
            self._epoch: int = connection.exec_driver_sql("SELECT epoch FROM fence").scalar_one()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction that is committed at the end of the block, or rolled back if it raises.

        Raises sqlalchemy.exc.SQLAlchemyError, at any point, if the database cannot be read or written, and
        Superseded if another server has begun to write to it.
        """
        with self._engine.begin() as connection:
            self._check_fence(connection)
            yield Transaction(connection, self._statements)

    def _check_fence(self, connection: Connection) -> None:
        try:
            # Past SQLAlchemy, which would take six times as long for it, and this is done for every commit.
            (epoch,) = connection.connection.cursor().execute("SELECT epoch FROM fence").fetchone()
        except sqlite3.Error:  # it sorts errors, see database.py
            epoch = connection.exec_driver_sql("SELECT epoch FROM fence").scalar_one()
        if epoch != self._epoch:
            msg = "Another server has taken over this data directory; this one has stopped to write to it."
            raise Superseded(msg)
