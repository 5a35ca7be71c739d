"""Opens a database only to look at it: beside a server that uses it, or without one."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from alex_actors.store.database import DatabaseError, explain
from alex_actors.store.schema import APPLICATION_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def looking_at(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that changes nothing in the database, and that no writer waits for.

    Raises DatabaseError, with a text for people: there is no database, it is of another program, or it cannot be
    read, also later.
    """
    if not path.exists():
        msg = f"There is no database at {path}. Name the directory that a server was started with, as --data-dir."
        raise DatabaseError(msg)
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        with contextlib.closing(connection):
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if application != APPLICATION_ID:
                msg = f"{path} is a database of another program, or an empty one."
                raise DatabaseError(msg)
            yield connection
    except sqlite3.Error as error:
        raise DatabaseError(explain(error, path)) from error
