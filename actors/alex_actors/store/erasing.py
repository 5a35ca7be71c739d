"""A session that is deleted: what is told of it once that is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alex_actors.broadcaster_protocol import PublishDeleted
from alex_actors.messages import tell
from alex_actors.values import Context, Owner, SessionId, TaskId, Value, not_local

if TYPE_CHECKING:
    import pykka
    from structlog.typing import FilteringBoundLogger

    from alex_actors.broadcaster_actor import BroadcasterActor
    from alex_actors.ports import Workspaces


class Erasure(Value, frozen=True):
    """A session that is deleted, or is just about to be."""

    owner: Owner
    session_id: SessionId
    session_key: int
    task_ids: tuple[TaskId, ...]
    trace_id: str
    """Of the request that asked for it."""


def tell_of_erasure(
    erased: Erasure,
    *,
    log: FilteringBoundLogger,
    broadcaster: pykka.ActorRef[BroadcasterActor],
    workspaces: Workspaces,
) -> None:
    """Log that a session is deleted, tell who follows it, and have its workspace removed."""
    session_id, trace_id = erased.session_id, erased.trace_id
    owner = not_local(erased.owner)
    log.info("session.deleted", session_id=session_id, trace_id=trace_id, tasks=len(erased.task_ids), **owner)
    context = Context(trace_id, session_id=session_id, sender="TaskStoreActor", owner=erased.owner)
    tell(broadcaster, PublishDeleted(context=context, session_id=session_id, task_ids=erased.task_ids))
    workspaces.discard(erased.session_key)
