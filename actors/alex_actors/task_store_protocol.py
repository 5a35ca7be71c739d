"""The messages of the TaskStoreActor."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pykka

from alex_actors.copies import BroughtSession
from alex_actors.events import Stamped
from alex_actors.messages import Ask, Tell
from alex_actors.replies import SessionExists, TaskExists, UnknownSession, WorkspaceTooLarge
from alex_actors.tasks import IdempotencyKey, NewTask, Task
from alex_actors.values import SessionId, TaskId, Timestamp, Value

if TYPE_CHECKING:
    from alex_actors.agent_actor import AgentActor
    from alex_actors.session_actor import SessionActor
    from alex_actors.task_store_actor import TaskStoreActor  # noqa: F401 - named in the messages' bases


class StoreFailure(Exception):
    """The store could not be written; nothing of the message is recorded."""


class Create(Ask["TaskStoreActor", Task], frozen=True, kw_only=True):
    """Record a task under its confirmed session, and the session with its first task.

    Fails with StoreFailure if it could not be recorded, or if who confirmed it is gone.
    """

    task_id: TaskId
    session_id: SessionId
    place: int
    confirmed_at: Timestamp
    incarnation: int
    """Of the session actor that confirmed it."""
    new: NewTask
    key: IdempotencyKey | None = None
    """Recorded with the task, so that a repeat of this submit finds it."""


class Record(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Record events of a task, the first of which is its ``first``-th (counted from 0, `task_created`).

    Answered with ``Recorded`` after the commit, with ``RecordsMissing`` if events before these were lost, or with
    ``RecordRefused``. Not answered: send it again; what was recorded before is not recorded twice.
    """

    task_id: TaskId
    first: int
    events: tuple[Stamped, ...]
    agent: pykka.ActorRef[AgentActor]


class RecordCrash(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Record that a task's agent crashed, unless the task has ended. Answered with ``TaskEnded``."""

    task_id: TaskId
    error: str
    session: pykka.ActorRef[SessionActor]


class Revoke(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Forget a ``Create`` whose asker gave up, if it is not recorded yet. Answered with ``Settled``."""

    task_id: TaskId
    session: pykka.ActorRef[SessionActor]


class TakeStock(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """A session actor has started: say what is unfinished, and record nothing more that one before confirmed.

    Answered with ``Stock``.
    """

    incarnation: int
    session: pykka.ActorRef[SessionActor]


class EraseSession(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Delete a session, its tasks and their events, in one transaction: nothing of it runs any more.

    Answered with ``SessionErased``, also if there is no such session (any more), or with ``EraseFailed``. Not
    answered: send it again.
    """

    session_id: SessionId
    deletion: int
    """Which deletion this is: comes back with the answer."""
    session: pykka.ActorRef[SessionActor]


class MakeSession(Ask["TaskStoreActor", bool], frozen=True, kw_only=True):
    """Record a session without a task, unless it exists. Answered with whether it did; fails with StoreFailure."""

    session_id: SessionId
    metadata: dict[str, str]


StoredFork: TypeAlias = SessionId | SessionExists | UnknownSession | WorkspaceTooLarge
StoredImport: TypeAlias = SessionId | SessionExists | TaskExists


class ForkSession(Ask["TaskStoreActor", StoredFork], frozen=True, kw_only=True):
    """Record a new session with a copy of the messages and the workspace of the context's session.

    Answered when both are copied, with the ID of the new session; fails with StoreFailure.
    """

    new_id: SessionId
    metadata: dict[str, str] | None
    """None: that of the session which is forked."""


class WorkspaceCopied(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """The workspace of a fork is there, or cannot be: what was begun with ``ForkSession`` goes on."""

    new_key: int
    """Of the session that is to have it."""
    error: str | None
    too_large: bool = False


class ImportSession(Ask["TaskStoreActor", StoredImport], frozen=True, kw_only=True):
    """Record a session with all of its tasks and their events, unless it or one of them exists.

    Fails with StoreFailure if it could not be recorded, or if who gave it its places is gone.
    """

    brought: BroughtSession
    first_place: int
    """Of as many places as it has tasks."""
    incarnation: int
    """Of the session actor that gave it the places."""


class RemoveOld(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Remove some of the tasks that ended longer ago than they are to be kept, and go on with it later."""


class RecoveredStore(Value, frozen=True):
    """What a previous run of the server left."""

    unfinished: int
    """How many tasks it left unfinished, which are ended now."""


class ReadFailed(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Somebody could not read the store."""

    error: str


class Recover(Ask["TaskStoreActor", RecoveredStore], frozen=True, kw_only=True):
    """Take up every task that a previous run left unfinished, or end it. To be asked before all else."""

    resume: bool
    """Whether they go on: the first session actor finds them in its stock. If not, they end as ``interrupted``."""


class TellHistory(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Say what is recorded of a task whose agent goes on. Answered with ``History``; if not, send it again."""

    task_id: TaskId
    agent: pykka.ActorRef[AgentActor]


class _Commit(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Sent by the store to itself, behind what waits already: all of that goes into one transaction."""


class _Probe(Tell["TaskStoreActor"], frozen=True, kw_only=True):
    """Sent by the store to itself while it fails: look whether it works again, should nobody ask for anything."""


WholeSessions: TypeAlias = ForkSession | WorkspaceCopied | ImportSession | RemoveOld
"""What is done in transactions of their own."""

TaskStoreMessage: TypeAlias = (
    Create
    | Record
    | RecordCrash
    | Revoke
    | TakeStock
    | EraseSession
    | MakeSession
    | WholeSessions
    | ReadFailed
    | Recover
    | TellHistory
    | _Commit
    | _Probe
)
