"""The AgentActor: cancel, timeout, and agents that will not die."""

from __future__ import annotations

import pytest

from alex_actors.events import IterationStart, TaskCancelled, TaskCompleted, TaskFailed, TaskStarted
from tests.unit.one_task import ANALYSIS, GRACE, OneTask


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
