"""Opens the database: one connection that writes, a pool of connections that only read."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import sqlalchemy
from sqlalchemy import Connection, Engine, event, exc, pool

from alex_actors.store.database_file import OpenedFiles, advice, trouble_with, vanished
from alex_actors.store.migrations import MIGRATIONS
from alex_actors.store.schema import APPLICATION_ID

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import ExceptionContext

    from alex_actors.store.migrations import Migration

Synchronous: TypeAlias = Literal["FULL", "NORMAL", "OFF"]

BUSY_TIMEOUT = 2.0
"""Seconds that a statement waits for another program's lock: a backup or a look with ``sqlite3`` takes less."""

PRIMARY = 0xFF
"""The part of an error code of SQLite's that says of which kind it is."""

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
            if missing := vanished(path):
                raise DatabaseError(missing)
            path.touch(mode=OPEN_AS_CREATED)
            with contextlib.closing(_connect(path)) as connection:
                _check_owner(connection, path)
                connection.execute("PRAGMA journal_mode=WAL")  # cannot be set within a transaction
            engine = _engine(path, pool_class=pool.StaticPool, pool_size=None, query="")
            undo.callback(engine.dispose)
            # Deleted content is overwritten: what a client has deleted is not found in the file's free pages.
            pragmas = (f"PRAGMA synchronous={synchronous}", "PRAGMA secure_delete=ON")
            event.listen(engine, "connect", _on_connect(*pragmas))
            with _without_foreign_keys(engine), engine.begin() as transaction:
                _migrate(transaction, path, migrations)
            event.listen(engine, "begin", _check_before(OpenedFiles(path)), insert=True)
        except (exc.DBAPIError, sqlite3.Error, OSError) as error:
            raise DatabaseError(explain(error, path)) from error
        undo.pop_all()
    return engine


def open_readers(path: Path, *, connections: int) -> Engine:
    """Open the database for readers, which never wait for the writer; ``connections`` of them at once."""
    engine = _engine(path, pool_class=pool.QueuePool, pool_size=connections, query="?mode=ro")
    event.listen(engine, "connect", _check_before(OpenedFiles(path)))
    event.listen(engine, "connect", _on_connect("PRAGMA query_only=ON"))
    return engine


def _engine(path: Path, *, pool_class: type[pool.Pool], pool_size: int | None, query: str) -> Engine:
    sizes = {} if pool_size is None else {"pool_size": pool_size, "max_overflow": 0}
    engine = sqlalchemy.create_engine(
        "sqlite://", creator=lambda: _connect(path, query), poolclass=pool_class, **sizes
    )
    event.listen(engine, "begin", _begin_immediate if not query else _begin)
    event.listen(engine, "handle_error", _failure_of_the_store)
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


def _check_before(files: OpenedFiles) -> Any:  # Any: SQLAlchemy's listeners have no common type
    """Return a listener that fails as a disk does while the files are not those that were opened."""

    def check(*_: object) -> None:
        if (changed := files.changed()) is not None:
            raise exc.OperationalError(None, None, sqlite3.OperationalError(changed))

    return check


def _failure_of_the_store(context: ExceptionContext) -> exc.OperationalError | None:
    """Have a damaged database fail as a broken disk does.

    The driver has a class of errors for what cannot be done now, OperationalError. This, which fails for every row
    alike, it raises as its base class, among those for one row that is refused. What the connection keeps of the
    file in memory is forgotten, so that it sees when that is mended.
    """
    error = context.sqlalchemy_exception
    if type(error) is not exc.DatabaseError:
        return None
    if (
        context.connection is not None
        and (open_one := context.connection.connection.driver_connection) is not None
    ):
        with contextlib.suppress(sqlite3.Error):
            open_one.execute("PRAGMA shrink_memory")
    return exc.OperationalError(context.statement, context.parameters, context.original_exception)


def _on_connect(*pragmas: str) -> Any:  # Any: SQLAlchemy's listeners have no common type
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (*pragmas, "PRAGMA foreign_keys=ON"):
            connection.execute(pragma)

    return on_connect


@contextlib.contextmanager
def _without_foreign_keys(engine: Engine) -> Iterator[None]:
    """Do not look at foreign keys meanwhile: a table that is made anew is dropped while rows refer to it."""
    with contextlib.closing(engine.raw_connection()) as connection:  # within a transaction it has no effect
        connection.cursor().execute("PRAGMA foreign_keys=OFF")
    yield
    with contextlib.closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA foreign_keys=ON")


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
    """Return what the database said, without what SQLAlchemy adds; of an I/O error also which it was."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    name = str(getattr(cause, "sqlite_errorname", ""))
    return f"{cause} ({name})" if name.startswith("SQLITE_IOERR") else str(cause)  # whose text is always the same


def explain(error: Exception, path: Path) -> str:
    """Return in words for people why the database cannot be used, and what to do."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, OSError):
        return advice(cause.errno, path) or f"{path} cannot be opened: {cause}."
    match getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"{path} is locked by another program. Close what has it open, then start again."
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return (
                f"{path} is no intact SQLite database ({cause}). Restore a backup, or choose another --data-dir."
            )
        case sqlite3.SQLITE_FULL:
            known = advice(errno.ENOSPC, path)
        case sqlite3.SQLITE_IOERR:
            known = trouble_with(path) or advice(errno.EIO, path)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            known = trouble_with(path) or advice(errno.EACCES, path)
        case _:
            known = None
    return known or f"{path} cannot be opened: {cause_of(error)}."
