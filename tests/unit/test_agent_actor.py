"""The AgentActor: one task's life, its events and its end."""

from __future__ import annotations

import msgspec
import pytest

from alex_actors.agent_actor import RESEND_AFTER, RESEND_AT_LEAST_EVERY
from alex_actors.agent_protocol import Recorded, RecordRefused
from alex_actors.events import (
    IterationComplete,
    IterationStart,
    TaskAnalysis,
    TaskCompleted,
    TaskFailed,
    TaskStarted,
)
from alex_actors.session_protocol import AgentCrashed, TaskEnded, TurnEnded
from alex_actors.tasks import Status
from alex_actors.values import timestamp
from tests.unit.one_task import ANALYSIS, GRACE, OneTask
from tests.unit.protocol_system import CONTEXT


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


def test_the_answer_to_the_end_is_not_taken_for_that_to_words_that_are_discarded(running: OneTask) -> None:
    running.cancel()
    running.dispatcher.advance(GRACE)
    running.does(ANALYSIS)  # too late, and the agent waits until it is recorded

    running.commit()

    assert running.run.committed_count == 1  # its task_started


def test_the_agent_runs_nothing_before_its_turn(one: OneTask) -> None:
    assert one.executor.runs == {}
    assert one.store.received == []


def test_the_agent_is_started_with_its_turn_and_the_start_is_recorded(one: OneTask) -> None:
    one.grant()

    begun = timestamp(one.clock.now())
    assert one.run.task == msgspec.structs.replace(one.task, status="running", started_at=begun)
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

    assert running.run.committed_count == 2  # the agent's own, without the end
    assert running.session_was_told() == ["TaskEnded", "TurnEnded"]


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
    assert running.timers.pending == 0


def test_events_are_sent_again_until_they_are_answered(running: OneTask) -> None:
    running.finishes()
    running.dispatcher.advance(100 * RESEND_AFTER)

    running.commit()

    assert running.session_was_told() == ["TaskEnded", "TurnEnded"]
    assert running.is_gone()


def resent_at(one: OneTask, *, seconds: int) -> list[int]:
    """Let time pass, and return the seconds in which something was sent again."""
    sent: list[int] = []
    for second in range(1, seconds + 1):
        one.store.take()
        one.dispatcher.advance(1.0)
        if one.store.received:
            sent.append(second)
    return sent


def test_a_store_that_fails_for_long_is_asked_less_and_less_often(running: OneTask) -> None:
    running.dispatcher.advance(2 * RESEND_AFTER)
    running.does(ANALYSIS)

    assert resent_at(running, seconds=260) == [5, 15, 35, 75, 135, 195, 255]


def test_after_a_long_failure_the_next_one_is_seen_as_soon_as_the_first(running: OneTask) -> None:
    running.does(ANALYSIS)
    running.dispatcher.advance(1000.0)
    running.commit()
    running.dispatcher.advance(RESEND_AT_LEAST_EVERY)

    running.does(ANALYSIS)

    assert resent_at(running, seconds=20) == [5, 15]


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
