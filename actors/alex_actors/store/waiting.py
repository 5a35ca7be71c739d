"""Which tool calls wait for a person's word: those with an ``approval_requested`` and no ``approval_resolved``.

A call waits in a task that runs: its end answers all of its calls. So who looks for them goes from the owner's
running tasks over the index ``approvals_by_task``; what has ended, and all other events, cost nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Select, String, bindparam, func, literal_column, or_, select

from alex_actors.replies import WaitingCall, WaitingCalls
from alex_actors.store.queries import KEY_OF_SESSION
from alex_actors.store.schema import events, sessions, tasks
from alex_actors.values import Timestamp, moment, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

HEAD = 256
"""Bytes of a body that its call's ID is within: no more than type, turn and an ID of 128 characters come first."""

_CALL_ID = re.compile(rb'"call_id":"([^"]*)"')  # its characters stand for themselves in JSON: see check_request
_EXPIRY = re.compile(rb',"expires_at":"([^"]*)"}\Z')

# Literals, no parameters: SQLite takes a partial index only where it sees that its condition holds.
_REQUESTED = literal_column("'approval_requested'", String)
_RESOLVED = literal_column("'approval_resolved'", String)
_counted = events.alias("counted")


class _Request(msgspec.Struct, frozen=True):
    """What the body of an ``approval_requested`` has before the arguments."""

    iteration: int
    call_id: str
    tool_name: str


_read = msgspec.json.Decoder(_Request).decode


def _how_many(kind: ColumnElement[str]) -> ColumnElement[int]:
    """Return how many events of a type a task has."""
    return (
        select(func.count())
        .select_from(_counted)
        .where(_counted.c.place == tasks.c.place, _counted.c.event_type == kind)
        .correlate(tasks)
        .scalar_subquery()
    )


def _heads(*, of_session: bool) -> Select[Any]:  # Any: the columns of an event
    """Return the query of the approvals of all tasks that wait, resolved ones among them.

    A call is asked about once and resolved once: a task with as many of the one as of the other waits for nobody.
    """
    waits = [
        tasks.c.owner == bindparam("owner"),
        tasks.c.status == "running",
        _how_many(_REQUESTED) > _how_many(_RESOLVED),
    ]
    if of_session:
        waits.append(tasks.c.session_key == KEY_OF_SESSION.scalar_subquery())
    return select(
        events.c.event_id, events.c.place, events.c.event_type, func.substr(events.c.body, 1, HEAD).label("head")
    ).where(
        events.c.place.in_(select(tasks.c.place).where(*waits)),
        or_(events.c.event_type == _REQUESTED, events.c.event_type == _RESOLVED),
    )


HEADS = {of_session: _heads(of_session=of_session) for of_session in (False, True)}
"""By whether only those of a session are wanted."""
REQUESTS = (
    select(events.c.event_id, tasks.c.task_id, sessions.c.session_id, events.c.timestamp, events.c.body)
    .join_from(events, tasks, tasks.c.place == events.c.place)
    .join(sessions, sessions.c.session_key == events.c.session_key)
    .where(events.c.event_id.in_(bindparam("event_ids", expanding=True)))
    .order_by(events.c.event_id)
)


def waiting_requests(connection: Connection, wanted: Mapping[str, str | int | None]) -> list[int]:
    """Return the ids of the requests that nobody has answered, in order. ``wanted``: the owner, the session."""
    asked: dict[tuple[int, bytes], int] = {}
    resolved = set()
    for row in connection.execute(HEADS[wanted["session_id"] is not None], wanted):
        call = (row.place, _call_id(row.head))
        if row.event_type == "approval_requested":
            asked[call] = row.event_id
        else:
            resolved.add(call)
    return sorted(event_id for call, event_id in asked.items() if call not in resolved)


def page_of_waiting(
    connection: Connection, event_ids: Sequence[int], *, limit: int, most_bytes: int
) -> WaitingCalls:
    """Return the calls of the first of these requests: ``limit``, and no more once they have ``most_bytes``."""
    calls: list[WaitingCall] = []
    left = most_bytes
    rows = connection.execute(REQUESTS, {"event_ids": event_ids[:limit]})
    while left > 0 and (row := rows.fetchone()) is not None:  # SQLite reads what is fetched
        calls.append(_call_of_row(row))
        left -= len(row.body)
    rows.close()
    return WaitingCalls(tuple(calls), goes_on=len(calls) < len(event_ids))


def _call_of_row(row: Row[*tuple[Any, ...]]) -> WaitingCall:  # Any: column values
    """Read a request, but not its arguments: some that an agent's thread could write are too deep for a worker's.

    A body has its members in the order of its struct, and no text in JSON has a bare quotation mark: what comes
    first is not within another member.
    """
    before, _, rest = bytes(row.body).partition(b',"arguments":')
    request, expiry = _read(before + b"}"), _EXPIRY.search(rest)
    return WaitingCall(
        event_id=row.event_id,
        task_id=row.task_id,
        session_id=row.session_id,
        call_id=request.call_id,
        iteration=request.iteration,
        tool_name=request.tool_name,
        arguments=msgspec.Raw(rest[: -1 if expiry is None else expiry.start()]),
        requested_at=row.timestamp,
        # Written as all times are: an agent may have given it in another form of ISO 8601.
        expires_at=None if expiry is None else timestamp(moment(Timestamp(expiry[1].decode()))),
    )


def _call_id(head: bytes) -> bytes:
    found = _CALL_ID.search(head)
    if found is None:
        raise ValueError(f"no approval begins with {head!r}")
    return found[1]
