"""What a transaction removes for its age: tasks that ended long ago, and sessions with nothing left in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BindParameter, bindparam, delete, func, select

from alex_actors.store.schema import events, idempotency_keys, messages, sessions, tasks
from alex_actors.values import Owner, SessionId, TaskId, Value

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from alex_actors.values import Timestamp

_places: BindParameter[int] = bindparam("places", expanding=True)
_parents = tasks.alias()
_ended = (
    # A task without an end has no completed_at. The index on it is in the order that is wanted here.
    select(tasks.c.place, tasks.c.owner, tasks.c.task_id)
    .where(
        tasks.c.completed_at < bindparam("until"),
        # A parent that goes on after a long time finds its sub-agents' answers, and does not have them work again.
        ~select(_parents.c.place)
        .where(
            _parents.c.owner == tasks.c.owner,
            _parents.c.task_id == tasks.c.parent_task_id,
            _parents.c.completed_at.is_(None),
        )
        .exists(),
    )
    .order_by(tasks.c.completed_at)
    .limit(bindparam("most"))
)
_event_count = select(func.count()).select_from(events).where(events.c.place == bindparam("place"))
_remove_tasks = tuple(
    delete(table).where(table.c.place.in_(_places)) for table in (idempotency_keys, events, tasks)
)
"""Rows that refer to others first."""

_unused = select(sessions.c.session_key, sessions.c.owner, sessions.c.session_id).where(
    sessions.c.session_key > bindparam("after"),
    sessions.c.session_key <= bindparam("last"),
    sessions.c.updated_at < bindparam("until"),
    ~select(tasks.c.place).where(tasks.c.session_key == sessions.c.session_key).exists(),
    ~select(messages.c.position).where(messages.c.session_key == sessions.c.session_key).exists(),
)
_remove_sessions = delete(sessions).where(sessions.c.session_key.in_(bindparam("keys", expanding=True)))


class OldTask(Value, frozen=True):
    """A task that is removed."""

    owner: Owner
    task_id: TaskId


class OldSession(Value, frozen=True):
    """A session that is removed."""

    session_key: int
    owner: Owner
    session_id: SessionId


def remove_ended(connection: Connection, until: Timestamp, *, most_tasks: int, most_events: int) -> list[OldTask]:
    """Delete the tasks that ended first, if that was until then, with all that is recorded of them.

    At most so many, and no more once they have ``most_events``. Returns those that are gone.
    """
    removed, places, count = [], [], 0
    for place, owner, task_id in connection.execute(_ended, {"until": until, "most": most_tasks}).all():
        removed.append(OldTask(owner, task_id))
        places.append(place)
        count += connection.execute(_event_count, {"place": place}).scalar_one()
        if count >= most_events:
            break
    if places:
        for statement in _remove_tasks:
            connection.execute(statement, {"places": places})
    return removed


def remove_unused(connection: Connection, until: Timestamp, *, after: int, span: int) -> list[OldSession]:
    """Delete the sessions among ``span`` keys above ``after`` that have no task and no message, and were not used.

    Returns those that are gone.
    """
    wanted = {"until": until, "after": after, "last": after + span}
    removed = [OldSession(*row) for row in connection.execute(_unused, wanted)]
    if removed:
        connection.execute(_remove_sessions, {"keys": [one.session_key for one in removed]})
    return removed
