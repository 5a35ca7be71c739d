"""The SessionActor: sessions that are deleted."""

from __future__ import annotations

import pytest

from alex_actors.messages import tell
from alex_actors.replies import Cancelled, Deleted, SessionDeleting
from alex_actors.session_protocol import Confirmed, EraseFailed, StoreRestarted
from alex_actors.task_store_protocol import EraseSession, Revoke, StoreFailure
from alex_actors.values import SessionId
from tests.unit.protocol_system import CONTEXT, ask_result
from tests.unit.session_lines import HOME, Lines, Restarted, task

OTHER = SessionId("other")


@pytest.fixture
def lines() -> Lines:
    return Lines()


# In order.


def test_a_session_in_which_nothing_runs_is_deleted_at_once(lines: Lines) -> None:
    delete = lines.delete()
    (erase,) = lines.erasures()
    answered_at_once = delete.done
    lines.erased(erase)

    assert erase.session_id == HOME
    assert not answered_at_once
    assert ask_result(delete) == Deleted()
    assert lines.nothing_is_left()


def test_its_tasks_are_cancelled_whether_they_run_or_wait_and_no_other_session_notices(lines: Lines) -> None:
    for one in ("runs", "waits"):
        lines.enter(one)
    lines.enter("elsewhere", session_id=OTHER)

    lines.delete()

    assert lines.told("runs") == ["TurnGranted", "CancelTask"]
    assert lines.told("waits") == ["CancelTask"]
    assert lines.told("elsewhere") == ["TurnGranted"]


def test_nothing_is_deleted_before_every_end_is_recorded_and_every_agent_has_stopped(lines: Lines) -> None:
    lines.enter("a")
    lines.enter("b")
    lines.delete()

    lines.end("b", "cancelled")
    lines.end_is_recorded("a", "cancelled")
    while_the_agent_still_runs = lines.erasures()
    lines.agent_stops("a")

    assert while_the_agent_still_runs == []
    assert len(lines.erasures()) == 1
    assert lines.granted() == ["a"]


def test_a_task_that_is_still_being_recorded_is_waited_for(lines: Lines) -> None:
    lines.confirm("a")
    lines.delete()
    before = lines.erasures()

    lines.request_turn("a")
    lines.end("a", "cancelled")

    assert before == []
    assert lines.told("a") == ["CancelTask"]
    assert len(lines.erasures()) == 1


def test_a_task_that_never_came_to_be_is_waited_for_until_that_is_known(lines: Lines) -> None:
    lines.confirm("a")
    lines.delete()
    lines.settle("a")
    before = lines.erasures()

    lines.settled("a", None)

    assert before == []
    assert len(lines.erasures()) == 1


def test_a_client_that_cancels_one_of_its_tasks_is_answered_as_ever(lines: Lines) -> None:
    lines.enter("a")
    lines.delete()

    cancel = lines.cancel("a")
    lines.end("a", "cancelled")

    assert ask_result(cancel) == Cancelled()


def test_it_is_logged_before_anybody_is_told(lines: Lines) -> None:
    lines.enter("a")
    lines.enter("b")

    lines.delete()

    line = lines.log.lines[-1]
    assert {name: line[name] for name in ("event", "session_id", "trace_id", "tasks")} == {
        "event": "session.deleting",
        "session_id": HOME,
        "trace_id": CONTEXT.trace_id,
        "tasks": 2,
    }


# Meanwhile.


def test_nothing_new_comes_into_it_until_it_is_gone(lines: Lines) -> None:
    lines.enter("a")
    lines.delete()

    submitted, made = lines.confirm("b"), lines.admit()
    elsewhere, new = lines.confirm("c", session_id=OTHER), lines.confirm("d", session_id=None)
    lines.end("a", "cancelled")
    still = lines.confirm("e")
    lines.erased(lines.erasures()[0])
    after = lines.confirm("f")

    assert submitted == still == ask_result(made) == SessionDeleting(HOME)
    assert isinstance(elsewhere, Confirmed)
    assert isinstance(new, Confirmed)
    assert isinstance(after, Confirmed)


