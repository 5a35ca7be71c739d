"""The SessionActor: confirmations, lines and turns, with the other actors played by the test."""

from __future__ import annotations

import itertools

import pytest

from alex_actors.agent_protocol import TurnGranted
from alex_actors.replies import AlreadyEnded, SessionBusy, TooManyTasks
from alex_actors.session_protocol import Confirmed
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.values import LOCAL_OWNER, Owner, SessionId, TaskId, timestamp
from tests.unit.protocol_system import CONTEXT, ask_result
from tests.unit.session_lines import HOME, Lines


@pytest.fixture
def lines() -> Lines:
    return Lines()


# Confirming.


def test_a_confirmed_session_has_the_id_that_was_asked_for(lines: Lines) -> None:
    answer = lines.confirm("a")

    assert answer == Confirmed(HOME, 7, timestamp(EPOCH), incarnation=1)


def test_without_an_id_a_new_session_is_confirmed(lines: Lines) -> None:
    first, second = lines.confirm("a", session_id=None), lines.confirm("b", session_id=None)

    assert isinstance(first, Confirmed)
    assert isinstance(second, Confirmed)
    assert first.session_id != second.session_id
    assert first.session_id.startswith("session-")


def test_places_grow_over_all_sessions(lines: Lines) -> None:
    answers = [lines.confirm(task, session_id=SessionId(task)) for task in "abc"]

    assert [answer.place for answer in answers if isinstance(answer, Confirmed)] == [7, 8, 9]


def test_a_confirmation_is_logged_with_the_ids(lines: Lines) -> None:
    lines.confirm("a")

    (line,) = lines.log.lines
    assert line["event"] == "session.confirmed"
    assert (line["task_id"], line["session_id"], line["trace_id"]) == ("a", "home", CONTEXT.trace_id)


def test_reject_is_refused_while_the_session_has_unfinished_tasks(lines: Lines) -> None:
    lines.enter("a")
    lines.enter("b")

    answer = lines.confirm("c", "reject")

    assert answer == SessionBusy(HOME, (TaskId("a"), TaskId("b")))
    assert TaskId("c") not in lines.actor._lines.places


def test_reject_waits_for_an_agent_whose_end_is_recorded_but_that_has_not_stopped(lines: Lines) -> None:
    lines.enter("a")
    lines.end_is_recorded("a")

    lines.enter("b", "reject")

    assert lines.granted() == ["a"]
    lines.agent_stops("a")
    assert lines.granted() == ["a", "b"]


def test_a_task_that_a_reader_has_seen_ended_keeps_no_session_busy(lines: Lines) -> None:
    lines.enter("a")

    answer = lines.confirm("b", "reject", known_ended=((LOCAL_OWNER, TaskId("a"), "completed"),))

    assert isinstance(answer, Confirmed)


def test_the_end_of_another_owners_task_of_that_id_ends_nothing_here(lines: Lines) -> None:
    lines.enter("a")

    answer = lines.confirm("b", "reject", known_ended=((Owner("ada"), TaskId("a"), "failed"),))

    assert isinstance(answer, SessionBusy)
    assert lines.cancel("a").done is False


def test_what_a_reader_has_seen_answers_the_cancels_that_wait_for_it(lines: Lines) -> None:
    lines.enter("a")
    cancel = lines.cancel("a")

    lines.confirm("b", "reject", known_ended=((LOCAL_OWNER, TaskId("a"), "failed"),))
    lines.end("a", "failed")

    assert ask_result(cancel) == AlreadyEnded("failed")


def test_more_than_the_allowed_unfinished_tasks_are_refused() -> None:
    lines = Lines(max_unfinished=2)
    lines.enter("a")
    lines.enter("b", session_id=SessionId("other"))

    refused = lines.confirm("c")
    lines.end("a")

    assert refused == TooManyTasks(2)
    assert isinstance(lines.confirm("c"), Confirmed)


# Turns.


@pytest.mark.parametrize("order", list(itertools.permutations("abcd")))
def test_turns_are_in_the_order_of_the_confirmations_whoever_asks_first(order: tuple[str, ...]) -> None:
    lines = Lines()
    for task in "abcd":
        lines.confirm(task)
    for task in order:
        lines.request_turn(task)

    turns: list[str] = []
    while remaining := [task for task in lines.granted() if task not in turns]:
        turns += remaining
        lines.end(remaining[0])

    assert turns == ["a", "b", "c", "d"]
    assert lines.nothing_is_left()


def test_sessions_do_not_wait_for_each_other(lines: Lines) -> None:
    lines.enter("a", session_id=SessionId("one"))
    lines.enter("b", session_id=SessionId("two"))

    assert lines.granted() == ["a", "b"]


