"""The AgentActor: one task's life, with the session, the store and the agent played by the test."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from alex_actors.agent_actor import RESEND_AFTER
from alex_actors.agent_launcher import AgentLauncher
from alex_actors.agent_protocol import CancelTask, Recorded, RecordRefused, TurnGranted
from alex_actors.events import (
    AnyEvent,
    IterationComplete,
    IterationStart,
    TaskAnalysis,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskStarted,
)
from alex_actors.messages import Tell, tell
from alex_actors.session_protocol import AgentCrashed, RequestTurn, TaskEnded, TurnEnded
from alex_actors.task_store_protocol import Record
from alex_actors.tasks import Status
from tests.unit.protocol_system import CONTEXT, CapturedLog, a_task
from tests.unit.scripted_agents import FakeExecutor, ScriptedRun
from tests.unit.stepping import FakeClock, FakeTimers, StandIn, SteppingDispatcher

GRACE = 3.0
ANALYSIS = TaskAnalysis(action_name="calculate", goal="4")


class OneTask:
    """An agent's actor, and stand-ins for everybody whom it knows."""

    def __init__(self, *, timeout_seconds: float | None = None) -> None:
        self.clock = FakeClock()
        self.timers = FakeTimers(clock=self.clock)
        self.log = CapturedLog()
        self.dispatcher = SteppingDispatcher(clock=self.clock, timers=self.timers)
        self.session = StandIn(self.dispatcher)
        self.store = StandIn(self.dispatcher)
        self.executor = FakeExecutor(clock=self.clock)
        self.task = msgspec.structs.replace(a_task("a"), timeout_seconds=timeout_seconds)
        launcher = AgentLauncher(
            spawner=self.dispatcher, store=self.store.ref, executor=self.executor, timers=self.timers,
            clock=self.clock, log=self.log.logger, cancel_grace=GRACE,
        )  # fmt: skip
        launcher.launch(self.task, self.session.ref)
        self.dispatcher.run()
        (request,) = self.session.take()
        assert isinstance(request, RequestTurn)
        self.agent = request.agent
        self.answered = 0

    @property
    def run(self) -> ScriptedRun:
        return self.executor.runs[self.task.task_id]

    def tell(self, message: Tell[Any]) -> None:  # Any: of any actor's protocol
        tell(self.agent, message)
        self.dispatcher.run()

    def grant(self) -> None:
        self.tell(TurnGranted(context=CONTEXT))

    def cancel(self) -> None:
        self.tell(CancelTask(context=CONTEXT))

    def does(self, *events: Any) -> None:  # Any: events that an agent may yield
        self.run.yields(*events)
        self.dispatcher.run()

    def finishes(self, answer: str = "4") -> None:
        self.run.finishes(answer)
        self.dispatcher.run()

    def stops(self) -> None:
        self.run.stops()
        self.dispatcher.run()

    def commit(self) -> None:
        """Answer as the store does when all that it was sent is committed."""
        records = [message for message in self.store.received if isinstance(message, Record)]
        count = max(record.first + len(record.events) for record in records)
        self.tell(Recorded(context=CONTEXT, count=count))

    def recorded(self) -> list[AnyEvent]:
        """Return the events that were sent to the store, each once, after checking their numbers."""
        events: list[AnyEvent] = []
        for record in self.store.received:
            assert record.first <= 1 + len(events), "events are missing"
            events += [stamped.event for stamped in record.events[1 + len(events) - record.first :]]
        return events

    def session_was_told(self) -> list[str]:
        return [type(message).__name__ for message in self.session.received]

    def end(self) -> TaskCompleted | TaskFailed | TaskCancelled:
        """Return the one end that was sent to the store, as the last event."""
        *before, last = self.recorded()
        assert isinstance(last, TaskCompleted | TaskFailed | TaskCancelled)
        assert not [event for event in before if isinstance(event, TaskCompleted | TaskFailed | TaskCancelled)]
        return last

    def is_gone(self) -> bool:
        """Whether nothing of it is left: no actor, no timer."""
        return not self.agent.is_alive() and not self.timers.pending


@pytest.fixture
def one() -> OneTask:
    return OneTask()


@pytest.fixture
def running() -> OneTask:
    """A task that runs, and whose start is committed."""
    one = OneTask()
    one.grant()
    one.commit()
    return one


