"""The whole protocol and its clients, as the tests of the runtime need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from alex_actors.actor import PooledActor
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.replies import CancelReply, Deleted, Submitted, UnknownSession
from alex_actors.runtime import ActorRuntime
from alex_actors.simulation import Client
from alex_actors.simulation.runtime import wait_for_reply
from alex_actors.simulation.scheduler import Wait
from alex_actors.store.reader import StoreReader
from alex_actors.tasks import Task
from alex_actors.values import LOCAL_OWNER, Owner, SessionId, TaskId
from tests.unit.protocol_system import CONTEXT, ProtocolSystem, Store, new_task
from tests.unit.scripted_agents import ScriptedRun
from tests.unit.stepping import SteppedDispatcher


class Worker:
    """A client that goes on when the test says so, up to its next wait."""

    def __init__(self, job: Callable[[], object], dispatcher: SteppedDispatcher) -> None:
        self.result: object = None
        """What the job returned, or the exception that it raised."""
        self._job = job
        self._dispatcher = dispatcher
        self._client = Client("client", self._work, scheduler=dispatcher.scheduler)

    @property
    def waits(self) -> bool:
        """Whether it waits for an answer that is not there."""
        return self._client.strand in self._dispatcher.scheduler._waiting

    def go(self) -> None:
        """Let it run until it waits or ends. If it waits for an answer, it gives up: its time is over."""
        scheduler, strand = self._dispatcher.scheduler, self._client.strand
        if self.waits:
            scheduler._give_up(strand, scheduler._waiting[strand])
        self._dispatcher.resume(strand)

    def complete(self) -> object:
        """Have all actors handle their messages, and it go on, until it has its result. No time passes."""
        while not self._client.ended:
            self._dispatcher.run()
            self._dispatcher.resume(self._client.strand)
        self._dispatcher.run()
        return self.result

    def _work(self) -> None:
        try:
            self.result = self._job()
        except Exception as error:  # noqa: BLE001 - what a job raises is its result
            self.result = error


class Server:
    """The whole protocol, first come, first served; clients are either the test itself or workers."""

    def __init__(self, path: Path, *, max_unfinished: int = 100) -> None:
        self.messages: list[str] = []
        self.store = Store(path)
        self.system = ProtocolSystem(self.store, observer=self._observe, max_unfinished=max_unfinished)
        self.runtime = self.system.runtime
        self.dispatcher = self.system.dispatcher
        self.dispatcher.run()  # the session actor has the store take stock
        self.messages.clear()

    def _observe(self, actor: PooledActor, message: object) -> None:
        if not isinstance(actor, BroadcasterActor):
            self.messages.append(type(message).__name__)

    def submit(self, session_id: str | None = "home") -> Task:
        """Submit a task, and have its agent run."""
        reply = self.runtime.submit(new_task(session_id), CONTEXT)
        assert isinstance(reply, Submitted)
        self.dispatcher.run()
        return reply.task

    def cancel(self, task_id: TaskId, *, runtime: ActorRuntime | None = None) -> CancelReply:
        """Cancel a task, and wait for the reply."""
        called = runtime or self.runtime
        wait = Wait("the reply to a cancel")
        scheduler = self.dispatcher.scheduler
        return wait_for_reply(scheduler, wait, lambda wake: called.cancel(task_id, CONTEXT, wake=wake))

    def delete(self, session_id: str = "home") -> Deleted | UnknownSession:
        """Delete a session, and wait for the reply."""
        wait = Wait("the reply to a deletion")
        scheduler = self.dispatcher.scheduler
        session = SessionId(session_id)
        return wait_for_reply(scheduler, wait, lambda wake: self.runtime.delete(session, CONTEXT, wake=wake))

    def run_of(self, task: Task) -> ScriptedRun:
        return self.system.executor.runs[task.task_id]

    def finish(self, task: Task) -> None:
        self.run_of(task).finishes()
        self.dispatcher.run()

    def worker(self, job: Callable[[], object]) -> Worker:
        """Have a worker begin a job, up to its first wait."""
        worker = Worker(job, self.dispatcher)
        worker.go()
        return worker

    def submitting(self) -> Worker:
        """Have a worker send its Confirm, and wait for the answer."""
        return self.worker(lambda: self.runtime.submit(new_task("home"), CONTEXT))

    def only_task(self) -> Task:
        (task_id,) = self.store.task_ids()
        return self.store.task(task_id)

    def executor_runs(self) -> int:
        return len(self.system.executor.runs)

    def runtime_with(self, reader: StoreReader) -> ActorRuntime:
        """Return a runtime over the same actors that reads elsewhere."""
        return self.system.runtime_with(reader)

    def events(self) -> list[str]:
        return self.system.log.events()

    def close(self) -> None:
        self.dispatcher.kill()
        self.store.close()


class StaleReader(StoreReader):
    """A reader whose first look at a task is from the past."""

    def __init__(self, *, engine: Engine, stale: Task) -> None:
        super().__init__(engine=engine)
        self._stale = [stale]

    def task(self, task_id: TaskId, *, owner: Owner = LOCAL_OWNER) -> Task | None:
        return self._stale.pop() if self._stale else super().task(task_id, owner=owner)