def test_parallel_starts_at_once(lines: Lines) -> None:
    lines.enter("a")
    lines.enter("b", "parallel")

    assert lines.granted() == ["a", "b"]


def test_enqueue_waits_for_parallel_tasks_before_it_too(lines: Lines) -> None:
    lines.enter("a")
    lines.enter("b", "parallel")
    lines.enter("c")

    lines.end("a")

    assert lines.granted() == ["a", "b"]
    lines.end("b")
    assert lines.granted() == ["a", "b", "c"]


def test_a_turn_is_not_given_before_the_tasks_agent_is_there(lines: Lines) -> None:
    lines.enter("a")
    lines.confirm("b")
    lines.enter("c")

    lines.end("a")

    assert lines.granted() == ["a"]
    lines.request_turn("b")
    assert lines.granted() == ["a", "b"]


@pytest.mark.parametrize("stops_first", [True, False])
def test_the_turn_passes_on_when_the_end_is_recorded_and_the_agent_has_stopped(*, stops_first: bool) -> None:
    lines = Lines()
    lines.enter("a")
    lines.enter("b")

    if stops_first:
        lines.agent_stops("a")
        before = lines.granted()
        lines.end_is_recorded("a")
    else:
        lines.end_is_recorded("a")
        before = lines.granted()
        lines.agent_stops("a")

    assert before == ["a"]
    assert lines.granted() == ["a", "b"]


def test_a_second_request_for_a_turn_changes_nothing(lines: Lines) -> None:
    lines.enter("a")
    first = lines.agents["a"]

    lines.request_turn("a")

    assert [type(message) for message in first.received] == [TurnGranted]
    assert lines.told("a") == []


def test_interrupt_cancels_what_is_unfinished_before_it_and_waits_for_its_end(lines: Lines) -> None:
    lines.enter("a")
    lines.enter("b")
    lines.enter("p", "parallel")
    lines.enter("c", "interrupt")

    lines.end("b", "cancelled")
    lines.end("p", "cancelled")
    before = lines.granted()
    lines.end("a", "cancelled")

    assert lines.told("a") == ["TurnGranted", "CancelTask"]
    assert lines.told("b") == ["CancelTask"]
    assert lines.told("p") == ["TurnGranted", "CancelTask"]
    assert before == ["a", "p"]
    assert lines.told("c") == ["TurnGranted"]


def test_interrupt_cancels_nothing_that_was_confirmed_after_it(lines: Lines) -> None:
    lines.confirm("a", "interrupt")
    lines.enter("b")

    lines.request_turn("a")

    assert lines.told("b") == []


def test_interrupt_reaches_a_task_that_has_no_agent_yet(lines: Lines) -> None:
    lines.confirm("a")
    lines.enter("b", "interrupt")

    lines.request_turn("a")

    assert lines.told("a") == ["CancelTask"]
    lines.end("a", "cancelled")
    assert lines.granted() == ["b"]


# How many run.


def test_no_more_run_than_may_and_the_others_have_their_turn_in_order() -> None:
    lines = Lines(max_running=2)
    for task in "abcd":
        lines.enter(task, session_id=SessionId(task))

    at_first = lines.granted()
    lines.end("b")

    assert at_first == ["a", "b"]
    assert lines.granted() == ["a", "b", "c"]
    lines.end("a")
    assert lines.granted() == ["a", "b", "c", "d"]


def test_the_next_in_a_line_does_not_overtake_those_that_wait_to_run() -> None:
    lines = Lines(max_running=1)
    lines.enter("a")
    lines.enter("b")
    lines.enter("x", session_id=SessionId("other"))

    lines.end("a")

    assert lines.granted() == ["a", "x"]
    lines.end("x")
    assert lines.granted() == ["a", "b", "x"]


def test_a_parallel_task_that_waits_to_run_and_comes_to_the_head_of_its_line_runs_once() -> None:
    lines = Lines(max_running=1)
    lines.enter("a")
    lines.enter("b", "parallel")

    lines.end("a")
    lines.end("b")

    assert lines.told("b") == ["TurnGranted"]
    assert lines.nothing_is_left()


def test_a_task_that_is_cancelled_while_it_waits_to_run_leaves_nothing_behind() -> None:
    lines = Lines(max_running=1)
    lines.enter("a")
    lines.enter("x", session_id=SessionId("other"))

    lines.cancel("x")
    lines.end("x", "cancelled")

    assert list(lines.actor._lines.places) == ["a"]
    assert not lines.actor._room.waiting
    lines.end("a")
    assert lines.nothing_is_left()