# From the start to the end.


def test_the_agent_runs_nothing_before_its_turn(one: OneTask) -> None:
    assert one.executor.runs == {}
    assert one.store.received == []


def test_the_agent_is_started_with_its_turn_and_the_start_is_recorded(one: OneTask) -> None:
    one.grant()

    assert one.run.task == one.task
    assert one.recorded() == [TaskStarted()]
    (record,) = one.store.received
    assert record.first == 1


def test_a_second_turn_starts_no_second_agent(running: OneTask) -> None:
    running.grant()

    assert running.recorded() == [TaskStarted()]
    assert len(running.executor.runs) == 1


def test_what_the_agent_yields_is_recorded_in_order(running: OneTask) -> None:
    running.does(ANALYSIS, IterationStart(iteration=1, total_iters=50))
    running.does(IterationComplete(iteration=1, tokens_used=9, tools_run=0))

    assert running.recorded()[1:] == [
        ANALYSIS,
        IterationStart(iteration=1, total_iters=50),
        IterationComplete(iteration=1, tokens_used=9, tools_run=0),
    ]
    assert [record.first for record in running.store.received] == [1, 2, 4]


def test_an_answer_completes_the_task_with_its_counters(running: OneTask) -> None:
    running.does(IterationStart(iteration=2, total_iters=50))
    running.does(IterationComplete(iteration=2, tokens_used=40, tools_run=1))
    running.clock.advance_to(1.5)

    running.finishes("It is 4.")

    assert running.end() == TaskCompleted(
        final_answer="It is 4.",
        stop_reason="final_answer",
        total_iterations=2,
        total_tokens=40,
        duration=1500.0,
    )


def test_events_that_come_with_the_answer_are_recorded_before_the_end(running: OneTask) -> None:
    running.run.finishes("4", ANALYSIS)
    running.dispatcher.run()

    assert [type(event) for event in running.recorded()] == [TaskStarted, TaskAnalysis, TaskCompleted]


def test_a_failure_fails_the_task(running: OneTask) -> None:
    running.run.fails("The model cannot be reached.")
    running.dispatcher.run()

    end = running.end()
    assert isinstance(end, TaskFailed)
    assert (end.error, end.termination_reason) == ("The model cannot be reached.", "error")


def test_an_agent_that_stops_by_itself_without_an_answer_fails_the_task(running: OneTask) -> None:
    running.stops()

    end = running.end()
    assert isinstance(end, TaskFailed)
    assert end.termination_reason == "error"


def test_the_session_is_told_only_after_the_end_is_committed_and_then_nothing_is_left(running: OneTask) -> None:
    running.finishes()
    before = running.session_was_told()

    running.commit()

    assert before == []
    assert running.session_was_told() == ["TaskEnded", "TurnEnded"]
    assert running.session.received[0].status == "completed"
    assert running.is_gone()


def test_a_part_of_the_events_committed_is_no_end(running: OneTask) -> None:
    running.does(ANALYSIS)
    running.finishes()

    running.tell(Recorded(context=CONTEXT, count=3))

    assert running.session_was_told() == []
    assert running.agent.is_alive()


def test_the_run_is_told_what_is_committed(running: OneTask) -> None:
    running.does(ANALYSIS, ANALYSIS)

    at_first = running.run.committed_count
    running.commit()

    assert at_first == 1
    assert running.run.committed_count == 3


def test_an_old_answer_of_the_store_changes_nothing(running: OneTask) -> None:
    running.does(ANALYSIS)
    running.commit()

    running.tell(Recorded(context=CONTEXT, count=2))
    running.finishes()
    running.commit()

    assert running.run.committed_count == 3
    assert running.session_was_told() == ["TaskEnded", "TurnEnded"]


# Cancel.


def test_a_cancel_before_the_turn_ends_the_task_without_an_agent(one: OneTask) -> None:
    one.cancel()
    one.commit()

    end = one.end()
    assert isinstance(end, TaskCancelled)
    assert end.duration == 0.0
    assert one.executor.runs == {}
    assert one.session_was_told() == ["TaskEnded", "TurnEnded"]
    assert one.is_gone()


def test_a_turn_that_meets_a_cancel_starts_nothing(one: OneTask) -> None:
    one.cancel()
    one.grant()

    assert one.executor.runs == {}
    assert [type(event) for event in one.recorded()] == [TaskCancelled]


