"""Checks that what is recorded is sound: the file, the rows, and what they say of each task."""

from __future__ import annotations

import sqlite3
from itertools import chain, islice
from typing import TYPE_CHECKING

import msgspec

from alex_actors.events import read_back
from alex_actors.store.looking import looking_at
from alex_actors.store.migrations import MIGRATIONS
from alex_actors.store.replaying import ReplayedEvent, faults_of_events, faults_of_names
from alex_actors.tasks import UNFINISHED, Status
from alex_actors.values import Timestamp, Value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_FINDINGS = 1000
"""Findings of one kind that are told: a damaged file may have a million."""

_TASKS = """
    SELECT tasks.*, sessions.session_id, sessions.owner AS session_owner
    FROM tasks LEFT JOIN sessions USING (session_key) ORDER BY place"""
_EVENTS = "SELECT * FROM events WHERE place = ? ORDER BY event_id"
_ORPHANS = """
    SELECT child.task_id, child.parent_task_id FROM tasks AS child
    LEFT JOIN tasks AS parent ON parent.owner = child.owner AND parent.task_id = child.parent_task_id
        AND parent.session_key = child.session_key AND parent.place < child.place
    WHERE child.parent_task_id IS NOT NULL AND parent.place IS NULL ORDER BY child.place"""
_UNFINISHED = f"""
    SELECT task_id, session_id, tasks.owner, status, tasks.created_at, started_at,
           (SELECT count(*) FROM events WHERE events.place = tasks.place)
    FROM tasks JOIN sessions USING (session_key)
    WHERE status IN {UNFINISHED} ORDER BY place"""  # noqa: S608 - two words of this program
_MISPLACED_MESSAGES = """
    SELECT session_key, count(*) FROM messages
    GROUP BY session_key HAVING min(position) <> 0 OR max(position) <> count(*) - 1
    UNION SELECT session_key, position FROM messages WHERE role NOT IN ('user', 'assistant')"""
_USED_KEYS = {"sessions": "session_key", "events": "event_id"}


class Finding(Value, frozen=True):
    """Something that is not as it must be."""

    about: str
    text: str


class UnfinishedWork(Value, frozen=True):
    """A task without an end: the next start takes it up."""

    task_id: str
    session_id: str
    owner: str
    status: Status
    created_at: Timestamp
    started_at: Timestamp | None
    events: int


