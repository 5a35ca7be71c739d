"""Runs agents on an asyncio event loop, and holds each back to what the store has committed of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from alex_actors.approvals import Decisions, check_request
from alex_actors.events import (
    AGENT_EVENTS,
    AgentEvent,
    AnyEvent,
    Approval,
    ApprovalRequested,
    Stamped,
    read_back,
    stamp_checked,
)
from alex_actors.ports import (
    Aborted,
    AgentError,
    Answer,
    AwaitApprovals,
    Checkpoint,
    Decision,
    Failed,
    Finished,
    NotResumed,
    Outcome,
    Yielded,
)
from alex_actors.projection import MOST_COUNTED, MOST_PAID, miscounted
from alex_actors.redact import NO_SECRETS, Redactor
from alex_actors.text import failure_line, one_line, text_of
from alex_actors.values import timestamp

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.ports import Agent, Clock
    from alex_actors.tasks import Task

LONGEST_ANSWER = 1_000_000
"""Characters of an answer. What an answer is, every page of tasks and of events repeats."""

LONGEST_RECORDED = LONGEST_ANSWER + 64
"""Characters of an answer as it is recorded: one that was cut has a last line that says so."""

LARGEST_EVENT = 1_048_576
"""Bytes of an event's JSON. What is larger belongs into a file of the workspace."""