def test_a_cancel_interrupts_the_agent_and_is_recorded_when_it_has_stopped(running: OneTask) -> None:
    running.does(IterationStart(iteration=1, total_iters=50))
    running.cancel()
    before = running.recorded()

    running.stops()
    running.commit()

    assert running.run.cancelled == 1
    assert not any(isinstance(event, TaskCancelled) for event in before)
    end = running.end()
    assert isinstance(end, TaskCancelled)
    assert end.total_iterations == 1
    assert running.is_gone()


def test_what_the_agent_says_after_a_cancel_is_discarded_also_its_answer(running: OneTask) -> None:
    running.cancel()

    running.does(ANALYSIS)
    running.finishes()

    assert [type(event) for event in running.recorded()] == [TaskStarted, TaskCancelled]


def test_a_cancel_after_the_answer_changes_nothing(running: OneTask) -> None:
    running.finishes()
    running.cancel()
    running.commit()

    assert isinstance(running.end(), TaskCompleted)
    assert running.run.cancelled == 0


def test_an_agent_that_will_not_die_has_its_end_recorded_after_the_grace(running: OneTask) -> None:
    running.cancel()

    running.dispatcher.advance(GRACE - 0.1)
    early = running.recorded()
    running.dispatcher.advance(0.1)

    assert early == [TaskStarted()]
    assert isinstance(running.end(), TaskCancelled)


def test_an_agent_that_will_not_die_keeps_the_turn_until_it_has_really_stopped(running: OneTask) -> None:
    running.cancel()
    running.dispatcher.advance(GRACE)
    running.commit()
    told_after_the_grace = running.session_was_told()

    running.does(ANALYSIS)
    running.finishes()

    assert told_after_the_grace == ["TaskEnded"]
    assert running.session_was_told() == ["TaskEnded", "TurnEnded"]
    assert isinstance(running.end(), TaskCancelled)
    assert running.is_gone()


def test_an_agent_that_stops_before_its_late_end_is_committed_leaves_after_the_commit(running: OneTask) -> None:
    running.cancel()
    running.dispatcher.advance(GRACE)
    running.stops()
    before = running.session_was_told()

    running.commit()

    assert before == []
    assert running.session_was_told() == ["TaskEnded", "TurnEnded"]
    assert running.is_gone()


# Timeout.


def test_a_task_that_runs_too_long_fails_as_timed_out() -> None:
    one = OneTask(timeout_seconds=2.5)
    one.grant()
    one.commit()

    one.dispatcher.advance(2.5)
    one.stops()
    one.commit()

    end = one.end()
    assert isinstance(end, TaskFailed)
    assert (end.termination_reason, end.stop_reason) == ("timeout", "timeout")
    assert "2.5 seconds" in end.error
    assert one.run.cancelled == 1
    assert one.is_gone()


def test_the_wait_for_the_turn_does_not_count_as_running() -> None:
    one = OneTask(timeout_seconds=1.0)

    one.dispatcher.advance(3600.0)
    one.grant()
    one.dispatcher.advance(0.9)

    assert one.run.cancelled == 0


def test_a_cancel_after_the_timeout_changes_nothing() -> None:
    one = OneTask(timeout_seconds=1.0)
    one.grant()
    one.dispatcher.advance(1.0)

    one.cancel()
    one.stops()

    end = one.end()
    assert isinstance(end, TaskFailed)
    assert end.termination_reason == "timeout"


def test_a_task_that_ends_in_time_leaves_no_timer() -> None:
    one = OneTask(timeout_seconds=3600.0)
    one.grant()
    one.finishes()

    one.commit()

    assert one.is_gone()


# Recording again.


def test_unanswered_events_are_sent_again_with_their_numbers(running: OneTask) -> None:
    running.does(ANALYSIS)
    running.finishes()
    running.store.take()

    running.dispatcher.advance(2 * RESEND_AFTER)

    assert {record.first for record in running.store.received} == {2}
    assert all(len(record.events) == 2 for record in running.store.received)
    assert running.session_was_told() == []


