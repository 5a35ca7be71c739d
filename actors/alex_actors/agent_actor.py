"""The AgentActor: sole owner of one task's life, every change of its status, and its one end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

import msgspec
import pykka

from alex_actors import ends
from alex_actors.actor import PooledActor
from alex_actors.agent_protocol import (
    AgentMessage,
    Announce,
    CancelTask,
    Decide,
    History,
    Recorded,
    RecordRefused,
    RecordsMissing,
    Start,
    TurnGranted,
    _ApprovalLapsed,
    _DeadlineReached,
    _ResendDue,
    _RunReported,
    _StopOverdue,
)
from alex_actors.approvals import Approvals
from alex_actors.events import AnyEvent, Stamped, TaskResumed, TaskStarted, TerminalEvent, read_back, stamp
from alex_actors.messages import tell
from alex_actors.ports import Outcome, Yielded
from alex_actors.projection import advance, progress_of
from alex_actors.session_protocol import AgentPresent, RequestTurn, TaskEnded, TurnEnded
from alex_actors.task_store_protocol import Record, TellHistory
from alex_actors.values import Timestamp, milliseconds_between, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from structlog.typing import FilteringBoundLogger

    from alex_actors.ports import Clock, Executor, Run, Timer, Timers
    from alex_actors.session_actor import SessionActor
    from alex_actors.task_store_actor import TaskStoreActor
    from alex_actors.tasks import Status, Task

RESEND_AFTER = 5.0
"""Seconds until an unanswered Record is sent again: a commit takes milliseconds. Doubled each time."""

RESEND_AT_LEAST_EVERY = 60.0
"""Seconds that it is doubled to: a full disk may take hours, and is not to be asked by every task all the time."""

Interruption: TypeAlias = Literal["cancelled", "timeout"]


class AgentActor(PooledActor):
    """Runs a task's agent when it is its turn, records what the agent yields, and ends the task once.

    The end is decided by what comes first: the agent's outcome, a cancel, the deadline. It is recorded when
    the agent has stopped, or when the grace for that is over; the session is told of both, and then the
    actor stops.
    """

    def __init__(
        self,
        *,
        task: Task,
        recorded: int,
        session: pykka.ActorRef[SessionActor],
        store: pykka.ActorRef[TaskStoreActor],
        executor: Executor,
        timers: Timers,
        clock: Clock,
        log: FilteringBoundLogger,
        cancel_grace: float,
        note_stopped: Callable[[], None],
    ) -> None:
        """Take over a task that has ``recorded`` events: with more than ``task_created`` its agent goes on.

        ``note_stopped`` is called before the session is told that the turn is over, on whatever thread.
        """
        super().__init__()
        self._task = task
        self._context = task.context("AgentActor")
        self._session = session
        self._store = store
        self._executor = executor
        self._timers = timers
        self._clock = clock
        self._log = log
        self._cancel_grace = cancel_grace
        self._note_stopped = note_stopped
        self._progress = progress_of(task)
        self._run: Run | None = None
        self._run_stopped = True  # nothing runs yet
        self._interruption: Interruption | None = None
        self._granted = False
        self._told_end: Status | None = None  # of which the session was told
        self._refused = False  # by the store: the task has its end, and not from here
        self._pending_timers: list[Timer] = []
        self._approvals = Approvals(clock=clock, lapse_in=self._lapse_in, goes_on=recorded > 1)
        # What was sent to the store and not answered yet, from the event at index _answered on. What was recorded
        # before this actor is task_created, which is recorded with the task, and more if the task goes on.
        self._recorded_before = self._answered = recorded
        self._awaits_history = False
        self._unanswered: deque[Stamped] = deque()
        self._added: tuple[Stamped, ...] = ()  # the last of them, which are not sent yet
        self._resend: Timer | None = None
        self._resend_after = RESEND_AFTER
        self._answered_at_last_look = 0

    @property
    def label(self) -> str:
        """What traces call it."""
        return f"AgentActor({self._task.task_id})"

    def on_receive(self, message: AgentMessage) -> object:
        """Handle a message."""
        match message:
            case Start():
                self._get_in_line()
            case Announce():
                self._announce()
            case TurnGranted():
                self._take_turn()
            case History():
                self._resume(message.bodies)
            case CancelTask() | _DeadlineReached():
                self._interrupt("cancelled" if isinstance(message, CancelTask) else "timeout")
            case Decide() | _ApprovalLapsed():
                return self._approvals.receive(message)
            case _RunReported():
                self._take_news(message.news)
            case _StopOverdue():
                self._end_as_interrupted()
            case Recorded():
                self._recorded(message.count)
            case RecordsMissing():
                self._recorded(message.count)
                self._send_unanswered()
            case RecordRefused():
                self._ended_elsewhere(message.status)
            case _ResendDue():
                self._resend_unanswered()
            case _:
                assert_never(message)
        return None

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the agent. Its end is recorded by the supervision; the turn is over when it has stopped."""
        del exception_type, exception_value, traceback
        self._cancel_timers()
        self._approvals.end()
        if self._run is None or self._run_stopped:
            self._tell_turn_ended()
        else:
            self._run.cancel(then=self._tell_turn_ended)

    def _get_in_line(self) -> None:
        tell(self._session, RequestTurn(context=self._context, task_id=self._task.task_id, agent=self.actor_ref))
        if self._progress.started_at is not None:  # before the server was down: its time goes on while it waits
            self._await_deadline()

    def _announce(self) -> None:
        present = AgentPresent(
            context=self._context,
            task_id=self._task.task_id,
            agent=self.actor_ref,
            granted=self._granted,
            status=self._told_end,
        )
        tell(self._session, present)

    # The agent's run.

    @property
    def _may_begin(self) -> bool:
        return self._run is None and self._interruption is None and not self._end_decided

    def _take_turn(self) -> None:
        self._granted = True
        if not self._may_begin or self._awaits_history:
            return
        if self._recorded_before == 1:
            self._begin("agent.started", TaskStarted(), ())
        else:
            self._awaits_history = True
            self._ask_for_history()
            self._look_again()

    def _ask_for_history(self) -> None:
        tell(self._store, TellHistory(context=self._context, task_id=self._task.task_id, agent=self.actor_ref))

    def _resume(self, bodies: tuple[bytes, ...]) -> None:
        self._awaits_history = False
        if self._may_begin:
            self._begin("agent.resumed", TaskResumed(), tuple(map(read_back, bodies)))

    def _begin(self, fact: str, event: TaskStarted | TaskResumed, history: tuple[AnyEvent, ...]) -> None:
        facts = {"task_id": self._task.task_id, "session_id": self._task.session_id}
        self._log.info(fact, **facts, trace_id=self._task.trace_id, agent=self._task.agent_preset)
        self._add(self._stamp(event))
        self._send_added()
        if isinstance(event, TaskStarted):
            self._await_deadline()
            # The agent is given the same task as it will be if it goes on one day: with its start.
            begun = self._progress
            self._task = msgspec.structs.replace(self._task, status=begun.status, started_at=begun.started_at)
        ref, context = self.actor_ref, self._context
        self._run_stopped = False
        self._run = self._executor.start(
            self._task,
            history=history,
            uncommitted=1,
            report=lambda news: tell(ref, _RunReported(context=context, news=news)),
        )
        self._approvals.begin(self._run, history)

    def _take_news(self, news: Yielded) -> None:
        if self._interruption is None and not self._end_decided:
            self._add(*news.events)
        if news.outcome is not None:
            self._run_stopped = True
            self._take_outcome(news.outcome)
        self._send_added()

    def _take_outcome(self, outcome: Outcome) -> None:
        if self._end_decided:
            if not self._unanswered:
                self._leave()
        elif self._interruption is not None:
            self._end_as_interrupted()
        else:
            self._add(
                self._stamp(ends.of(outcome, self._progress, self._now()))
            )  # sent with what the agent yielded last

    # Cancel and timeout.

    def _await_deadline(self) -> None:
        if self._task.timeout_seconds is not None:
            run_for = milliseconds_between(self._progress.started_at, self._now()) / 1000
            left = max(0.0, self._task.timeout_seconds - run_for)
            self._after(left, _DeadlineReached(context=self._context))

    def _interrupt(self, interruption: Interruption) -> None:
        if self._interruption is not None or self._end_decided:
            return
        self._interruption = interruption
        if self._run is None:
            self._end_as_interrupted()
        else:
            self._run.cancel()
            self._after(self._cancel_grace, _StopOverdue(context=self._context))

    def _end_as_interrupted(self) -> None:
        if self._end_decided:
            return
        if self._interruption == "timeout":
            error = f"The task ran longer than its timeout of {self._task.timeout_seconds} seconds."
            end: TerminalEvent = ends.failed(self._progress, self._now(), error, "timeout")
        else:
            end = ends.cancelled(self._progress, self._now())
        self._add(self._stamp(end))
        self._send_added()

    # The end.

    @property
    def _end_decided(self) -> bool:
        """Whether there is an end, here or elsewhere: what the agent still says is discarded."""
        return self._progress.ended or self._refused

    def _ended_elsewhere(self, status: Status) -> None:
        """Stop, since the task has an end that was not this actor's to decide."""
        if self._progress.ended and not self._unanswered:
            return  # it was, and this is the answer to a Record that was sent twice
        self._unanswered.clear()
        self._added = ()
        self._refused = True
        self._tell_task_ended(status)
        if self._run is None or self._run_stopped:
            self._leave()
        else:
            self._run.cancel()

    def _leave(self) -> None:
        self._cancel_timers()
        self._tell_turn_ended()
        self.stop()

    def _tell_task_ended(self, status: Status) -> None:
        self._told_end = status
        self._approvals.end()
        tell(self._session, TaskEnded(context=self._context, task_id=self._task.task_id, status=status))

    def _tell_turn_ended(self) -> None:
        self._note_stopped()
        tell(self._session, TurnEnded(context=self._context, task_id=self._task.task_id))

    # Recording.

    def _now(self) -> Timestamp:
        return timestamp(self._clock.now())

    def _stamp(self, event: AnyEvent) -> Stamped:
        return stamp(self._now(), event)

    def _add(self, *events: Stamped) -> None:
        """Add events that are to be recorded: they are sent with the next ``_send_added``."""
        for one in events:
            self._unanswered.append(one)
            self._progress = advance(self._progress, one.at, one.event)
            self._approvals.take(one.event, self._answered + len(self._unanswered))
        self._added += events

    def _send_added(self) -> None:
        events, self._added = self._added, ()
        if events:
            self._send(self._answered + len(self._unanswered) - len(events), events)
            if self._resend is None:
                self._look_again()

    def _send(self, first: int, events: tuple[Stamped, ...]) -> None:
        record = Record(
            context=self._context, task_id=self._task.task_id, first=first, events=events, agent=self.actor_ref
        )
        tell(self._store, record)

    def _recorded(self, count: int) -> None:
        for _ in range(count - self._answered):
            self._unanswered.popleft()
        self._answered = max(self._answered, count)
        self._approvals.committed(self._answered)
        end_answered = self._progress.ended and not self._unanswered
        if self._run is not None:
            # The run knows of neither what was recorded before it nor the end. With the end counted, an agent
            # whose last words are discarded would take them for committed, and go on.
            self._run.committed(self._answered - self._recorded_before - int(end_answered))
        if end_answered:
            self._tell_task_ended(self._progress.status)
            if self._run_stopped:
                self._leave()

    def _send_unanswered(self) -> None:
        if self._unanswered:
            self._send(self._answered, tuple(self._unanswered))

    def _look_again(self) -> None:
        self._answered_at_last_look = self._answered
        self._resend = self._timers.after(self._resend_after, self.actor_ref, _ResendDue(context=self._context))

    def _resend_unanswered(self) -> None:
        self._resend = None
        if self._awaits_history and self._may_begin:
            self._ask_for_history()
        elif not self._unanswered:
            self._resend_after = RESEND_AFTER
            return
        if self._answered == self._answered_at_last_look:
            self._send_unanswered()
            self._resend_after = min(2 * self._resend_after, RESEND_AT_LEAST_EVERY)
        else:
            self._resend_after = RESEND_AFTER
        self._look_again()

    # Timers.

    def _lapse_in(self, seconds: float, call_id: str) -> Timer:
        lapsed = _ApprovalLapsed(context=self._context, call_id=call_id)
        return self._timers.after(seconds, self.actor_ref, lapsed)

    def _after(self, seconds: float, message: _DeadlineReached | _StopOverdue) -> None:
        self._pending_timers.append(self._timers.after(seconds, self.actor_ref, message))

    def _cancel_timers(self) -> None:
        for timer in (*self._pending_timers, self._resend):
            if timer is not None:
                timer.cancel()