class AsyncioRun:
    """One agent at work on one task. Lives on the executor's loop; actors call it from their threads."""

    def __init__(
        self,
        *,
        executor: AsyncioExecutor,
        agent: Agent,
        task: Task,
        history: Sequence[AnyEvent],
        uncommitted: int,
        report: Callable[[Yielded], None],
    ) -> None:
        self._executor = executor
        self._agent = agent
        self._task = task
        self._history = history
        self._decisions = Decisions(history, redactor=executor.redactor)
        self._report = report
        self._produced = uncommitted
        self._committed = 0
        self._awaits_commit_of = 0
        self._go_on = asyncio.Event()
        self._unreported: list[Stamped] = []
        self._job: asyncio.Task[Outcome] | None = None
        self._cancelled = False
        self._stopped = False
        self._then: Callable[[], None] | None = None

    # Called by anyone.

    @property
    def approvals_waiting(self) -> int:
        """How many of its calls wait for a person's word."""
        return self._decisions.waiting

    # Called by the AgentActor.

    def committed(self, count: int) -> None:
        """Note that the first ``count`` events are committed, and wake the run if it waits for them.

        The run writes what it waits for, then reads what is committed; this writes what is committed, then
        reads what the run waits for. So one of the two sees the other's, and no lock is needed.
        """
        self._committed = count
        if 0 < self._awaits_commit_of <= count:
            self._executor.call(self._go_on.set)

    def decide(self, call_id: str, decision: Decision) -> None:
        """Record a person's word on a call that was asked about, and hand it to the agent. The first counts."""
        self._executor.call(lambda: self._decide(call_id, decision))

    def cancel(self, then: Callable[[], None] | None = None) -> None:
        """Interrupt what the agent awaits; with ``then``, report no more, and call it when the agent stopped."""
        self._executor.call(lambda: self.interrupt(then))

    # On the executor's loop.

    def begin(self) -> None:
        """Start the agent."""
        self._job = asyncio.get_running_loop().create_task(self._work())
        # Not at the end of _work: a job that is cancelled before its first step runs none of it.
        self._job.add_done_callback(self._finished)

    def interrupt(self, then: Callable[[], None] | None = None) -> None:
        """Do what ``cancel`` asks for."""
        self._cancelled = True
        self._then = then or self._then
        if self._job is not None:
            self._job.cancel()
        if self._stopped and then is not None:
            then()

    async def _work(self) -> Outcome:
        try:
            return await self._outcome()
        except asyncio.CancelledError:
            return Aborted()
        except AgentError as error:
            return Failed(one_line(text_of(error), redactor=self._executor.redactor))
        except BaseException as error:  # noqa: BLE001 - whatever an agent raises, its task gets an end
            self._executor.note_failure(self._task, error)
            return Failed(failure_line(error, redactor=self._executor.redactor))

    def _finished(self, job: asyncio.Task[Outcome]) -> None:
        self._stopped = True
        self._executor.forget(self)  # before its actor, which may pass on the turn at once, hears of it
        self._report_news(Aborted() if job.cancelled() else job.result())
        if self._then is not None:
            self._then()

    async def _outcome(self) -> Outcome:
        """Let the agent run to its end."""
        if self._history and getattr(self._agent, "resumes", False) is not True:
            return NotResumed()
        generator = self._agent.run(self._task, self._history)
        answer: Answer | None = None
        try:
            async for item in generator:
                if self._cancelled:  # the agent caught the interruption and went on: it does not any further
                    raise asyncio.CancelledError
                if isinstance(item, Answer):
                    answer = checked(item, self._executor.redactor)
                    break
                if isinstance(item, Checkpoint):
                    await self._until_committed(self._produced)
                elif isinstance(item, AwaitApprovals):
                    await self._until_decided(item)
                else:
                    if type(item) not in AGENT_EVENTS:  # nor is a subclass one: nobody could read it back
                        raise AgentError(_no_event(item))
                    self._take(item)
                    await self._until_committed(self._produced - self._executor.max_ahead + 1)
        finally:
            if isinstance(generator, AsyncGenerator):
                await generator.aclose()
        if answer is None and self._cancelled:  # the agent caught the interruption, and ended
            return Aborted()
        if answer is None:
            return Failed("The agent ended without an answer.")
        return Finished(answer)

    async def _until_decided(self, asked: AwaitApprovals) -> None:
        for request in asked.requests:
            if type(request) is not ApprovalRequested:
                raise AgentError(_no_event(request))
            check_request(request)
            if self._decisions.is_new(request):
                self._take(self._decisions.request(request))
        self._executor.asking[self] = None
        try:
            decisions = await self._decisions.of([request.call_id for request in asked.requests])
        finally:
            del self._executor.asking[self]
        await self._until_committed(self._produced)
        asked.decisions.update(decisions)

    def _decide(self, call_id: str, decision: Decision) -> None:
        if not self._stopped and not self._cancelled and self._decisions.awaits(call_id):
            self._take(self._decisions.resolve(call_id, decision))

    def _take(self, event: AgentEvent | Approval) -> None:
        stamped = stamp_checked(timestamp(self._executor.clock.now()), event)
        wrong = next(miscounted(event), None)
        if wrong is not None:
            most = MOST_PAID if wrong.endswith("cost_usd") else MOST_COUNTED
            msg = f"The agent yielded {stamped.event_type}, whose {wrong!r} is not from 0 to {most:.0f}."
            raise AgentError(msg)
        body = self._executor.redactor.body(stamped.body)
        if body is not stamped.body:
            stamped = Stamped(stamped.at, read_back(body), body)
        if len(stamped.body) > LARGEST_EVENT:
            msg = f"The agent yielded a {stamped.event_type} of {len(stamped.body)} bytes; {LARGEST_EVENT} may be."
            raise AgentError(msg)
        self._produced += 1
        if not self._unreported:
            # What is yielded until the agent next awaits something goes into one message.
            asyncio.get_running_loop().call_soon(self._report_events)
        self._unreported.append(stamped)

    async def _until_committed(self, count: int) -> None:
        while self._committed < count:
            self._go_on.clear()
            self._awaits_commit_of = count
            if self._committed < count:  # looked at after saying what is awaited: see committed()
                self._report_events()
                await self._go_on.wait()
        self._awaits_commit_of = 0

    def _report_events(self) -> None:
        if self._unreported and not (self._job is not None and self._job.done()):  # then they go with the outcome
            self._report_news(None)

    def _report_news(self, outcome: Outcome | None) -> None:
        events, self._unreported = tuple(self._unreported), []
        if self._then is None and not self._executor.stopping:
            self._report(Yielded(events, outcome))