def test_what_was_answered_is_not_sent_again(running: OneTask) -> None:
    running.does(ANALYSIS, ANALYSIS)
    running.tell(Recorded(context=CONTEXT, count=3))
    running.store.take()

    running.dispatcher.advance(3 * RESEND_AFTER)

    assert {record.first for record in running.store.received} == {3}


def test_nothing_is_sent_again_and_no_timer_set_while_all_is_answered(running: OneTask) -> None:
    running.dispatcher.advance(2 * RESEND_AFTER)

    assert len(running.store.received) == 1
    assert running.timers.pending == []


def test_events_are_sent_again_until_they_are_answered(running: OneTask) -> None:
    running.finishes()
    running.dispatcher.advance(100 * RESEND_AFTER)

    running.commit()

    assert running.session_was_told() == ["TaskEnded", "TurnEnded"]
    assert running.is_gone()


# Ended by somebody else.


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_task_that_ended_elsewhere_has_its_agent_stopped_and_that_end_told(status: Status) -> None:
    one = OneTask()
    one.grant()

    one.tell(RecordRefused(context=CONTEXT, status=status))
    told = one.session_was_told()
    one.stops()
    while one.agent.is_alive():
        one.tell(RecordRefused(context=CONTEXT, status=status))

    assert one.run.cancelled == 1
    assert told == ["TaskEnded"]
    assert {message.status for message in one.session.received if isinstance(message, TaskEnded)} == {status}
    assert "TurnEnded" in one.session_was_told()
    assert one.is_gone()


def test_nothing_is_recorded_any_more_once_a_task_ended_elsewhere(running: OneTask) -> None:
    running.does(ANALYSIS)
    running.tell(RecordRefused(context=CONTEXT, status="failed"))
    running.store.take()

    running.does(ANALYSIS)
    running.stops()

    assert running.store.received == []
    assert running.is_gone()


def test_a_refusal_after_the_own_end_is_committed_changes_nothing(running: OneTask) -> None:
    running.cancel()
    running.dispatcher.advance(GRACE)
    running.commit()

    running.tell(RecordRefused(context=CONTEXT, status="cancelled"))
    running.stops()

    ends = [message.status for message in running.session.received if isinstance(message, TaskEnded)]
    assert set(ends) == {"cancelled"}
    assert running.session_was_told()[-1] == "TurnEnded"
    assert running.is_gone()


# Crashes.


def crash(one: OneTask) -> None:
    """Have the actor crash, by a count of commits that no store would send."""
    one.tell(Recorded(context=CONTEXT, count=999))


def test_a_crash_is_told_to_the_session_and_the_turn_ends_when_the_agent_has_stopped(running: OneTask) -> None:
    crash(running)
    before = running.session_was_told()

    running.run.stops()
    running.dispatcher.run()

    assert running.run.cancelled == 1
    assert before == ["AgentCrashed"]
    assert running.session_was_told() == ["AgentCrashed", "TurnEnded"]
    assert running.is_gone()


def test_a_crash_without_an_agent_ends_the_turn_at_once(one: OneTask) -> None:
    crash(one)

    assert one.session_was_told() == ["AgentCrashed", "TurnEnded"]
    assert one.is_gone()


def test_a_crash_tells_what_it_was_in_one_line(one: OneTask) -> None:
    crash(one)

    (crashed,) = [message for message in one.session.received if isinstance(message, AgentCrashed)]
    assert crashed.error.startswith("The task's actor crashed: IndexError")
    assert "\n" not in crashed.error
    assert (crashed.context.task_id, crashed.context.session_id) == ("a", "home")


def test_an_agent_that_cannot_be_started_crashes_its_actor(one: OneTask) -> None:
    one.executor.refusal = KeyError("no such preset")

    one.grant()

    assert one.session_was_told() == ["AgentCrashed", "TurnEnded"]
    assert one.recorded() == [TaskStarted()]
    assert one.is_gone()


def test_an_agents_start_is_logged_with_the_ids(running: OneTask) -> None:
    (line,) = [line for line in running.log.lines if line["event"] == "agent.started"]

    assert (line["task_id"], line["session_id"], line["trace_id"]) == ("a", "home", "trace")


def test_a_turn_ended_names_its_task(running: OneTask) -> None:
    running.finishes()
    running.commit()

    (ended,) = [message for message in running.session.received if isinstance(message, TurnEnded)]
    assert ended.task_id == "a"
