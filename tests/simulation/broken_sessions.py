"""Session actors, and ways to submit, that each lack one thing that the protocol needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pykka

from alex_actors.agent_launcher import AgentLauncher, LaunchedAgent
from alex_actors.agent_protocol import TurnGranted
from alex_actors.lines import Lines, Place
from alex_actors.messages import Promise, tell
from alex_actors.replies import AlreadyEnded, Cancelled, CancelReply
from alex_actors.runtime import ActorRuntime
from alex_actors.session_actor import GONE, SessionActor
from alex_actors.session_protocol import (
    AgentCrashed,
    Cancel,
    Confirm,
    Confirmed,
    ConfirmReply,
    RequestTurn,
    Settle,
    Stock,
    TaskEnded,
    UnfinishedTask,
)
from alex_actors.tasks import NewTask, Task
from alex_actors.values import Context, TaskId

# Submits.


class StartsBeforeCreate(ActorRuntime):
    """Starts the agent as soon as the session is confirmed, and has the task recorded then."""

    def _confirm(self, task_id: TaskId, new: NewTask, context: Context, *, claimed: bool) -> ConfirmReply:
        reply = super()._confirm(task_id, new, context, claimed=claimed)
        if isinstance(reply, Confirmed):
            self._launch_agent(_task_to_be(task_id, reply, new, context), self._session)
        return reply


def _task_to_be(task_id: TaskId, confirmed: Confirmed, new: NewTask, context: Context) -> Task:
    return Task(
        task_id=task_id, session_id=confirmed.session_id, session_key=1, place=confirmed.place,
        created_at=confirmed.confirmed_at, task=new.task, agent_preset=new.agent_preset,
        tool_preset=new.tool_preset, model=new.model, strategy=new.strategy, timeout_seconds=new.timeout_seconds,
        max_iterations=new.max_iterations, metadata=new.metadata, trace_id=context.trace_id, owner=context.owner,
    )  # fmt: skip


class LeavesItOpen(ActorRuntime):
    """Gives up without a word: nobody settles what became of the place in line."""

    @contextmanager
    def _settling(self, task_id: TaskId, context: Context) -> Iterator[None]:
        with self._unavailable():
            yield


class SettlesAlways(ActorRuntime):
    """Has each submit settled, as if its worker had given up. By itself this does no harm."""

    @contextmanager
    def _settling(self, task_id: TaskId, context: Context) -> Iterator[None]:
        with super()._settling(task_id, context):
            yield
        tell(self._session, Settle(context=context, task_id=task_id))


class TakesItsTime(ActorRuntime):
    """Has the session recorded first, thrice, so that Create comes late. By itself this does no harm."""

    def _confirm(self, task_id: TaskId, new: NewTask, context: Context, *, claimed: bool) -> ConfirmReply:
        reply = super()._confirm(task_id, new, context, claimed=claimed)
        if isinstance(reply, Confirmed):
            for _ in range(3):
                self.make_session(reply.session_id, {}, context)
        return reply


class LaunchesLate(ActorRuntime):
    """Has the session recorded again before it launches an agent, thrice. By itself this does no harm."""

    def __init__(self, **given: Any) -> None:  # Any: as ActorRuntime has them
        super().__init__(**given)
        launch = self._launch_agent

        def late(task: Task, session: pykka.ActorRef[SessionActor]) -> None:
            for _ in range(3):
                self.make_session(task.session_id, {}, Context(task.trace_id))
            launch(task, session)

        self._launch_agent = late


class LaunchesTwice(AgentLauncher):
    """Starts an agent for a task that has one."""

    def launch(self, task: Task, session: pykka.ActorRef[SessionActor], *, recorded: int = 1) -> None:
        self._launched.pop(task.task_id, None)
        super().launch(task, session, recorded=recorded)


class NeverForgets(AgentLauncher):
    """Keeps agents whose tasks have ended."""

    def forget(self, task_id: TaskId) -> None:
        pass


# Turns.


class GrantsTwice(SessionActor):
    """Tells an agent twice that it is its turn."""

    def _grant(self, place: Place) -> None:
        super()._grant(place)
        if place.granted and place.agent is not None:
            tell(place.agent, TurnGranted(context=place.context))


class RecordedOnly(Lines):
    """Lines in which a place counts once its task's agent is there."""

    def is_first(self, place: Place) -> bool:
        line = self.by_session[place.session].values()
        return next(one for one in line if one.agent is not None) is place


