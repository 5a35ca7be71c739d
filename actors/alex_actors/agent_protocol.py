"""The messages of the AgentActor."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from alex_actors.messages import Ask, Tell
from alex_actors.ports import Decision, Yielded
from alex_actors.replies import DecideReply
from alex_actors.tasks import Status

if TYPE_CHECKING:
    from alex_actors.agent_actor import AgentActor  # noqa: F401 - named in the messages' bases


class Start(Tell["AgentActor"], frozen=True, kw_only=True):
    """The session is confirmed and the task recorded: get in line. Sent once."""


class Announce(Tell["AgentActor"], frozen=True, kw_only=True):
    """The session actor was restarted: tell it how it stands. Answered with ``AgentPresent``."""


class TurnGranted(Tell["AgentActor"], frozen=True, kw_only=True):
    """Run. A second grant changes nothing."""


class CancelTask(Tell["AgentActor"], frozen=True, kw_only=True):
    """End as cancelled, in whatever phase. Changes nothing once an end is decided."""


class Decide(Ask["AgentActor", DecideReply], frozen=True, kw_only=True):
    """Take a person's word on a tool call that waits for it. Answered when it is recorded; the first counts."""

    call_id: str
    decision: Decision


class Recorded(Tell["AgentActor"], frozen=True, kw_only=True):
    """The first ``count`` events of the task are committed."""

    count: int


class History(Tell["AgentActor"], frozen=True, kw_only=True):
    """All that is recorded of the task: the bodies of its events, in order."""

    bodies: tuple[bytes, ...]


class RecordsMissing(Tell["AgentActor"], frozen=True, kw_only=True):
    """A Record could not be taken, since others before it were lost: only ``count`` events are committed."""

    count: int


class RecordRefused(Tell["AgentActor"], frozen=True, kw_only=True):
    """The task has its terminal event already, by somebody else's hand; or it was deleted with its session."""

    status: Status


class _RunReported(Tell["AgentActor"], frozen=True, kw_only=True):
    """What the executor reports of the agent's run."""

    news: Yielded


class _DeadlineReached(Tell["AgentActor"], frozen=True, kw_only=True):
    """The task has run for as long as it may."""


class _ApprovalLapsed(Tell["AgentActor"], frozen=True, kw_only=True):
    """Nobody has answered a request for approval within its time."""

    call_id: str


class _StopOverdue(Tell["AgentActor"], frozen=True, kw_only=True):
    """The agent was interrupted, and has not stopped within the grace."""


class _ResendDue(Tell["AgentActor"], frozen=True, kw_only=True):
    """It is time to look whether a Record is unanswered."""


AgentMessage: TypeAlias = (
    Start
    | Announce
    | TurnGranted
    | History
    | CancelTask
    | Decide
    | Recorded
    | RecordsMissing
    | RecordRefused
    | _RunReported
    | _DeadlineReached
    | _ApprovalLapsed
    | _StopOverdue
    | _ResendDue
)
