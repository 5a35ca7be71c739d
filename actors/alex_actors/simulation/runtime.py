"""The server without its HTTP side, in a simulation: the real actors, over the real store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import Publish, PublishDeleted, Topic
from alex_actors.core import Core
from alex_actors.mailbox import mailbox_of
from alex_actors.replies import (
    ApproveReply,
    Awaited,
    CancelReply,
    Deleted,
    Repeated,
    SubmitReply,
    Submitted,
    Unavailable,
    UnknownSession,
)
from alex_actors.simulation.dispatcher import Observer, SimulatedDispatcher
from alex_actors.simulation.findings import Crash, Finding
from alex_actors.simulation.invariants import NOTHING_LEFT, Invariants, Seen
from alex_actors.simulation.leftovers import sizes_of
from alex_actors.simulation.mailboxes import simulated
from alex_actors.simulation.scheduler import Wait
from alex_actors.simulation.server_parts import AgentLoops, ProcessTimers
from alex_actors.simulation.traced import log_into
from alex_actors.supervision import Supervisor
from alex_actors.tasks import IdempotencyKey, NewTask, Strategy
from alex_actors.values import LOCAL_OWNER, Context, Owner, SessionId, TaskId

if TYPE_CHECKING:
    import pykka

    from alex_actors.events import RecordedEvent
    from alex_actors.ports import Agent, Decision
    from alex_actors.simulation.scheduler import Scheduler
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from alex_actors.tasks import Task

R = TypeVar("R")

AgentFor: TypeAlias = Callable[["Task"], "Agent"]

PATIENCE = 3600.0
"""Virtual seconds in which everything must have come to its end: an hour, in which nothing is tried for the last
time. The longest pause until something is sent again is a minute."""


STREAMS = "streams"
"""The resource that the broadcaster gives events to, and those who follow something take them from."""


class ConnectionLost(Exception):
    """The process was killed before it answered."""


class SessionGone(Exception):
    """The session that was followed, or whose task was, is deleted."""


class SimulatedRuntime:
    """The actors of the server in a simulation, with their invariants looked at.

    ``runtime`` is what the HTTP layer would call: ``submit``, ``cancel``, the reads. Clients of the simulation
    call it and wait. The process can be killed and started again, over the same store.
    """

    def __init__(
        self,
        simulation: Simulation,
        *,
        store: SimulatedStore,
        agent_for: AgentFor,
        core: type[Core] = Core,
        max_unfinished: int = 1000,
        max_running: int = 1000,
        max_ahead: int = 64,
        ask_timeout: float = 10.0,
        cancel_grace: float = 5.0,
        agents_apart: bool = False,
        resume: bool = True,
        failed: Supervisor | None = None,
    ) -> None:
        """Empty the store and start; ``agent_for`` gives the agent of a task. The timeouts are in seconds.

        ``resume`` says what becomes of tasks that a process which is killed leaves unfinished.

        ``failed`` is told when an actor of which there is only one is not restarted any more; by default, that is
        a finding. ``agents_apart`` is for the search for all orders: see AgentLoops.
        """
        self._simulation = simulation
        self._agent_for = agent_for
        self._core_class = core
        self._max_unfinished = max_unfinished
        self._max_running = max_running
        self._max_ahead = max_ahead
        self._ask_timeout = ask_timeout
        self._cancel_grace = cancel_grace
        store.empty()
        self.writer = store.writer(simulation)
        self.reader = store.reader(simulation)
        self.invariants = Invariants(simulation=simulation, store=store)
        self.writer.written = self.invariants.written
        self.writer.erased = self.invariants.deleted.erased
        self.observers: list[Observer] = []
        """Asked before each message is handled, in each process that is started from now on; may have it crash."""
        self._waits: dict[Wait, None] = {}
        self._streams_end = False
        self._agents_apart = agents_apart
        self._resume = resume
        self._failed = failed or self._find_failure
        self.start()
        simulation.at_the_end(self._check_the_end)

    # The process.

    def start(self) -> None:
        """Start the process, on what is recorded."""
        simulation, scheduler = self._simulation, self._simulation.scheduler
        self.invariants.resumptions.process_begins(resume=self._resume)
        self.dispatcher = dispatcher = SimulatedDispatcher(scheduler)
        self.log = log_into(scheduler, heard=lambda: not dispatcher.killed)
        """The log of the process."""
        self.dispatcher.observers.extend((self._watch, simulation.faults.perhaps_crash, *self.observers))
        self._agents = AgentLoops(
            simulation=simulation, invariants=self.invariants, agent_for=self._agent_for, log=self.log,
            max_ahead=self._max_ahead, apart=self._agents_apart,
        )  # fmt: skip
        simulation.on_close(self._agents.close)
        self._timers = ProcessTimers(timers=simulation.timers)
        self.core = self._core_class(
            broadcasting=self.dispatcher, storing=self.dispatcher, acting=self.dispatcher, writer=self.writer,
            reader=self.reader, executor=self._agents, timers=self._timers, workspaces=self.invariants.deleted,
            clock=simulation.clock, ids=simulation.ids, log=self.log, max_unfinished=self._max_unfinished,
            max_running=self._max_running, ask_timeout=self._ask_timeout, cancel_grace=self._cancel_grace,
            resume=self._resume, failed=self._failed,
        )  # fmt: skip
        self.core.start()
        self.invariants.resumptions.process_is_up()
        self.followings = self.core.followings
        self.runtime = self.core.runtime(health=dict, ready=lambda: True)
        self._begun_with = sizes_of(self._singletons())

    def kill(self) -> None:
        """Kill the process where it stands: what is committed is all that is left of it."""
        self.dispatcher.kill()
        self._timers.cancel_all()
        self._agents.close()
        self.invariants.process_ends()
        waits, self._waits = self._waits, {}
        for wait in waits:
            self._simulation.scheduler.end(wait)

    # What clients do.

    def submit(
        self,
        text: str = "What is 2 + 2?",
        *,
        session_id: str | None = None,
        strategy: Strategy = "enqueue",
        timeout_seconds: float | None = None,
        key: str | None = None,
        owner: Owner = LOCAL_OWNER,
    ) -> Task:
        """Submit a task and return it as it was answered. Raises Unavailable; RuntimeError if it is refused."""
        reply = self.try_submit(
            text, session_id=session_id, strategy=strategy, timeout_seconds=timeout_seconds, key=key,
            owner=owner,
        )  # fmt: skip
        if not isinstance(reply, Submitted | Repeated):
            msg = f"The task was not taken: {reply}"
            raise RuntimeError(msg)  # noqa: TRY004 - it is an answer, of a kind that this is not for
        return reply.task

    def try_submit(
        self,
        text: str = "What is 2 + 2?",
        *,
        session_id: str | None = None,
        strategy: Strategy = "enqueue",
        timeout_seconds: float | None = None,
        key: str | None = None,
        owner: Owner = LOCAL_OWNER,
    ) -> SubmitReply:
        """Submit a task and return the answer, whichever it is. Raises Unavailable.

        ``key`` is the idempotency key; the text is what a repeat has to have in common with the first.
        """
        new = NewTask(
            task=text,
            session_id=None if session_id is None else SessionId(session_id),
            agent_preset="default",
            tool_preset="safe",
            model="simulated",
            strategy=strategy,
            timeout_seconds=timeout_seconds,
            max_iterations=50,
            metadata={},
        )
        idempotency = None if key is None else IdempotencyKey(key, text)
        reply = self.runtime.submit(new, self.context(owner), key=idempotency)
        if isinstance(reply, Submitted | Repeated):
            task = reply.task
            self.invariants.answered(Seen(task.task_id, task.session_id, task.status, 0, 0))
        return reply

    def cancel(self, task_id: TaskId, *, owner: Owner = LOCAL_OWNER) -> CancelReply:
        """Cancel a task and wait for the answer. Raises Unavailable; ConnectionLost if the process is killed."""
        return self.reply_to(lambda wake: self.runtime.cancel(task_id, self.context(owner), wake=wake))

    def approve(
        self, task_id: TaskId, call_id: str, decision: Decision, *, owner: Owner = LOCAL_OWNER
    ) -> ApproveReply:
        """Say a person's word on a tool call that waits for it, and wait for the answer, as ``cancel`` does."""
        return self.reply_to(
            lambda wake: self.runtime.approve(task_id, call_id, decision, self.context(owner), wake=wake)
        )

    def delete(self, session_id: str, *, owner: Owner = LOCAL_OWNER) -> Deleted | UnknownSession:
        """Delete a session and wait for the answer, as ``cancel`` does."""
        session = SessionId(session_id)
        return self.reply_to(lambda wake: self.runtime.delete(session, self.context(owner), wake=wake))

    def reply_to(self, call: Callable[[Callable[[], None]], Awaited[R]]) -> R:
        """Make a call whose reply comes later, given what wakes its caller; wait for it, and return it."""
        dispatcher, wait = self.dispatcher, Wait("a reply")
        self._waits[wait] = None
        try:
            return wait_for_reply(self._simulation.scheduler, wait, call)
        except Unavailable:
            if dispatcher.killed:
                raise ConnectionLost from None
            raise
        finally:
            self._waits.pop(wait, None)

    def context(self, owner: Owner = LOCAL_OWNER) -> Context:
        """Return the context of a new request."""
        return Context(self._simulation.ids.trace(), sender=self._simulation.scheduler.speaker, owner=owner)

    def follow(self, topic: Topic, *, after: int = 0) -> Iterator[RecordedEvent]:
        """Wait for each event of a task or session above the id ``after``; of a task, until its end.

        Raises ConnectionLost if the process is killed, SessionGone if the session is deleted. Close the iterator
        to follow no more. That of a session ends with ``end_streams``.
        """
        scheduler = self._simulation.scheduler
        wait = Wait(f"the next event of {topic}")
        dispatcher = self.dispatcher  # first: it may be killed while the following is subscribed
        following = self.followings.follow(topic, after=after, wake=lambda: scheduler.end(wait))
        try:
            while not following.ended:
                wait = Wait(f"the next event of {topic}")
                self._waits[wait] = None
                scheduler.steps.touch(STREAMS, write=True)
                try:
                    events = following.take(100)
                except SQLAlchemyError:  # nothing is lost, but nobody wakes
                    self._simulation.sleep(1.0)
                    if dispatcher.killed:
                        raise ConnectionLost from None
                    continue
                if events:
                    yield from events
                    continue
                if following.session_deleted:
                    raise SessionGone
                if self._streams_end:
                    return
                if not dispatcher.killed:
                    scheduler.wait_for(wait)
                self._waits.pop(wait, None)
                if dispatcher.killed:
                    raise ConnectionLost
        finally:
            self._waits.pop(wait, None)
            self.followings.close(following)

    def end_streams(self) -> None:
        """Have whoever follows something get what there is, and no more."""
        self._streams_end = True
        for wait in self._waits:
            self._simulation.scheduler.end(wait)

    def settle(self) -> None:
        """Wait until everything has come to its end. From now on nothing goes wrong any more."""
        self._simulation.faults.calm = True
        begun = self._simulation.clock.monotonic()
        while (left := self.leftovers()) and self._simulation.clock.monotonic() < begun + PATIENCE:
            self._simulation.sleep(1.0)
        self._simulation.check(not left, NOTHING_LEFT, f"There is still: {left}.")

    def leftovers(self) -> dict[str, object]:
        """Return what is still in memory of any task, by where it is; nothing when all has ended."""
        lasting = {simulated(mailbox_of(ref)).label for ref in self._lasting()}
        kept: dict[str, object] = {
            "actors": [label for label in self.dispatcher.alive() if label not in lasting],
            "timers": self._timers.pending,
            "agents": [task.task_id for task in self.invariants.runs.values()],
            "launched agents": [launched.task.task_id for launched in self.core.launcher.launched()],
            "streams": len(self.followings),
        }
        kept.update(
            {
                name: size
                for name, size in sizes_of(self._singletons()).items()
                if size > self._begun_with.get(name, 0)
            }
        )
        return {where: what for where, what in kept.items() if what}

    def _singletons(self) -> dict[str, object]:
        actors = (mailbox_of(ref).actor for ref in self._lasting())
        return {actor.label: actor for actor in actors if actor is not None}

    def _lasting(self) -> tuple[pykka.ActorRef[Any], ...]:  # Any: actors of several classes
        return (self.core.broadcaster, self.core.store, self.core.session)

    def _watch(self, actor: object, message: object) -> None:
        if isinstance(actor, BroadcasterActor):
            self._simulation.scheduler.steps.touch(STREAMS, write=True)
        if isinstance(message, Publish):
            self.invariants.told(message.events)
        elif isinstance(message, PublishDeleted):
            self.invariants.deleted.told(message)

    def _find_failure(self, error: BaseException) -> None:
        scheduler = self._simulation.scheduler
        if scheduler.failure is None:
            scheduler.failure = Crash("an actor of the server", error, scheduler.trace)

    def _check_the_end(self) -> None:
        working = sorted({task.task_id for task in self.invariants.runs.values()})
        if working:
            text = f"The scenario ended while {' and '.join(working)} ran: wait for it, with follow() or settle()."
            raise Finding(text, self._simulation.trace, failed=text)
        self.invariants.at_the_end()


def wait_for_reply(scheduler: Scheduler, wait: Wait, call: Callable[[Callable[[], None]], Awaited[R]]) -> R:
    """Make a call whose reply comes later, and wait for it. Raises Unavailable if it is late."""
    awaited = call(lambda: scheduler.end(wait))
    if awaited.within:
        scheduler.wait_for(wait, timeout=awaited.within)
    reply = awaited.poll()
    if reply is None:
        raise Unavailable(awaited.late)
    return reply
