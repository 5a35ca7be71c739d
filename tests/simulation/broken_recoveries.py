"""Ways to go on after a restart of the server that each lack one thing that the protocol needs."""

from __future__ import annotations

from typing import Any

import msgspec

from alex_actors.agent_actor import AgentActor
from alex_actors.agent_launcher import AgentLauncher, LaunchedAgent
from alex_actors.agent_protocol import AgentMessage, History
from alex_actors.core import RECOVERY_TIMEOUT, Core
from alex_actors.events import TaskResumed, TaskStarted, read_back
from alex_actors.messages import ask, tell
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import UnfinishedTask
from alex_actors.store.answers import Answers
from alex_actors.store.staging import LiveTask, Staging
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import Recover, TellHistory
from alex_actors.tasks import Task
from alex_actors.values import Context
from tests.simulation.broken_sessions import LaunchesTwice

# Agents' actors.


class StartsFromScratch(AgentActor):
    """Lets its agent begin anew, as if nothing of its task were recorded."""

    def _resume(self, bodies: tuple[bytes, ...]) -> None:
        del bodies
        self._awaits_history = False
        if self._may_begin:
            self._begin("agent.resumed", TaskResumed(), ())


class StartsAgain(AgentActor):
    """Lets its agent go on, and records that its task has started once more."""

    def _resume(self, bodies: tuple[bytes, ...]) -> None:
        self._awaits_history = False
        if self._may_begin:
            self._begin("agent.started", TaskStarted(), tuple(map(read_back, bodies)))


class ResumesTwice(AgentActor):
    """Lets its agent go on each time that it is told of what is recorded, and asks for that twice."""

    def _ask_for_history(self) -> None:
        super()._ask_for_history()
        super()._ask_for_history()

    def on_receive(self, message: AgentMessage) -> None:
        if isinstance(message, History):
            self._run = None
        super().on_receive(message)


class AsksOnce(AgentActor):
    """Does not ask a second time for what is recorded of its task."""

    def _resend_unanswered(self) -> None:
        waits, self._awaits_history = self._awaits_history, False
        super()._resend_unanswered()
        self._awaits_history = waits


class CountsTimeAnew(AgentActor):
    """Gives a task that goes on all of its time again."""

    def _await_deadline(self) -> None:
        progress = self._progress
        self._progress = msgspec.structs.replace(progress, started_at=self._now())
        super()._await_deadline()
        self._progress = progress


# The session actor.


class ResumesOutOfLine(SessionActor):
    """Lets all tasks go on at once that were unfinished."""

    def _take_up(self, task: Task, launched: LaunchedAgent | None, unfinished: UnfinishedTask | None) -> None:
        super()._take_up(task, launched, unfinished)
        place = self._lines.find(task.task_id)
        if place is not None and launched is None:
            place.strategy = "parallel"


class ResumesBesideTheTwin(SessionActor):
    """Has each unfinished task go on after a crash of its own, also those whose agents are there."""

    def _take_up(self, task: Task, launched: LaunchedAgent | None, unfinished: UnfinishedTask | None) -> None:
        super()._take_up(task, None if unfinished is not None else launched, unfinished)


class TwinLauncher(LaunchesTwice):
    """Starts a second agent for a task that has one, if it has begun."""

    def launch(self, task: Task, session: Any, *, recorded: int = 1) -> None:  # Any: a ref
        if recorded > 1:
            super().launch(task, session, recorded=recorded)
        else:
            AgentLauncher.launch(self, task, session, recorded=recorded)


# The store.


class OverlooksTheLast(Answers):
    """Leaves out the last event of what is recorded of a task."""

    def history(self, message: TellHistory) -> None:
        events = self._reader.events(message.task_id, owner=message.context.owner, after=0, limit=1000) or ()
        context = message.context.sent_by("TaskStoreActor")
        tell(message.agent, History(context=context, bodies=tuple(event.body for event in events[:-1])))


class TellsTooLittle(TaskStoreActor):
    """Answers agents in this way."""

    def __init__(self, **given: Any) -> None:  # Any: as TaskStoreActor has them
        super().__init__(**given)
        self._answers = OverlooksTheLast(reader=self._reader)


class LogsNoRecovery(Staging):
    """Says nothing of the tasks that are taken up."""

    def recover(self, task: LiveTask) -> None:
        pass


# All of it.


class EndsThemAllTheSame(Core):
    """A core that ends what a previous run left unfinished, though it is to go on."""

    def recover(self) -> None:
        recover = Recover(context=Context(self._ids.trace(), sender="Core"), resume=False)
        ask(self.store, recover, timeout=RECOVERY_TIMEOUT)
