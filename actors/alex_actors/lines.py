"""Each session's line of tasks: who has which place, and who is before whom."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from alex_actors.agent_protocol import CancelTask
from alex_actors.messages import tell
from alex_actors.replies import AlreadyEnded, Cancelled
from alex_actors.values import SessionId, SessionName

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pykka

    from alex_actors.agent_actor import AgentActor
    from alex_actors.messages import Promise
    from alex_actors.replies import CancelReply
    from alex_actors.tasks import Status, Strategy
    from alex_actors.values import Context, TaskId


class Place:
    """A task's place in its session's line, from its confirmation until its agent has stopped."""

    __slots__ = (
        "agent",
        "cancelling",
        "cancels",
        "children",
        "context",
        "crash",
        "granted",
        "parent",
        "parent_task_id",
        "settling",
        "status",
        "strategy",
        "task_id",
        "turn_ended",
    )

    def __init__(
        self, task_id: TaskId, strategy: Strategy, context: Context, parent_task_id: TaskId | None = None
    ) -> None:
        self.task_id = task_id
        self.strategy = strategy
        self.context = context
        self.parent_task_id = parent_task_id
        # Of a sub-agent's task: whose it is, unless that has left the line; and the sub-agents' tasks of this one.
        self.parent: Place | None = None
        self.children: dict[TaskId, Place] = {}
        self.agent: pykka.ActorRef[AgentActor] | None = None  # none yet while its task is being recorded
        self.granted = False
        self.status: Status | None = None  # the terminal one, once it is recorded
        self.turn_ended = False
        self.cancelling = False
        self.cancels: list[Promise[CancelReply]] = []
        # What the store was told and has not answered yet: it is told again when it was restarted.
        self.settling = False
        self.crash: str | None = None

    @property
    def over(self) -> bool:
        """Whether its agent's work is over, or about to be: no sub-agent may begin any more."""
        return self.status is not None or self.cancelling or self.crash is not None

    @property
    def stray(self) -> bool:
        """Whether it is of a sub-agent whose parent's work is over: it is to end with it."""
        return self.parent_task_id is not None and (self.parent is None or self.parent.over)

    @property
    def done(self) -> bool:
        """Whether its task's end is recorded, and nothing of its agent or of its sub-agents runs any more."""
        return self.status is not None and self.turn_ended and not self.children

    def start_cancelling(self) -> None:
        """Have its agent cancelled; once there is one, if there is none yet. Its sub-agents' with it."""
        if self.cancelling or self.status is not None:
            return
        self.cancelling = True
        if self.agent is not None:
            tell(self.agent, CancelTask(context=self.context))
        self.cancel_children()

    def cancel_children(self) -> None:
        """Have its sub-agents cancelled: none outlives it."""
        for child in self.children.values():
            child.start_cancelling()

    def answer_cancels(self, answer: CancelReply) -> None:
        """Answer all who asked to cancel its task."""
        cancels, self.cancels = self.cancels, []
        for promise in cancels:
            promise.fulfil(answer)

    @property
    def session_id(self) -> SessionId:
        """Whose line it is in."""
        return SessionId(self.context.session_id)

    @property
    def session(self) -> SessionName:
        """The name of the session in whose line it is."""
        return self.context.session


class Lines:
    """All places, by task and in the order of each line. A session without a place takes no memory."""

    def __init__(self) -> None:
        self.places: dict[TaskId, Place] = {}
        self.unfinished = 0
        """Places whose task has no end yet."""
        # Ordered dictionaries: a plain one finds its first more slowly with each that is taken from its front.
        self.by_session: dict[SessionName, OrderedDict[TaskId, Place]] = {}

    def find(self, task_id: TaskId) -> Place | None:
        """Return a task's place, if it has one."""
        return self.places.get(task_id)

    def __iter__(self) -> Iterator[Place]:
        """Go through all places, in the order of their confirmation."""
        return iter(tuple(self.places.values()))

    def length(self, session: SessionName) -> int:
        """Return how many places a session's line has."""
        return len(self.by_session.get(session, ()))

    def unfinished_of(self, session: SessionName) -> tuple[TaskId, ...]:
        """Return a session's tasks that have no end yet, in their order."""
        line = self.by_session.get(session)
        return () if line is None else tuple(one.task_id for one in line.values() if one.status is None)

    def of(self, session: SessionName) -> tuple[Place, ...]:
        """Return the places of a session's line, in their order."""
        return tuple(self.by_session.get(session, {}).values())

    def enter(self, place: Place) -> None:
        """Add a place at the end of its line."""
        self.places[place.task_id] = place
        if place.parent_task_id is not None and (parent := self.places.get(place.parent_task_id)) is not None:
            place.parent = parent
            parent.children[place.task_id] = place
        self.by_session.setdefault(place.session, OrderedDict())[place.task_id] = place
        self.unfinished += 1

    def is_first(self, place: Place) -> bool:
        """Return whether nobody in its line is before it."""
        return next(iter(self.by_session[place.session].values())) is place

    def before(self, place: Place) -> list[Place]:
        """Return those in its line that are before a place."""
        before: list[Place] = []
        for other in self.by_session[place.session].values():
            if other is place:
                break
            before.append(other)
        return before

    def end(self, place: Place, status: Status) -> None:
        """Take notice that a place's task has ended, and tell who wanted it cancelled; its agent may still run.

        Its sub-agents are cancelled.
        """
        if place.status is None:
            self.unfinished -= 1
        place.status = status
        place.answer_cancels(Cancelled() if status == "cancelled" else AlreadyEnded(status))
        place.cancel_children()

    def leave(self, place: Place) -> Place | None:
        """Free a place. Returns who is first in its line now, if there is somebody."""
        if place.status is None:
            self.unfinished -= 1
        del self.places[place.task_id]
        if place.parent is not None:
            del place.parent.children[place.task_id]
        line = self.by_session[place.session]
        del line[place.task_id]
        if not line:
            del self.by_session[place.session]
            return None
        return next(iter(line.values()))