class Checked(Value, frozen=True, kw_only=True):
    """What a check came to."""

    database: str
    schema_version: int
    sound: bool
    """Whether all is as it must be: there are no findings."""
    sessions: int
    tasks: int
    events: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What is no fault, and worth knowing."""
    unfinished: tuple[UnfinishedWork, ...]


def check(database: Path, workspaces: Path) -> Checked:
    """Check a database, beside a server that uses it or without one, and the names of the workspaces.

    Everything is read within one transaction, as of one moment; nothing is changed. Raises DatabaseError if there
    is nothing to check.
    """
    with looking_at(database) as connection:
        connection.execute("BEGIN")
        connection.row_factory = sqlite3.Row
        return _Check(connection).run(database, workspaces)


class _Check:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._findings: list[Finding] = []

    def run(self, database: Path, workspaces: Path) -> Checked:
        """Check all of it; what the faults of the file do not let be read is left out."""
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        known = version == len(MIGRATIONS)
        parts = {"database": self._faults_of_file()}
        if known:
            parts |= {
                "keys": self._faults_of_keys(),
                "tasks": self._faults_of_tasks(),
                "parents": self._faults_of_parents(),
                "messages": self._faults_of_messages(),
            }
        for name, findings in parts.items():
            self._take(name, findings)
        counts = dict.fromkeys(("sessions", "tasks", "events"), 0)
        notes: list[str] = []
        unfinished: list[UnfinishedWork] = []
        try:
            for table in counts:
                counts[table] = self._count(table)
            if known:
                unfinished = [UnfinishedWork(*row) for row in self._connection.execute(_UNFINISHED)]
            notes = list(chain(_other_version(version), self._notes_of_workspaces(workspaces)))
        except sqlite3.Error as error:
            self._findings.append(Finding("database", f"cannot be read any further: {error}"))
        return Checked(
            database=str(database),
            schema_version=version,
            sound=not self._findings,
            findings=tuple(self._findings),
            notes=tuple(notes),
            unfinished=tuple(unfinished),
            **counts,
        )

    def _take(self, name: str, findings: Iterator[Finding]) -> None:
        try:
            self._findings += islice(findings, MOST_FINDINGS)
            if next(findings, None) is not None:
                self._findings.append(Finding(name, f"has more findings: only {MOST_FINDINGS} are told"))
        except sqlite3.Error as error:
            self._findings.append(Finding(name, f"cannot be read any further: {error}"))

    def _count(self, table: str) -> int:
        count: int = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
        return count

    # What may be wrong.

    def _faults_of_file(self) -> Iterator[Finding]:
        for row in self._connection.execute("PRAGMA integrity_check"):
            if row[0] != "ok":
                yield Finding("database", row[0])
        for row in self._connection.execute("PRAGMA foreign_key_check"):
            yield Finding(f"row {row[1]} of {row[0]}", f"belongs to a row of {row[2]} that is not there")

    def _faults_of_keys(self) -> Iterator[Finding]:
        """A key that is used again would give a session another one's files, or a stream other events."""
        used = {row[0]: row[1] for row in self._connection.execute("SELECT name, seq FROM sqlite_sequence")}
        for table, key in _USED_KEYS.items():
            last = self._connection.execute(f"SELECT max({key}) FROM {table}").fetchone()[0] or 0  # noqa: S608 - ours
            if last > used.get(table, 0):
                yield Finding(table, f"have the key {last}, and {used.get(table, 0)} is noted as the last")

    def _faults_of_tasks(self) -> Iterator[Finding]:
        for task in self._connection.execute(_TASKS):
            about = f"task {task['task_id']}"
            if task["session_id"] is None:
                yield Finding(about, f"has no session: there is none with the key {task['session_key']}")
            elif task["owner"] != task["session_owner"]:
                yield Finding(about, f"is of {task['owner']!r}, and its session of {task['session_owner']!r}")
            rows = self._connection.execute(_EVENTS, (task["place"],)).fetchall()
            for fault in chain(faults_of_names(task), _faults_of_life(task, rows)):
                yield Finding(about, fault)
            for row in rows:
                if row["session_key"] != task["session_key"]:
                    yield Finding(about, f"event {row['event_id']} is of another session")

    def _faults_of_parents(self) -> Iterator[Finding]:
        for row in self._connection.execute(_ORPHANS):
            yield Finding(f"task {row[0]}", f"is a part of {row[1]!r}, which is no earlier task of its session")

    def _faults_of_messages(self) -> Iterator[Finding]:
        for row in self._connection.execute(_MISPLACED_MESSAGES):
            yield Finding(f"session with key {row[0]}", "has inherited messages that are not whole")

    # What is worth knowing.

    def _notes_of_workspaces(self, workspaces: Path) -> Iterator[str]:
        names = sorted(entry.name for entry in workspaces.iterdir()) if workspaces.is_dir() else []
        used = {row[0]: row[1] for row in self._connection.execute("SELECT name, seq FROM sqlite_sequence")}
        there = {row[0] for row in self._connection.execute("SELECT session_key FROM sessions")}
        for name in names:
            if not (name.isascii() and name.isdecimal()):
                yield f"workspaces/{name} is no workspace: it has no number for a name."
            elif int(name) > used.get("sessions", 0):
                yield f"workspaces/{name} is of a session that is yet to be made, or of another database."
            elif int(name) not in there:
                yield f"workspaces/{name} is of a session that is gone: it is removed at the next start."


def _faults_of_life(task: sqlite3.Row, rows: list[sqlite3.Row]) -> Iterator[str]:
    recorded = []
    for row in rows:
        name = f"event {row['event_id']}"
        try:
            event = read_back(bytes(row["body"]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield f"{name} cannot be read: {error}"
            return
        recorded.append(ReplayedEvent(name, row["event_type"], row["timestamp"], event))
    yield from faults_of_events(dict(task), recorded)


def _other_version(version: int) -> Iterator[str]:
    if version < len(MIGRATIONS):
        yield (
            f"The database has schema version {version}: a start of this version of Alex Runtime brings it to "
            f"{len(MIGRATIONS)}. Until then what it says of tasks is not checked."
        )
    elif version > len(MIGRATIONS):
        yield (
            f"The database has schema version {version}, and this version of Alex Runtime knows up to "
            f"{len(MIGRATIONS)}: only the newer version that made it can check what it says of tasks."
        )
