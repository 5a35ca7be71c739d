"""The SessionActor: cancels, crashes of agents, and workers that give up."""

from __future__ import annotations

import pykka
import pytest

from alex_actors.agent_protocol import CancelTask, TurnGranted
from alex_actors.messages import tell
from alex_actors.replies import AlreadyEnded, Cancelled, UnknownTask
from alex_actors.session_protocol import AgentCrashed
from alex_actors.task_store_protocol import RecordCrash, Revoke
from alex_actors.values import TaskId
from tests.unit.protocol_system import CONTEXT, a_task, ask_result
from tests.unit.session_lines import Lines


@pytest.fixture
def lines() -> Lines:
    return Lines()


# Cancelling.


def test_a_cancel_is_answered_when_the_end_is_recorded(lines: Lines) -> None:
    lines.enter("a")

    cancel = lines.cancel("a")
    answered_at_once = cancel.done
    lines.end_is_recorded("a", "cancelled")

    assert lines.told("a") == ["TurnGranted", "CancelTask"]
    assert not answered_at_once
    assert ask_result(cancel) == Cancelled()


def test_every_cancel_is_answered_and_the_agent_told_once(lines: Lines) -> None:
    lines.enter("a")

    cancels = [lines.cancel("a") for _ in range(3)]
    lines.end("a", "cancelled")

    assert [ask_result(cancel) for cancel in cancels] == [Cancelled()] * 3
    assert lines.told("a").count("CancelTask") == 1


def test_a_cancel_that_meets_another_end_is_told_which(lines: Lines) -> None:
    lines.enter("a")

    cancel = lines.cancel("a")
    lines.end("a", "completed")

    assert ask_result(cancel) == AlreadyEnded("completed")


def test_a_cancel_after_the_end_while_the_agent_still_stops_is_answered_at_once(lines: Lines) -> None:
    lines.enter("a")
    lines.end_is_recorded("a", "cancelled")

    cancel = lines.cancel("a")

    assert ask_result(cancel) == AlreadyEnded("cancelled")


def test_a_cancel_of_an_unknown_task_is_answered_at_once(lines: Lines) -> None:
    assert ask_result(lines.cancel("a")) == UnknownTask()


def test_a_cancel_before_there_is_an_agent_is_kept(lines: Lines) -> None:
    lines.confirm("a")
    cancel = lines.cancel("a")

    lines.request_turn("a")
    lines.end("a", "cancelled")

    assert lines.told("a") == ["CancelTask"]
    assert ask_result(cancel) == Cancelled()
    assert lines.nothing_is_left()


def test_a_cancelled_task_still_holds_up_those_behind_it_until_its_agent_has_stopped(lines: Lines) -> None:
    lines.enter("a")
    lines.enter("b")

    lines.cancel("a")
    lines.end_is_recorded("a", "cancelled")

    assert lines.granted() == ["a"]
    lines.agent_stops("a")
    assert lines.granted() == ["a", "b"]


def test_a_stop_of_the_actor_fails_the_cancels_that_wait(lines: Lines) -> None:
    lines.enter("a")
    cancel = lines.cancel("a")

    lines.ref.stop(block=False)
    lines.dispatcher.run()

    with pytest.raises(pykka.ActorDeadError):
        cancel.get(timeout=0)


# Crashes.


def test_a_crash_of_an_agents_actor_is_recorded_and_the_turn_passes_on(lines: Lines) -> None:
    lines.enter("a")
    lines.enter("b")

    tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("a"), error="It broke."))
    lines.agent_stops("a")
    (crash,) = lines.store.take()
    before = lines.granted()
    lines.end_is_recorded("a", "failed")

    assert isinstance(crash, RecordCrash)
    assert (crash.task_id, crash.error) == ("a", "It broke.")
    assert before == ["a"]
    assert lines.granted() == ["a", "b"]


def test_a_cancel_of_a_task_whose_actor_crashed_is_answered(lines: Lines) -> None:
    lines.enter("a")
    tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("a"), error="It broke."))
    lines.agent_stops("a")

    cancel = lines.cancel("a")
    lines.end_is_recorded("a", "failed")

    assert ask_result(cancel) == AlreadyEnded("failed")
    assert lines.nothing_is_left()


# Workers that give up.


def test_a_worker_that_gives_up_has_its_task_revoked(lines: Lines) -> None:
    lines.confirm("a")

    lines.settle("a")

    (revoke,) = lines.store.received
    assert isinstance(revoke, Revoke)
    assert revoke.task_id == "a"


def test_a_task_that_was_never_recorded_gives_its_place_back(lines: Lines) -> None:
    lines.confirm("a")
    lines.enter("b")
    cancel = lines.cancel("a")

    lines.settle("a")
    lines.settled("a", None)

    assert ask_result(cancel) == UnknownTask()
    assert lines.granted() == ["b"]
    lines.end("b")
    assert lines.nothing_is_left()


def test_a_task_that_was_recorded_after_all_has_its_agent_started(lines: Lines) -> None:
    lines.confirm("a")

    lines.settle("a")
    lines.settled("a", a_task("a"))
    lines.request_turn("a")

    assert [task.task_id for task in lines.launched] == ["a"]
    assert lines.granted() == ["a"]


def test_there_is_nothing_to_settle_for_a_task_with_an_agent_or_without_a_place(lines: Lines) -> None:
    lines.enter("a")

    lines.settle("a")
    lines.settled("a", a_task("a"))
    lines.settle("never confirmed")
    lines.settled("never confirmed", None)

    assert lines.store.received == []
    assert lines.launched == []
    assert lines.granted() == ["a"]


def test_news_of_a_task_that_has_left_changes_nothing(lines: Lines) -> None:
    lines.enter("a")
    lines.end("a")

    lines.end("a", "failed")
    tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("a"), error="late"))
    lines.dispatcher.run()

    assert lines.told("a") == ["TurnGranted"]
    assert lines.store.received == []
    assert lines.nothing_is_left()


def test_an_agent_that_asks_for_a_turn_after_its_task_has_ended_is_told_to_end_itself(lines: Lines) -> None:
    lines.enter("a")
    lines.end("a")

    lines.request_turn("a")

    assert lines.told("a") == ["CancelTask"]
    assert lines.nothing_is_left()


def test_an_agent_is_told_with_the_ids_of_its_task(lines: Lines) -> None:
    lines.enter("a")
    lines.cancel("a")

    for message in lines.agents["a"].received:
        assert isinstance(message, TurnGranted | CancelTask)
        assert (message.context.task_id, message.context.session_id) == ("a", "home")
        assert message.context.sender == "SessionActor"
