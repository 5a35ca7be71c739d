"""The SessionActor: sole owner of each session's line of unfinished tasks and their agents."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, assert_never

import pykka

from alex_actors.actor import PooledActor
from alex_actors.agent_protocol import CancelTask, TurnGranted
from alex_actors.messages import Promise, tell
from alex_actors.replies import AlreadyEnded, Cancelled, CancelReply, SessionBusy, TooManyTasks, UnknownTask
from alex_actors.session_protocol import (
    AgentCrashed,
    Cancel,
    Confirm,
    Confirmed,
    RequestTurn,
    SessionMessage,
    Settle,
    Settled,
    TaskEnded,
    TurnEnded,
)
from alex_actors.task_store_protocol import RecordCrash, Revoke
from alex_actors.values import Context, SessionId, TaskId, timestamp

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.agent_actor import AgentActor
    from alex_actors.ports import Clock, Ids
    from alex_actors.task_store_actor import TaskStoreActor
    from alex_actors.tasks import Status, Strategy, Task

LaunchAgent: TypeAlias = Callable[["Task", "pykka.ActorRef[SessionActor]"], None]
"""Starts the AgentActor of a recorded task in the care of a session actor, and tells it to start."""


class Place:
    """A task's place in its session's line, from its confirmation until its agent has stopped."""

    __slots__ = (
        "agent",
        "cancelling",
        "cancels",
        "context",
        "granted",
        "status",
        "strategy",
        "task_id",
        "turn_ended",
    )

    def __init__(self, task_id: TaskId, strategy: Strategy, context: Context) -> None:
        self.task_id = task_id
        self.strategy = strategy
        self.context = context
        self.agent: pykka.ActorRef[AgentActor] | None = None  # none yet while its task is being recorded
        self.granted = False
        self.status: Status | None = None  # the terminal one, once it is recorded
        self.turn_ended = False
        self.cancelling = False
        self.cancels: list[Promise[CancelReply]] = []


class SessionActor(PooledActor):
    """Confirms sessions, and says whose turn it is.

    The order of the confirmations is the order of the line. A place is left when the task's end is recorded
    and its agent has stopped; a session with no place in use takes no memory.
    """

    def __init__(
        self,
        *,
        store: pykka.ActorRef[TaskStoreActor],
        launch_agent: LaunchAgent,
        ids: Ids,
        clock: Clock,
        log: FilteringBoundLogger,
        next_place: int,
        max_unfinished: int,
        max_running: int,
    ) -> None:
        super().__init__()
        self._store = store
        self._launch_agent = launch_agent
        self._ids = ids
        self._clock = clock
        self._log = log
        self._next_place = next_place
        self._max_unfinished = max_unfinished
        self._max_running = max_running
        self._places: dict[TaskId, Place] = {}
        # Ordered dictionaries: a plain one finds its first more slowly with each that is taken from its front.
        self._lines: dict[SessionId, OrderedDict[TaskId, Place]] = {}
        self._unfinished = 0  # places whose task has no end yet
        self._running = 0
        # Whose turn it is, but as many as may are running.
        self._ready: OrderedDict[TaskId, Place] = OrderedDict()

    def on_receive(self, message: SessionMessage) -> object:
        """Handle a message."""
        match message:
            case Confirm():
                return message.reply(self._confirm(message))
            case Cancel():
                return self._cancel(message)
            case RequestTurn():
                self._request_turn(message)
            case TaskEnded():
                self._task_ended(message)
            case TurnEnded():
                self._turn_ended(message)
            case AgentCrashed():
                self._agent_crashed(message)
            case Settle():
                self._settle(message)
            case Settled():
                self._settled(message)
            case _:
                assert_never(message)
        return None

    # Confirming.

    def _confirm(self, message: Confirm) -> Confirmed | SessionBusy | TooManyTasks:
        for task_id, status in message.known_ended:
            if (place := self._places.get(task_id)) is not None:
                self._set_status(place, status)
        if self._unfinished >= self._max_unfinished:
            return TooManyTasks(self._max_unfinished)
        session_id = message.session_id or self._ids.session()
        line = self._lines.get(session_id, OrderedDict())
        if message.strategy == "reject":
            unfinished = tuple(task_id for task_id, place in line.items() if place.status is None)
            if unfinished:
                return SessionBusy(session_id, unfinished)
        context = message.context.about(message.task_id, session_id)
        place = Place(message.task_id, message.strategy, context.sent_by("SessionActor"))
        line[message.task_id] = place
        self._lines[session_id] = line
        self._places[message.task_id] = place
        self._unfinished += 1
        number, self._next_place = self._next_place, self._next_place + 1
        self._log.info(
            "session.confirmed",
            task_id=message.task_id,
            session_id=session_id,
            trace_id=context.trace_id,
            place=number,
            ahead=len(line) - 1,
            strategy=message.strategy,
        )
        return Confirmed(session_id, number, timestamp(self._clock.now()))

    def _settle(self, message: Settle) -> None:
        place = self._places.get(message.task_id)
        if place is not None and place.agent is None:
            # Whatever the asker had sent to the store was sent before this: the answer is final.
            tell(self._store, Revoke(context=place.context, task_id=place.task_id, session=self.actor_ref))

    def _settled(self, message: Settled) -> None:
        place = self._places.get(message.task_id)
        if place is None or place.agent is not None:
            return
        if message.task is not None:
            self._launch_agent(message.task, self.actor_ref)
            return
        self._log.info(
            "session.released",
            task_id=place.task_id,
            session_id=place.context.session_id,
            trace_id=place.context.trace_id,
        )
        self._leave(place, UnknownTask())

    # Turns.

    def _request_turn(self, message: RequestTurn) -> None:
        place = self._places.get(message.task_id)
        if place is None or place.agent is not None:
            return
        place.agent = message.agent
        if place.cancelling:
            tell(message.agent, CancelTask(context=place.context))
            return
        line = self._line_of(place)
        if place.strategy == "interrupt":
            self._interrupt_before(place, line)
        if place.strategy == "parallel" or next(iter(line.values())) is place:
            self._grant(place)

    def _interrupt_before(self, place: Place, line: OrderedDict[TaskId, Place]) -> None:
        for other in line.values():
            if other is place:
                return
            self._start_cancelling(other)

    def _grant(self, place: Place) -> None:
        if place.agent is None or place.granted or place.cancelling:
            return
        if self._running >= self._max_running:
            self._ready[place.task_id] = place
            return
        self._running += 1
        place.granted = True
        tell(place.agent, TurnGranted(context=place.context))

    def _turn_ended(self, message: TurnEnded) -> None:
        place = self._places.get(message.task_id)
        if place is None:
            return
        place.turn_ended = True
        if place.status is not None:
            self._leave(place, AlreadyEnded(place.status))

    def _task_ended(self, message: TaskEnded) -> None:
        place = self._places.get(message.task_id)
        if place is None:
            return
        self._set_status(place, message.status)
        if place.turn_ended:
            self._leave(place, AlreadyEnded(message.status))

    def _agent_crashed(self, message: AgentCrashed) -> None:
        place = self._places.get(message.task_id)
        if place is not None:
            crash = RecordCrash(
                context=place.context, task_id=place.task_id, error=message.error, session=self.actor_ref
            )
            tell(self._store, crash)

    # Cancelling.

    def _cancel(self, message: Cancel) -> CancelReply | Promise[CancelReply]:
        place = self._places.get(message.task_id)
        if place is None:
            return message.reply(UnknownTask())
        if place.status is not None:
            return message.reply(AlreadyEnded(place.status))
        self._log.info(
            "task.cancel_requested",
            task_id=place.task_id,
            session_id=place.context.session_id,
            trace_id=message.context.trace_id,
        )
        promise = message.later()
        place.cancels.append(promise)
        self._start_cancelling(place)
        return promise

    def _start_cancelling(self, place: Place) -> None:
        if place.cancelling or place.status is not None:
            return
        place.cancelling = True  # kept until there is an agent, if there is none yet
        if place.agent is not None:
            tell(place.agent, CancelTask(context=place.context))

    # Places.

    def _line_of(self, place: Place) -> OrderedDict[TaskId, Place]:
        return self._lines[SessionId(place.context.session_id)]

    def _set_status(self, place: Place, status: Status) -> None:
        if place.status is None:
            self._unfinished -= 1
        place.status = status
        answer = Cancelled() if status == "cancelled" else AlreadyEnded(status)
        self._answer_cancels(place, answer)

    def _answer_cancels(self, place: Place, answer: CancelReply) -> None:
        cancels, place.cancels = place.cancels, []
        for promise in cancels:
            promise.fulfil(answer)

    def _leave(self, place: Place, answer: CancelReply) -> None:
        """Free a place: its task has ended and its agent has stopped, or it was never recorded."""
        self._answer_cancels(place, answer)
        if place.status is None:
            self._unfinished -= 1
        line = self._line_of(place)
        del line[place.task_id], self._places[place.task_id]
        self._ready.pop(place.task_id, None)
        if line:
            self._grant(next(iter(line.values())))
        else:
            del self._lines[SessionId(place.context.session_id)]
        if place.granted:
            self._running -= 1
            while self._ready and self._running < self._max_running:
                _, waiting = self._ready.popitem(last=False)
                self._grant(waiting)
