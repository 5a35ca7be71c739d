"""Whatever clients do and whatever goes wrong, in any order: hypothesis picks, the simulated server does it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alex_actors.agent_actor import AgentActor
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.events import AnyEvent, IterationComplete, IterationStart
from alex_actors.ports import AgentError, AgentYield, Answer
from alex_actors.replies import (
    AlreadyEnded,
    Cancelled,
    Deleted,
    KeyReused,
    Repeated,
    SessionBusy,
    SessionDeleting,
    SubmitReply,
    Submitted,
    TooManyTasks,
    Unavailable,
    UnknownSession,
    UnknownTask,
)
from alex_actors.session_actor import SessionActor
from alex_actors.simulation import ConnectionLost, Decisions, InjectedCrash, SimulatedRuntime, SimulatedStore
from alex_actors.simulation.exploring import without_collection
from alex_actors.simulation.strategies import Uniform
from alex_actors.simulation.world import Simulation
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.tasks import UNFINISHED, IdempotencyKey, NewTask, Strategy, Task
from alex_actors.values import LOCAL_OWNER, Context, Owner, SessionId, TaskId
from tests.properties.protocol_model import TOKENS, Known, Model

R = TypeVar("R")

OWNERS = st.sampled_from([LOCAL_OWNER, Owner("bob")])
SESSIONS = st.sampled_from([SessionId("one"), SessionId("two")])
STRATEGIES: st.SearchStrategy[Strategy] = st.sampled_from(["enqueue", "reject", "interrupt", "parallel"])
WORK = st.builds(
    "{} steps of {} s{}".format, st.integers(0, 3), st.sampled_from([0, 1, 60]), st.sampled_from(["", ", fails"])
)
TIMEOUTS = st.sampled_from([None, None, 1.0, 100.0])
KEYS = st.sampled_from([None, None, "key 1", "key 2"])
CRASHING = st.sampled_from([AgentActor, SessionActor, TaskStoreActor, BroadcasterActor])
LOST = (Unavailable, ConnectionLost, InjectedCrash)
"""What a client is told, or not told, when something goes wrong."""

_WORK = re.compile(r"(\d+) steps of (\d+) s(, fails)?")


def work(text: str) -> tuple[int, int, bool]:
    """Return what a task asks for: steps, seconds for each, and whether it fails then."""
    match = _WORK.fullmatch(text)
    assert match is not None
    return int(match[1]), int(match[2]), match[3] is not None


class SteppingAgent:
    """Does the steps that its task asks for, goes on after a restart, and fails at the end if it is to."""

    resumes = True

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        """Do what is left."""
        steps, seconds, fails = work(task.task)
        done = sum(isinstance(event, IterationComplete) for event in history)
        for step in range(done + 1, steps + 1):
            yield IterationStart(iteration=step, total_iters=50)
            await asyncio.sleep(seconds)
            yield IterationComplete(iteration=step, tokens_used=step * TOKENS, tools_run=0)
        if fails:
            raise AgentError("It was to fail.")
        yield Answer("Done.")


class ProtocolMachine(RuleBasedStateMachine):
    """Clients of two owners who use the same names; faults; restarts; time. The model says what comes of it."""

    store: ClassVar[SimulatedStore]
    """Made once, and emptied for each run. A run gets it by a subclass: hypothesis makes machines itself."""
    steps: ClassVar[list[int]]
    """Of each run, how many messages were handled."""

    @initialize(seed=st.integers(0, 2**32), interruptions=st.sampled_from([0.0, 0.1]))
    def start(self, seed: int, interruptions: float) -> None:
        """Start a server whose order of messages this seed decides."""
        self.stack = ExitStack()
        self.stack.enter_context(without_collection())
        self.sim = Simulation(decisions=Decisions(seed), strategy=Uniform(), interruptions=interruptions)
        self.stack.enter_context(self.sim.under_way())
        agent = SteppingAgent()
        self.model = Model()
        self.faulty = self.down = False
        self.system = SimulatedRuntime(
            self.sim, store=self.store, agent_for=lambda _task: agent, failed=self._go_down
        )

    # What clients do.

    @rule(owner=OWNERS, session=SESSIONS, strategy=STRATEGIES, text=WORK, timeout=TIMEOUTS, key=KEYS)
    def submit(
        self,
        owner: Owner,
        session: SessionId,
        strategy: Strategy,
        text: str,
        timeout: float | None,
        key: str | None,
    ) -> None:
        new = new_task(text, session, strategy, timeout)
        unfinished = [known.task.task_id for known in self.model.unfinished(owner, session)]

        reply = self._tried(lambda: self._submit(owner, new, key))

        self._note(reply, owner, new, key)
        if isinstance(reply, SessionBusy):
            assert strategy == "reject"
            assert unfinished or self.faulty, "Nobody was there."

    @rule(owner=OWNERS, session=SESSIONS, text=WORK, key=st.sampled_from(["key 1", "key 3"]))
    def submit_twice_at_once(self, owner: Owner, session: SessionId, text: str, key: str) -> None:
        new = new_task(text, session, "interrupt", None)
        clients = [
            self.sim.client(name, lambda: self._tried(lambda: self._submit(owner, new, key)))
            for name in ("anna", "bert")
        ]

        replies = [client.result() for client in clients]

        for reply in sorted(replies, key=lambda reply: not isinstance(reply, Submitted)):
            self._note(reply, owner, new, key)
        told = {reply.task.task_id for reply in replies if isinstance(reply, Submitted | Repeated)}
        assert len(told) <= 1, "One key, one task."
        assert sum(isinstance(reply, Submitted) for reply in replies) <= 1

    @precondition(lambda self: self.model.tasks)
    @rule(data=st.data(), by=OWNERS)
    def cancel(self, data: st.DataObject, by: Owner) -> None:
        owner, task_id = data.draw(st.sampled_from(list(self.model.tasks)))
        known = self.model.tasks[owner, task_id]
        ended = known.task.status not in UNFINISHED

        context = Context("trace", owner=by)
        cancel = self.system.runtime.cancel
        reply = self._tried(lambda: self.system.reply_to(lambda wake: cancel(task_id, context, wake=wake)))

        match reply:
            case Cancelled():
                assert not ended
                known.cancelled = True
            case AlreadyEnded(status=status):
                assert self._read(owner, task_id).status == status
            case UnknownTask():
                assert by != owner or (owner, known.task.session_id) in self.model.doubtful
        assert by == owner or reply is None or isinstance(reply, UnknownTask), "Another's task is not there."

    @rule(owner=OWNERS, session=SESSIONS)
    def delete(self, owner: Owner, session: SessionId) -> None:
        context = Context("trace", owner=owner)
        delete = self.system.runtime.delete

        reply = self._tried(lambda: self.system.reply_to(lambda wake: delete(session, context, wake=wake)))

        match reply:
            case Deleted():
                self.model.forget(owner, session)
                assert self.system.runtime.session(session, owner=owner) is None
            case UnknownSession():
                known = self.model.of_session(owner, session)
                assert not known or (owner, session) in self.model.doubtful
                self.model.forget(owner, session)
            case None:
                self.model.doubtful.add((owner, session))

    # What goes wrong, and what passes.

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, 70.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.sim.sleep(seconds)

    @rule(actor=CRASHING)
    def crash(self, actor: type[AgentActor | SessionActor | TaskStoreActor | BroadcasterActor]) -> None:
        """Have the next message to one of these crash it."""
        self.faulty = True
        self.sim.faults.crash(actor, probability=1.0)

    @rule()
    def restart(self) -> None:
        """Kill the process, and start it on what is committed."""
        self.faulty = True
        self.sim.faults.calm = (
            True  # an actor that crashes at the start ends the process, which is no question here
        )
        self.system.kill()
        self.system.start()
        self.sim.sleep(0.0)
        self.sim.faults.calm = False

    def _go_down(self, _error: BaseException) -> None:
        """Take note that an actor of which there is only one crashed too often: the process ends of it."""
        self.down = True

    # What must hold.

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        """Read everything, for each owner, and compare."""
        if not hasattr(self, "system"):
            return
        if self.down:
            self.down = False
            self.restart()
        for owner in (LOCAL_OWNER, Owner("bob")):
            page = self.system.runtime.tasks(limit=1000, offset=0, session_id=None, status=None, owner=owner)
            there = {task.task_id: task for task in page.tasks}
            for task in there.values():
                self._see(owner, task)
            for (whose, task_id), known in list(self.model.tasks.items()):
                if whose != owner or task_id in there:
                    continue
                assert (owner, known.task.session_id) in self.model.doubtful or not known.answered, "It is lost."
                del self.model.tasks[whose, task_id]
            for session in ("one", "two"):
                self.model.look_at_line(owner, SessionId(session))

    def teardown(self) -> None:
        """Let everything end, and look a last time; unless something was found already."""
        if not hasattr(self, "stack"):
            return
        with self.stack:
            error = sys.exc_info()[1]
            if error is not None:
                raise error  # as it is; only so does the simulation end without looking at it
            self.sim.faults.calm = True
            self.everything_is_as_the_model_says()
            for _ in range(100):
                unfinished = [known for known in self.model.tasks.values() if known.task.status in UNFINISHED]
                if not unfinished:
                    break
                self.sim.sleep(70.0)
                self.everything_is_as_the_model_says()
            assert not unfinished, "Every task ends."
            self.system.settle()
            self.steps.append(self.sim.trace.step)

    # How.

    def _submit(self, owner: Owner, new: NewTask, key: str | None) -> SubmitReply:
        idempotency = None if key is None else IdempotencyKey(key, f"{new}")
        return self.system.runtime.submit(new, Context("trace", owner=owner), key=idempotency)

    def _tried(self, call: Callable[[], R]) -> R | None:
        """Return the answer; None if there is none, which needs a fault."""
        try:
            return call()
        except LOST:
            assert self.faulty, "Nothing had gone wrong."
            return None

    def _note(self, reply: SubmitReply | None, owner: Owner, new: NewTask, key: str | None) -> None:
        """Take an answer to a submit into the model."""
        came_before = None if key is None else self.model.keys.get((owner, key))
        match reply:
            case Submitted(task=task):
                assert came_before is None or self.model.doubtful, "The key was used."
                self._answered(owner, task, new, key)
            case Repeated(task=task):
                assert came_before in (None, (f"{new}", task.task_id))
                assert came_before is not None or self.faulty or key is not None
                self._answered(owner, task, new, key)
            case KeyReused():
                assert came_before is None or came_before[0] != f"{new}"
                assert came_before is not None or self.faulty
            case SessionBusy() | None:
                pass
            case SessionDeleting():
                assert new.session_id is not None
                assert (owner, new.session_id) in self.model.doubtful
            case TooManyTasks():
                raise AssertionError("There is room.")

    def _answered(self, owner: Owner, task: Task, new: NewTask, key: str | None) -> None:
        assert (task.session_id, task.task) == (new.session_id, new.task)
        if key is not None:
            self.model.keys[owner, key] = f"{new}", task.task_id
        self._see(owner, self._read(owner, task.task_id), strategy=new.strategy)
        self.model.tasks[owner, task.task_id].answered = True

    def _read(self, owner: Owner, task_id: TaskId) -> Task:
        task = self.system.runtime.task(task_id, owner=owner)
        assert task is not None
        return task

    def _see(self, owner: Owner, task: Task, *, strategy: Strategy | None = None) -> None:
        known = self.model.tasks.get((owner, task.task_id))
        if known is None:
            known = Known(task, strategy or task.strategy, work(task.task)[0])
            self.model.tasks[owner, task.task_id] = known
        elif known.task.status not in UNFINISHED and known.task == task:
            return  # its events were all looked at
        events = self.system.runtime.events(task.task_id, after=0, limit=1000, owner=owner)
        assert events is not None
        known.see(task, list(events))


def new_task(text: str, session: SessionId, strategy: Strategy, timeout: float | None) -> NewTask:
    """Return what a client asks for."""
    return NewTask(
        task=text,
        session_id=session,
        agent_preset="default",
        tool_preset="safe",
        model="simulated",
        strategy=strategy,
        timeout_seconds=timeout,
        max_iterations=50,
        metadata={},
    )
