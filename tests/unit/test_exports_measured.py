"""What is too large to be exported: it is measured in the database, and nothing of it is loaded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from alex_actors.copies import MOST_MESSAGES
from alex_actors.replies import ExportedSession, SessionTooLarge
from alex_actors.values import LOCAL_OWNER
from tests.unit.store_under_test import HOME, StoreUnderTest

MOST = 10_000_000
INSERT = """
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
    INSERT INTO messages SELECT 1, n, 'user', ? FROM numbers
"""


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """A store with a session, and one of somebody that nobody asks for."""
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    under.make_session(HOME)
    under.make_session("other")
    under.run()
    yield under
    under.close()


def export(
    under: StoreUnderTest, count: int, content: str, *, most_bytes: int = MOST
) -> ExportedSession | SessionTooLarge | None:
    """Give the session so many messages from before, and export it."""
    with closing(sqlite3.connect(under.path)) as connection, connection:
        connection.execute(INSERT, (count, content))
        connection.execute("INSERT INTO messages VALUES (2, 0, 'user', ?)", ("x" * MOST,))
    return under.store.reader.whole_session(HOME, owner=LOCAL_OWNER, most_bytes=most_bytes)


def test_as_many_messages_as_an_import_takes_are_exported(under: StoreUnderTest) -> None:
    exported = export(under, MOST_MESSAGES, "")

    assert isinstance(exported, ExportedSession)
    assert len(exported.detail.messages) == MOST_MESSAGES


@pytest.mark.parametrize(
    ("count", "content", "most_bytes"),
    [(MOST_MESSAGES + 1, "", MOST), (10, "é" * 50, 999)],
    ids=["messages", "bytes"],
)
def test_more_than_that_is_not_even_loaded(
    under: StoreUnderTest, count: int, content: str, most_bytes: int
) -> None:
    statements: list[str] = []
    event.listen(under.store._readers, "before_cursor_execute", lambda *given: statements.append(given[2]))

    exported = export(under, count, content, most_bytes=most_bytes)

    assert exported == SessionTooLarge(most_bytes)
    assert not any("messages.content" in said and "sum(" not in said for said in statements)


def test_the_bytes_of_messages_count_not_their_characters(under: StoreUnderTest) -> None:
    assert isinstance(export(under, 10, "é" * 50, most_bytes=1000), ExportedSession)
