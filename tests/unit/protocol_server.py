"""The whole protocol and its clients, as the tests of the runtime need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from alex_actors.actor import PooledActor
from alex_actors.replies import Submitted
from alex_actors.runtime import ActorRuntime
from alex_actors.store.reader import StoreReader
from alex_actors.tasks import Task
from alex_actors.values import TaskId
from tests.unit.protocol_system import CONTEXT, ProtocolSystem, Store, new_task
from tests.unit.scripted_agents import ScriptedRun
from tests.unit.workers import Worker, Workers


class Server:
    """The whole protocol, first come, first served; clients are either the test itself or workers."""

    def __init__(self, path: Path, *, workers: bool = False, max_unfinished: int = 100) -> None:
        self.messages: list[str] = []
        self.workers = Workers()
        self.store = Store(path)
        self.system = ProtocolSystem(
            self.store,
            wait=self.workers.wait if workers else None,
            observer=self._observe,
            max_unfinished=max_unfinished,
        )
        self.runtime = self.system.runtime
        self.dispatcher = self.system.dispatcher
        self.dispatcher.run()  # the session actor has the store take stock
        self.messages.clear()

    def _observe(self, actor: PooledActor, message: object) -> None:
        self.messages.append(type(message).__name__)

    def submit(self, session_id: str | None = "home") -> Task:
        """Submit a task, and have its agent run."""
        reply = self.runtime.submit(new_task(session_id), CONTEXT)
        assert isinstance(reply, Submitted)
        self.dispatcher.run()
        return reply.task

    def run_of(self, task: Task) -> ScriptedRun:
        return self.system.executor.runs[task.task_id]

    def finish(self, task: Task) -> None:
        self.run_of(task).finishes()
        self.dispatcher.run()

    def worker(self, job: Callable[[], object]) -> Worker:
        """Have a worker begin a job, up to its first wait."""
        worker = self.workers.start(f"worker {len(self.workers.all)}", job)
        worker.go()
        return worker

    def submitting(self) -> Worker:
        """Have a worker send its Confirm, and wait for the answer."""
        return self.worker(lambda: self.runtime.submit(new_task("home"), CONTEXT))

    def complete(self, worker: Worker) -> object:
        """Let everything run until a worker has its result."""
        while not worker.ended:
            self.dispatcher.run()
            worker.go()
        self.dispatcher.run()
        return worker.result

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
        self.store.close()


class StaleReader(StoreReader):
    """A reader whose first look at a task is from the past."""

    def __init__(self, *, engine: Engine, stale: Task) -> None:
        super().__init__(engine=engine)
        self._stale = [stale]

    def task(self, task_id: TaskId) -> Task | None:
        return self._stale.pop() if self._stale else super().task(task_id)
