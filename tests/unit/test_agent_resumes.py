"""The AgentActor of a task that had begun before the server was started: it goes on from what is recorded."""

from __future__ import annotations

import pytest

from alex_actors.agent_actor import RESEND_AFTER
from alex_actors.agent_protocol import TurnGranted
from alex_actors.events import (
    IterationComplete,
    IterationStart,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskResumed,
    TaskStarted,
    stamp,
)
from alex_actors.ports import NotResumed
from alex_actors.task_store_protocol import TellHistory
from alex_actors.values import timestamp
from tests.unit.actor_fakes import OwnedClock
from tests.unit.one_task import ANALYSIS, GRACE, OneTask
from tests.unit.protocol_system import CONTEXT

BEGUN = timestamp(OwnedClock().now())
HISTORY = tuple(
    stamp(BEGUN, event)
    for event in (
        TaskCreated(task="What is 2 + 2?"),
        TaskStarted(),
        IterationStart(iteration=3, total_iters=50),
        IterationComplete(iteration=3, tokens_used=60, tools_run=0),
    )
)


@pytest.fixture
def one() -> OneTask:
    return OneTask(history=HISTORY)


@pytest.fixture
def resumed(one: OneTask) -> OneTask:
    """A task that has its turn and its history, and whose resumption is committed."""
    one.grant()
    one.remind()
    one.commit()
    return one


def test_it_asks_for_its_history_when_it_is_its_turn_and_not_before(one: OneTask) -> None:
    before = list(one.store.received)
    one.grant()

    assert before == []
    (asked,) = one.store.received
    assert isinstance(asked, TellHistory)
    assert one.executor.runs == {}


def test_its_agent_is_given_what_is_recorded_and_that_it_goes_on_is_recorded(one: OneTask) -> None:
    one.grant()
    one.remind()

    assert list(one.run.history) == [stamped.event for stamped in HISTORY]
    assert one.recorded() == [TaskResumed()]
    assert one.records()[0].first == len(HISTORY)
    assert one.log.events() == ["agent.resumed"]


def test_its_agent_is_told_what_is_committed_of_its_own_events(resumed: OneTask) -> None:
    resumed.does(ANALYSIS)
    resumed.commit()

    assert resumed.run.produced == 2  # task_resumed was on its way when it began
    assert resumed.run.committed_count == 2


def test_its_counters_go_on(resumed: OneTask) -> None:
    resumed.finishes("4")

    end = resumed.end()
    assert isinstance(end, TaskCompleted)
    assert (end.total_iterations, end.total_tokens) == (3, 60)


def test_a_history_that_is_lost_is_asked_for_again(one: OneTask) -> None:
    one.grant()
    one.dispatcher.advance(RESEND_AFTER)

    assert [type(message) for message in one.store.received] == [TellHistory, TellHistory]


def test_a_history_that_comes_twice_starts_one_agent(resumed: OneTask) -> None:
    resumed.remind()

    assert resumed.recorded() == [TaskResumed()]


def test_a_second_turn_asks_for_nothing(one: OneTask) -> None:
    one.grant()
    one.tell(TurnGranted(context=CONTEXT))

    assert len(one.store.received) == 1


def test_a_cancel_before_the_history_ends_it_after_what_is_recorded(one: OneTask) -> None:
    one.grant()
    one.cancel()
    one.remind()
    one.commit()

    end = one.end()
    assert isinstance(end, TaskCancelled)
    assert (end.total_iterations, end.total_tokens) == (3, 60)
    assert one.records()[0].first == len(HISTORY)
    assert one.executor.runs == {}
    assert one.is_gone()


def test_a_cancel_before_the_turn_ends_it(one: OneTask) -> None:
    one.cancel()
    one.commit()

    assert isinstance(one.end(), TaskCancelled)
    assert one.is_gone()


def test_the_deadline_counts_from_when_it_was_started_first() -> None:
    one = OneTask(history=HISTORY, timeout_seconds=100.0)
    one.clock.advance_to(70.0)
    one.grant()
    one.remind()
    one.commit()

    one.dispatcher.advance(29.0)
    still_running = not one.run.cancelled
    one.dispatcher.advance(1.0 + GRACE)

    assert still_running
    end = one.end()
    assert isinstance(end, TaskFailed)
    assert end.termination_reason == "timeout"


def test_a_deadline_that_passed_while_the_server_was_down_ends_it_at_once() -> None:
    one = OneTask(history=HISTORY, timeout_seconds=10.0)
    one.clock.advance_to(70.0)
    one.grant()
    one.remind()
    one.dispatcher.advance(0.0)

    assert one.run.cancelled


def test_the_task_of_an_agent_that_does_not_go_on_ends_as_interrupted(resumed: OneTask) -> None:
    resumed.run.stops_with(NotResumed())
    resumed.dispatcher.run()

    end = resumed.end()
    assert isinstance(end, TaskFailed)
    assert (end.termination_reason, end.stop_reason, end.total_tokens) == ("interrupted", "interrupted", 60)
