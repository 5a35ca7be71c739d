"""Opens the database: one connection that writes, a pool of connections that only read."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import sqlalchemy
from sqlalchemy import Connection, Engine, event, exc, pool

from alex_actors.store.schema import APPLICATION_ID, MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alex_actors.store.schema import Migration

Synchronous: TypeAlias = Literal["FULL", "NORMAL", "OFF"]

BUSY_TIMEOUT = 2.0
"""Seconds that a statement waits for another program's lock: a backup or a look with ``sqlite3`` takes less."""

OPEN_AS_CREATED = 0o600
"""The database has what users asked and got: nobody else on the machine reads it."""


class DatabaseError(Exception):
    """The database cannot be used; the text says why, and what to do."""


def open_writer(path: Path, *, synchronous: Synchronous, migrations: Sequence[Migration] = MIGRATIONS) -> Engine:
    """Open the database for its one writer; make it or bring it up to date first.

    Raises DatabaseError with a text for people: the file is locked, not writable, damaged, of another
    program, or of a newer version of this one.
    """
    with contextlib.ExitStack() as undo:
        try:
            path.touch(mode=OPEN_AS_CREATED)
            with contextlib.closing(_connect(path)) as connection:
                _check_owner(connection, path)
                connection.execute("PRAGMA journal_mode=WAL")  # cannot be set within a transaction
            engine = _engine(path, pool_class=pool.StaticPool, pool_size=None, query="")
            undo.callback(engine.dispose)
            event.listen(engine, "connect", _on_connect(f"PRAGMA synchronous={synchronous}"))
            with engine.begin() as transaction:
                _migrate(transaction, path, migrations)
        except (exc.DBAPIError, sqlite3.Error, OSError) as error:
            raise DatabaseError(explain(error, path)) from error
        undo.pop_all()
    return engine


def open_readers(path: Path, *, connections: int) -> Engine:
    """Open the database for readers, which never wait for the writer; ``connections`` of them at once."""
    engine = _engine(path, pool_class=pool.QueuePool, pool_size=connections, query="?mode=ro")
    event.listen(engine, "connect", _on_connect("PRAGMA query_only=ON"))
    return engine


def _engine(path: Path, *, pool_class: type[pool.Pool], pool_size: int | None, query: str) -> Engine:
    sizes = {} if pool_size is None else {"pool_size": pool_size, "max_overflow": 0}
    engine = sqlalchemy.create_engine(
        "sqlite://", creator=lambda: _connect(path, query), poolclass=pool_class, **sizes
    )
    event.listen(engine, "begin", _begin_immediate if not query else _begin)
    return engine


def _connect(path: Path, query: str = "") -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}{query}",
        uri=True,
        isolation_level=None,  # the driver's own transactions would commit before a savepoint: see _begin
        check_same_thread=False,  # the writer's is made at the start, and used on the store's thread
        timeout=BUSY_TIMEOUT,
        cached_statements=256,
    )


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _on_connect(*pragmas: str) -> Any:  # Any: SQLAlchemy's listeners have no common type
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (*pragmas, "PRAGMA foreign_keys=ON"):
            connection.execute(pragma)

    return on_connect


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that another program made."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application != 0 or tables != 0):
        msg = f"{path} is a database of another program. Choose another directory with --data-dir."
        raise DatabaseError(msg)


def _migrate(connection: Connection, path: Path, migrations: Sequence[Migration]) -> None:
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version > len(migrations):
        msg = (
            f"{path} has schema version {version}, and this version of Alex Runtime knows up to "
            f"{len(migrations)}. Start the newer version that made it, or choose another --data-dir."
        )
        raise DatabaseError(msg)
    for migration in migrations[version:]:
        migration(connection)
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={len(migrations)}")


def cause_of(error: Exception) -> str:
    """Return what the database said, without what SQLAlchemy adds."""
    return str(error.orig if isinstance(error, exc.DBAPIError) else error)


def explain(error: Exception, path: Path) -> str:
    """Return in words for people why the database cannot be used, and what to do."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    text = str(cause)
    if "locked" in text:
        return f"{path} is locked by another program. Close what has it open, then start again."
    if isinstance(cause, PermissionError) or "readonly" in text or "unable to open" in text:
        return f"{path} cannot be written. Give this user write access to it, or choose another --data-dir."
    if "not a database" in text or "malformed" in text:
        return f"{path} is no intact SQLite database ({text}). Restore a backup, or choose another --data-dir."
    return f"{path} cannot be opened: {text}."