class AsyncioExecutor:
    """Keeps the runs of all agents on ``loop``, which something else drives: a thread, or a simulation."""

    run_class: type[AsyncioRun] = AsyncioRun
    """What it makes of each task's agent: a simulation has one that is watched."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        agent_for: Callable[[Task], Agent],
        clock: Clock,
        log: FilteringBoundLogger,
        max_ahead: int,
        redactor: Redactor = NO_SECRETS,
    ) -> None:
        """``redactor`` knows secrets that no event, answer or error of an agent may tell."""
        self._loop = loop
        self._agent_for = agent_for
        self.clock = clock
        self._log = log
        self.max_ahead = max_ahead
        self.redactor = redactor
        self.stopping = False
        self._runs: dict[AsyncioRun, None] = {}  # in order of start: a set's order differs from process to process
        self.asking: dict[AsyncioRun, None] = {}
        """The runs that wait for a person's word."""
        self._calls: deque[Callable[[], None]] = deque()
        self._calls_scheduled = False
        self._when_stopped: Callable[[], None] | None = None

    # Called by anyone.

    def start(
        self,
        task: Task,
        *,
        history: Sequence[AnyEvent],
        uncommitted: int,
        report: Callable[[Yielded], None],
    ) -> AsyncioRun:
        """Start the agent of ``task``. Raises what ``agent_for`` raises."""
        agent = self._agent_for(task)
        run = self.run_class(
            executor=self, agent=agent, task=task, history=history, uncommitted=uncommitted, report=report
        )
        self.call(lambda: self._begin(run))
        return run

    @property
    def runs(self) -> int:
        """How many agents are at work."""
        return len(self._runs)

    @property
    def approvals_waiting(self) -> int:
        """How many calls of all agents at work wait for a person's word."""
        return sum(run.approvals_waiting for run in tuple(self.asking))

    def stop(self, *, then: Callable[[], None]) -> None:
        """Interrupt all agents without a word to their actors; no other starts any more.

        ``then`` is called on the loop once the last of them has stopped; never if the loop is closed.
        """
        self.stopping = True
        self._when_stopped = then
        self.call(self._interrupt_all)

    def call(self, function: Callable[[], None]) -> None:
        """Have ``function`` called on the loop: many calls, one wake-up."""
        self._calls.append(function)
        if not self._calls_scheduled:
            self._calls_scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody to call any more
                self._loop.call_soon_threadsafe(self._make_calls)

    # On the loop.

    def forget(self, run: AsyncioRun) -> None:
        """Drop a run that has stopped."""
        self._runs.pop(run, None)
        self._note_stopped()

    def note_failure(self, task: Task, error: BaseException) -> None:
        """Log what an agent raised: its task only tells one line of it."""
        self._log.warning(
            "agent.failed",
            task_id=task.task_id,
            session_id=task.session_id,
            trace_id=task.trace_id,
            exc_info=error,
        )

    def _begin(self, run: AsyncioRun) -> None:
        if not self.stopping:
            self._runs[run] = None
            run.begin()

    def _make_calls(self) -> None:
        self._calls_scheduled = False  # first: a call that comes in from here on schedules anew
        while self._calls:
            call = self._calls.popleft()
            try:
                call()
            except Exception as error:  # noqa: BLE001 - one call must not hold up those of all other runs
                self._log.error("executor.call_failed", exc_info=error)

    def _interrupt_all(self) -> None:
        self._note_stopped()
        for run in tuple(self._runs):
            run.interrupt()

    def _note_stopped(self) -> None:
        if not self._runs and self._when_stopped is not None:
            self._when_stopped()


def _no_event(item: object) -> str:
    return f"The agent yielded {type(item).__name__}, which is no event that an agent may yield."


def checked(answer: Answer, redactor: Redactor) -> Answer:
    """Return an agent's answer, without secrets that are known, and not longer than may be.

    Raises TypeError or ValueError if a field of it is of another type, or no JSON.
    """
    answer = msgspec.json.decode(redactor.body(msgspec.json.encode(answer)), type=Answer)
    if len(answer.text) <= LONGEST_ANSWER:
        return answer
    cut = f"{answer.text[:LONGEST_ANSWER]}\n[cut: the answer had {len(answer.text)} characters]"
    return msgspec.structs.replace(answer, text=cut)