def test_a_session_that_is_not_being_deleted_may_be_made(lines: Lines) -> None:
    named, unnamed = lines.admit(), lines.admit(None)

    assert ask_result(named).session_id == HOME
    assert ask_result(unnamed).session_id not in ("", None, HOME)


def test_nobody_else_gets_the_places_of_an_imported_session(lines: Lines) -> None:
    before = lines.confirm("a")
    admitted = ask_result(lines.admit(OTHER, places=3))
    after, none = lines.confirm("b"), ask_result(lines.admit(OTHER))

    assert isinstance(before, Confirmed)
    assert isinstance(after, Confirmed)
    assert (admitted.first_place, admitted.incarnation) == (before.place + 1, before.incarnation)
    assert (after.place, none.first_place) == (before.place + 4, before.place + 5)


def test_a_second_deletion_waits_for_the_same_end(lines: Lines) -> None:
    lines.enter("a")
    first, second = lines.delete(), lines.delete()

    lines.end("a", "cancelled")
    third = lines.delete()
    (erase,) = lines.erasures()
    lines.erased(erase)

    assert [ask_result(one) for one in (first, second, third)] == [Deleted()] * 3
    assert lines.told("a").count("CancelTask") == 1
    assert lines.nothing_is_left()


# What goes wrong.


def test_a_deletion_that_cannot_be_committed_fails_and_the_session_may_be_used_again(lines: Lines) -> None:
    delete = lines.delete()
    (erase,) = lines.erasures()

    failed = EraseFailed(
        context=erase.context, session_id=HOME, deletion=erase.deletion, error="The disk is full."
    )
    tell(lines.ref, failed)
    lines.dispatcher.run()

    with pytest.raises(StoreFailure, match="The disk is full"):
        ask_result(delete)
    assert isinstance(lines.confirm("a"), Confirmed)


def test_a_store_that_was_restarted_is_told_again_what_it_has_not_answered(lines: Lines) -> None:
    lines.enter("runs", session_id=OTHER)
    delete = lines.delete()
    lines.delete(OTHER)
    lines.store.take()

    tell(lines.ref, StoreRestarted(context=CONTEXT))
    lines.dispatcher.run()
    (again,) = lines.erasures()
    lines.erased(again)

    assert again.session_id == HOME
    assert ask_result(delete) == Deleted()


def test_the_second_answer_to_a_deletion_ends_no_later_one(lines: Lines) -> None:
    lines.delete()
    (first,) = lines.erasures()
    lines.erased(first)
    lines.enter("a")
    later = lines.delete()

    lines.erased(first)

    assert not later.done
    assert isinstance(lines.confirm("b"), SessionDeleting)


def test_a_deletion_waits_for_the_stock_and_is_then_begun() -> None:
    lines = Restarted()
    lines.live(task("a", place=3))
    delete = lines.delete()
    admitted = lines.admit()
    before = (delete.done, admitted.done, lines.erasures())

    lines.stock(task("a", place=3), started=True)
    lines.present("a", granted=True)
    told = lines.told("a")
    lines.end("a", "cancelled")
    lines.erased(lines.erasures()[0])

    assert before == (False, False, [])
    assert ask_result(admitted) == SessionDeleting(HOME)
    assert told == ["CancelTask", "Announce"] or told == ["Announce", "CancelTask"]
    assert ask_result(delete) == Deleted()


def test_a_session_actor_that_was_restarted_does_not_go_on_with_a_deletion() -> None:
    lines = Restarted()
    lines.stock()

    tell(lines.ref, StoreRestarted(context=CONTEXT))
    lines.dispatcher.run()

    assert not any(isinstance(message, EraseSession | Revoke) for message in lines.store.received)
    assert isinstance(lines.confirm("a"), Confirmed)
