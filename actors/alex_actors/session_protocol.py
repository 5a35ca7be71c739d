"""The messages of the SessionActor."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pykka

from alex_actors.messages import Ask, Tell
from alex_actors.replies import CancelReply, Deleted, SessionBusy, SessionDeleting, TooManyTasks
from alex_actors.tasks import Status, Strategy, Task
from alex_actors.values import Owner, SessionId, TaskId, Timestamp, Value

if TYPE_CHECKING:
    from alex_actors.agent_actor import AgentActor
    from alex_actors.session_actor import SessionActor  # noqa: F401 - named in the messages' bases


EndedTask: TypeAlias = tuple[Owner, TaskId, Status]
"""A task that has ended: whose it is, its ID, how."""


class Confirmed(Value, frozen=True):
    """The session's ID for ever, and the task's place in line."""

    session_id: SessionId
    place: int
    confirmed_at: Timestamp
    incarnation: int
    """Which session actor says so: the store records nothing on the word of one that is gone."""


class Claimed(Value, frozen=True):
    """No other submit has this key until it is released. What was recorded with it before can be read."""


class ClaimLost(Value, frozen=True):
    """The key was claimed before a crash of the session actor: another submit may have claimed it since."""


class ParentEnded(Value, frozen=True):
    """The task that a sub-agent was to work for has ended, or is about to, or is not in the session."""

    parent_task_id: TaskId


ChildReply: TypeAlias = Confirmed | ParentEnded | TooManyTasks

ConfirmReply: TypeAlias = Confirmed | SessionBusy | SessionDeleting | TooManyTasks | ClaimLost


class ClaimKey(Ask["SessionActor", Claimed], frozen=True, kw_only=True):
    """Claim an idempotency key of the context's owner for a submit. Answered when it is that submit's."""

    task_id: TaskId
    key: str


class ReleaseKey(Tell["SessionActor"], frozen=True, kw_only=True):
    """The submit that claimed a key is over: its task is recorded with it, or will never be."""

    task_id: TaskId


class Confirm(Ask["SessionActor", ConfirmReply], frozen=True, kw_only=True):
    """Confirm a session, get or create, and reserve the task's place in its line."""

    task_id: TaskId
    session_id: SessionId | None
    strategy: Strategy
    known_ended: tuple[EndedTask, ...] = ()
    """What the asker has read in the store: a task that a reader may see as ended keeps no session busy."""
    claimed: bool = False
    """Whether the asker has claimed an idempotency key: to be refused if that claim is forgotten."""


class ConfirmChild(Ask["SessionActor", ChildReply], frozen=True, kw_only=True):
    """Confirm a sub-agent's task, in the line of its parent's session. It waits neither in line nor for room."""

    task_id: TaskId
    parent_task_id: TaskId


class Admitted(Value, frozen=True):
    """The session may be made, under this ID."""

    session_id: SessionId
    first_place: int
    """Of as many places as were asked for: nobody else gets them."""
    incarnation: int
    """Which session actor says so, as in Confirmed."""


class AdmitSession(Ask["SessionActor", Admitted | SessionDeleting], frozen=True, kw_only=True):
    """Say whether a session may be made without a task that is to run, and under which ID; None: a new one."""

    session_id: SessionId | None
    places: int = 0
    """For how many tasks that have ended already it needs places."""


class Settle(Tell["SessionActor"], frozen=True, kw_only=True):
    """Who asked to confirm this task gave up before its agent was started: find out, and leave nothing open."""

    task_id: TaskId


class Settled(Tell["SessionActor"], frozen=True, kw_only=True):
    """What the store found: the task if it is recorded, or None, and then it never will be."""

    task_id: TaskId
    task: Task | None


class UnfinishedTask(Value, frozen=True):
    """A task that has no end recorded."""

    task: Task
    recorded: int
    """How many events it has."""


class Stock(Tell["SessionActor"], frozen=True, kw_only=True):
    """The store's answer to ``TakeStock``: from now on nothing is recorded but what this one confirms."""

    incarnation: int
    unfinished: tuple[UnfinishedTask, ...]
    """In the order of their places."""
    last_place: int
    """The last place in line that is recorded, 0 if none."""


class StoreRestarted(Tell["SessionActor"], frozen=True, kw_only=True):
    """The store crashed and was restarted: what it was told and has not answered may be lost."""


class AgentPresent(Tell["SessionActor"], frozen=True, kw_only=True):
    """An agent's answer to ``Announce``."""

    task_id: TaskId
    agent: pykka.ActorRef[AgentActor]
    granted: bool
    """Whether it has had its turn."""
    status: Status | None
    """The task's end, if the agent knows it to be recorded."""


class RequestTurn(Tell["SessionActor"], frozen=True, kw_only=True):
    """A recorded task's agent is there, and waits for ``TurnGranted``."""

    task_id: TaskId
    agent: pykka.ActorRef[AgentActor]


class TaskEnded(Tell["SessionActor"], frozen=True, kw_only=True):
    """The task's terminal event is recorded."""

    task_id: TaskId
    status: Status


class TurnEnded(Tell["SessionActor"], frozen=True, kw_only=True):
    """The task's agent has really stopped: nothing of it runs any more."""

    task_id: TaskId


class AgentCrashed(Tell["SessionActor"], frozen=True, kw_only=True):
    """The task's AgentActor crashed. Sent by its supervision."""

    task_id: TaskId
    error: str


class Cancel(Ask["SessionActor", CancelReply], frozen=True, kw_only=True):
    """Have a task cancelled. Answered when its end is recorded, whichever end that is."""

    task_id: TaskId


class DeleteSession(Ask["SessionActor", Deleted], frozen=True, kw_only=True):
    """Cancel a session's tasks, wait until their agents have stopped, and have it deleted with all that it has.

    Answered when nothing of it is recorded any more; fails with StoreFailure if that could not be done.
    """

    session_id: SessionId


class SessionErased(Tell["SessionActor"], frozen=True, kw_only=True):
    """The store's answer to ``EraseSession``: nothing of the session is recorded any more."""

    session_id: SessionId
    deletion: int


class EraseFailed(Tell["SessionActor"], frozen=True, kw_only=True):
    """The store's other answer to ``EraseSession``: the session is there, as it was."""

    session_id: SessionId
    deletion: int
    error: str


SessionQuestion: TypeAlias = ClaimKey | Confirm | ConfirmChild | AdmitSession | Cancel | DeleteSession

SessionMessage: TypeAlias = (
    SessionQuestion
    | ReleaseKey
    | Settle
    | Settled
    | Stock
    | StoreRestarted
    | AgentPresent
    | RequestTurn
    | TaskEnded
    | TurnEnded
    | AgentCrashed
    | SessionErased
    | EraseFailed
)
