"""The queries of the reader, built once: building one costs SQLAlchemy more than running it costs SQLite.

What they are given is a parameter of its name; ``expanding`` ones take a list.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary, Select, String, bindparam, cast, func, select, text

from alex_actors.events import EVENT_TYPES, TERMINAL
from alex_actors.store.schema import events, idempotency_keys, messages, sessions, tasks
from alex_actors.tasks import UNFINISHED

TERMINAL_TYPES = [EVENT_TYPES[event] for event in TERMINAL]

_my_tasks = tasks.c.owner == bindparam("owner")
_my_sessions = sessions.c.owner == bindparam("owner")
_this_task = (tasks.c.task_id == bindparam("task_id"), _my_tasks)
_this_session = (sessions.c.session_id == bindparam("session_id"), _my_sessions)

WHOLE_TASK = select(tasks, sessions.c.session_id).join(sessions)

_last_task = (
    select(tasks.c.task)
    .where(tasks.c.session_key == sessions.c.session_key)
    .order_by(tasks.c.place.desc())
    .limit(1)
    .scalar_subquery()
)
_task_count = (
    select(func.count()).select_from(tasks).where(tasks.c.session_key == sessions.c.session_key).scalar_subquery()
)
_whole_session = select(
    sessions.c.session_id,
    sessions.c.created_at,
    sessions.c.updated_at,
    _task_count.label("task_count"),
    _last_task.label("last_task"),
    sessions.c.forked_from,
    sessions.c.metadata,
)

ONE_TASK = WHOLE_TASK.where(*_this_task)
ONE_SESSION = _whole_session.where(*_this_session)
TASKS_OF_SESSION = WHOLE_TASK.where(*_this_session).order_by(tasks.c.place)
SESSIONS = (
    _whole_session.where(_my_sessions)
    .order_by(sessions.c.updated_at.desc(), sessions.c.session_key.desc())
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
SESSION_COUNT = select(func.count()).select_from(sessions).where(_my_sessions)

ENDED = select(tasks.c.owner, tasks.c.task_id, tasks.c.status).where(
    tasks.c.task_id.in_(bindparam("task_ids", expanding=True)), _my_tasks, tasks.c.status.not_in(UNFINISHED)
)
LAST_ENDED = select(tasks.c.owner, tasks.c.task_id, tasks.c.status).where(
    tasks.c.place.in_(
        select(events.c.place)
        .where(events.c.event_type.in_(TERMINAL_TYPES))
        .order_by(events.c.event_id.desc())
        .limit(bindparam("limit"))
    )
)


def _page_of_tasks(
    *, of_session: bool, with_status: bool
) -> tuple[Select[Any], Select[int]]:  # Any: the columns of a task
    """Return the queries of a page of tasks, the last confirmed first, and of how many there are in all."""
    wanted = [_my_tasks]
    if of_session:
        wanted.append(tasks.c.session_key == KEY_OF_SESSION.scalar_subquery())
    if with_status:
        wanted.append(tasks.c.status == bindparam("status"))
    page = WHOLE_TASK.where(*wanted).order_by(tasks.c.place.desc())
    return (
        page.limit(bindparam("limit")).offset(bindparam("offset")),
        select(func.count()).select_from(tasks).where(*wanted),
    )


_unfinished = tasks.c.status.in_(UNFINISHED)
UNFINISHED_TASKS = WHOLE_TASK.where(_unfinished).order_by(tasks.c.place)
EVENT_COUNTS = select(
    tasks.c.place,
    select(func.count()).select_from(events).where(events.c.place == tasks.c.place).scalar_subquery(),
).where(_unfinished)
LAST_PLACE = select(func.max(tasks.c.place))
LAST_KEYS = text("SELECT name, seq FROM sqlite_sequence")

# By key, so that the indices of a task's and a session's events, and of a session's tasks, give the order as well.
PLACE_OF_TASK = select(tasks.c.place).where(*_this_task)
KEY_OF_SESSION = select(sessions.c.session_key).where(*_this_session)
KEY_OF_EVENT = select(events.c.session_key).where(events.c.event_id == bindparam("event_id"))
SESSION_KEYS = select(sessions.c.session_key)  # of all owners: to find the workspaces of those that are gone
_whole_event = (
    select(
        events.c.event_id,
        events.c.event_type,
        tasks.c.task_id,
        sessions.c.session_id,
        tasks.c.parent_task_id,
        events.c.timestamp,
        events.c.body,
        tasks.c.owner,
    )
    .join_from(events, tasks, tasks.c.place == events.c.place)
    .join(sessions, sessions.c.session_key == events.c.session_key)
    .where(events.c.event_id > bindparam("after"))
    .order_by(events.c.event_id)
)
EVENTS_AFTER = _whole_event
_events = _whole_event.limit(bindparam("limit"))
EVENTS_OF_TASK = _events.where(events.c.place == bindparam("key"))
EVENTS_OF_SESSION = _events.where(events.c.session_key == bindparam("key"))

MESSAGES_OF_SESSION = (
    select(messages.c.role, messages.c.content).join(sessions).where(*_this_session).order_by(messages.c.position)
)

EARLIER_TASKS = (
    select(tasks.c.task, tasks.c.status, tasks.c.answer, tasks.c.error)
    .where(
        tasks.c.session_key == bindparam("key"),
        tasks.c.place < bindparam("place"),
        tasks.c.parent_task_id.is_(None),
        tasks.c.completed_at.is_not(None),
        func.coalesce(bindparam("ended_by", type_=String), tasks.c.completed_at) >= tasks.c.completed_at,
    )
    .order_by(tasks.c.place.desc())
)
"""Those of a session that had ended by a moment, the last first; whatever has ended if that is null."""
LAST_MESSAGES_OF_SESSION = (
    select(messages.c.role, messages.c.content)
    .where(messages.c.session_key == bindparam("key"))
    .order_by(messages.c.position.desc())
)

ALL_EVENTS_OF_SESSION = EVENTS_AFTER.where(*_this_session)
SIZE_OF_SESSION = (
    select(func.coalesce(func.sum(func.length(events.c.body)), 0))
    .select_from(events)
    .where(events.c.session_key == KEY_OF_SESSION.scalar_subquery())
)
"""In bytes, of the events of its tasks: they have all that the tasks have."""
SIZE_OF_MESSAGES = select(
    func.count(), func.coalesce(func.sum(func.length(cast(messages.c.content, LargeBinary))), 0)
).where(messages.c.session_key == KEY_OF_SESSION.scalar_subquery())
"""How many messages a session has from the one that it was forked from, and their bytes."""

SUBMITTED_WITH = (
    select(idempotency_keys.c.fingerprint, tasks.c.task_id)
    .join(tasks)
    .where(
        idempotency_keys.c.owner == bindparam("owner"),
        idempotency_keys.c.idempotency_key == bindparam("key"),
        idempotency_keys.c.created_at > bindparam("since"),
    )
)

TASKS = {
    (of_session, with_status): _page_of_tasks(of_session=of_session, with_status=with_status)
    for of_session in (False, True)
    for with_status in (False, True)
}
"""By whether only those of a session, or only those with a status, are wanted."""