class OverlooksTheUnrecorded(SessionActor):
    """Lets a task start before one that was confirmed earlier, and is being recorded still."""

    @property
    def _lines(self) -> Lines:
        return self._recorded_only

    @_lines.setter
    def _lines(self, _lines: Lines) -> None:
        self._recorded_only = RecordedOnly()


class InterruptsNobody(SessionActor):
    """Lets a task that is to interrupt others wait for them."""

    def _give_turn(self, place: Place) -> None:
        if place.strategy == "interrupt":
            place.strategy = "enqueue"
        super()._give_turn(place)


class RejectsNothing(SessionActor):
    """Lets a task wait that is to be refused."""

    def _confirm(self, message: Confirm) -> ConfirmReply:
        if message.strategy == "reject":
            message = msgspec.structs.replace(message, strategy="enqueue")
        return super()._confirm(message)


class ParallelInLine(SessionActor):
    """Lets a parallel task wait for those before it."""

    def _give_turn(self, place: Place) -> None:
        if place.strategy == "parallel":
            place.strategy = "enqueue"
        super()._give_turn(place)


class TakesAnyNumber(SessionActor):
    """Refuses no task because there are too many."""

    def _confirm(self, message: Confirm) -> ConfirmReply:
        self._confirming.max_unfinished = sys.maxsize
        return super()._confirm(message)


class PassesOnAtTheEnd(SessionActor):
    """Passes the turn on when a task's end is recorded, without waiting for its agent to stop."""

    def _task_ended(self, message: TaskEnded) -> None:
        super()._task_ended(message)
        place = self._lines.find(message.task_id)
        if place is not None:
            self._leave(place, AlreadyEnded(message.status))


class KeepsTheRoom(SessionActor):
    """Does not give back the room that a running task takes."""

    def _leave(self, place: Place, answer: CancelReply) -> None:
        place.granted = False
        super()._leave(place, answer)


# Cancels and crashes.


class ForgetsEarlyCancels(SessionActor):
    """Forgets a cancel that comes before the agent is there."""

    def _request_turn(self, message: RequestTurn) -> None:
        place = self._lines.find(message.task_id)
        if place is not None and place.agent is None:
            place.cancelling = False
        super()._request_turn(message)


class CancelsAtOnce(SessionActor):
    """Answers a cancel before the end is recorded."""

    def _cancel(self, message: Cancel, promise: Promise[CancelReply]) -> None:
        super()._cancel(message, promise)
        if (place := self._lines.find(message.task_id)) is not None:
            place.answer_cancels(Cancelled())


class LosesCrashes(SessionActor):
    """Has no end recorded of a task whose agent is gone."""

    def _record_crash(self, place: Place, error: str) -> None:
        place.crash = error


# Restarts.


class DoesNotWait(SessionActor):
    """Gives turns after a restart before the agents have said who of them has one."""

    def _take_stock(self, stock: Stock) -> None:
        super()._take_stock(stock)
        self._unheard.clear()
        for place in self._lines:
            self._give_turn(place)


class ForgetsTheUnfinished(SessionActor):
    """Does not look at what the store says is unfinished when it starts."""

    def _take_stock(self, stock: Stock) -> None:
        super()._take_stock(msgspec.structs.replace(stock, unfinished=()))


class OverlooksTheCrashed(SessionActor):
    """Counts an agent only if its actor has said that it runs."""

    def _agent_crashed(self, message: AgentCrashed) -> None:
        place = self._lines.find(message.task_id)
        if place is not None:
            self._record_crash(place, message.error)
            self._heard_of(place)


class FailsTheUnlaunched(SessionActor):
    """Takes any task without an agent for one whose agent is gone."""

    def _take_up(self, task: Task, launched: LaunchedAgent | None, unfinished: UnfinishedTask | None) -> None:
        if launched is None and unfinished is not None:
            place = Place(task.task_id, task.strategy, task.context("SessionActor"))
            self._lines.enter(place)
            self._record_crash(place, GONE)
        else:
            super()._take_up(task, launched, unfinished)


class RevokesOnce(SessionActor):
    """Does not ask a store that was restarted again what became of a task."""

    def _tell_store_again(self) -> None:
        settling = [place for place in self._lines if place.settling]
        for place in settling:
            place.settling = False
        super()._tell_store_again()


class LeavesLateAgents(SessionActor):
    """Says nothing to an agent that was launched after its task had ended."""

    def _request_turn(self, message: RequestTurn) -> None:
        if self._lines.find(message.task_id) is not None:
            super()._request_turn(message)
