"""The SessionActor and sub-agents: they run in their parent's turn and room, and end with it."""

from __future__ import annotations

import pytest

from alex_actors.agent_launcher import LaunchedAgent
from alex_actors.agent_protocol import CancelTask
from alex_actors.messages import tell
from alex_actors.replies import Cancelled, SessionBusy, TooManyTasks, UnknownTask
from alex_actors.session_protocol import AgentCrashed, Confirmed, ParentEnded
from alex_actors.values import SessionId, TaskId
from tests.unit.protocol_system import CONTEXT, ask_result
from tests.unit.session_lines import HOME, Lines, Restarted, task

AWAY = SessionId("away")


@pytest.fixture
def lines() -> Lines:
    lines = Lines()
    lines.enter("parent")
    return lines


# Turns and room.


def test_a_sub_agent_is_confirmed_in_its_parents_session_and_runs_at_once(lines: Lines) -> None:
    reply = lines.confirm_child("child", "parent")
    lines.request_turn("child")

    assert isinstance(reply, Confirmed)
    assert reply.session_id == HOME
    assert lines.granted() == ["parent", "child"]


def test_a_sub_agent_does_not_wait_behind_who_waits_for_its_parent(lines: Lines) -> None:
    lines.enter("next")

    lines.enter_child("child", "parent")

    assert lines.granted() == ["parent", "child"]


def test_a_sub_agent_takes_no_room() -> None:
    lines = Lines(max_running=1)
    lines.enter("parent")
    lines.enter_child("child", "parent")
    lines.enter("other", session_id=AWAY)

    lines.end("child")
    before = lines.granted()
    lines.end("parent")

    assert before == ["parent", "child"]
    assert lines.granted() == ["parent", "child", "other"]


def test_a_turn_is_over_when_the_sub_agents_have_stopped_too(lines: Lines) -> None:
    lines.enter("next")
    lines.enter_child("child", "parent")

    lines.end("parent")
    lines.end_is_recorded("child", "cancelled")
    before = lines.granted()
    lines.agent_stops("child")

    assert "next" not in before
    assert "next" in lines.granted()


def test_a_sub_agent_of_a_sub_agent_holds_the_turn_as_well(lines: Lines) -> None:
    lines.enter("next")
    lines.enter_child("child", "parent")
    lines.enter_child("grandchild", "child")

    lines.end("parent")
    lines.end("child", "cancelled")
    before = lines.granted()
    lines.end("grandchild", "cancelled")
    after = lines.granted()
    lines.end("next")

    assert "next" not in before
    assert "next" in after
    assert lines.nothing_is_left()


def test_who_comes_later_waits_for_a_sub_agent_that_came_first(lines: Lines) -> None:
    lines.enter_child("child", "parent")
    lines.enter("next")

    busy = lines.confirm("hasty", "reject")
    lines.end("child")
    lines.end("parent")

    assert isinstance(busy, SessionBusy)
    assert busy.unfinished == ("parent", "child", "next")
    assert lines.granted() == ["parent", "child", "next"]


# Refusals.


@pytest.mark.parametrize("how", ["cancelled", "ended", "crashed", "unknown"])
def test_no_sub_agent_begins_when_its_parents_work_is_over(lines: Lines, how: str) -> None:
    match how:
        case "cancelled":
            lines.cancel("parent")
        case "ended":
            lines.end_is_recorded("parent")
        case "crashed":
            tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("parent"), error="No."))
            lines.dispatcher.run()
        case _:
            lines.end("parent")

    reply = lines.confirm_child("child", "parent")

    assert reply == ParentEnded(TaskId("parent"))


def test_a_sub_agent_counts_among_the_unfinished_and_is_refused_when_they_are_too_many() -> None:
    lines = Lines(max_unfinished=2)
    lines.enter("parent")
    lines.enter_child("child", "parent")

    refused = lines.confirm_child("one more", "parent")
    lines.end("child")
    taken = lines.confirm_child("another", "parent")

    assert refused == TooManyTasks(2)
    assert isinstance(taken, Confirmed)


# Ends.


def test_a_cancel_reaches_the_sub_agents(lines: Lines) -> None:
    lines.enter_child("child", "parent")
    lines.enter_child("grandchild", "child")

    lines.cancel("parent")

    assert [lines.told(name)[-1] for name in ("parent", "child", "grandchild")] == [CancelTask.__name__] * 3


@pytest.mark.parametrize("how", ["ends", "crashes"])
def test_what_ends_or_crashes_has_its_sub_agents_cancelled(lines: Lines, how: str) -> None:
    lines.enter_child("child", "parent")
    assert isinstance(lines.confirm_child("late", "parent"), Confirmed)

    if how == "ends":
        lines.end_is_recorded("parent", "failed")
    else:
        tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("parent"), error="No."))
        lines.dispatcher.run()
    lines.request_turn("late")

    assert lines.told("child")[-1] == CancelTask.__name__
    assert lines.told("late") == [CancelTask.__name__]


def test_a_sub_agent_may_be_cancelled_alone(lines: Lines) -> None:
    lines.enter_child("child", "parent")

    cancel = lines.cancel("child")
    lines.end("child", "cancelled")

    assert ask_result(cancel) == Cancelled()
    assert CancelTask.__name__ not in lines.told("parent")


def test_who_interrupts_has_the_sub_agents_cancelled_that_came_later(lines: Lines) -> None:
    assert isinstance(lines.confirm("hasty", "interrupt"), Confirmed)
    lines.enter_child("child", "parent")

    lines.request_turn("hasty")
    told = lines.told("child")[-1]
    lines.end("parent", "cancelled")
    before = lines.granted()
    lines.end("child", "cancelled")

    assert told == CancelTask.__name__
    assert before == ["parent", "child"]
    assert lines.granted() == ["parent", "child", "hasty"]


def test_a_session_is_deleted_when_its_sub_agents_have_stopped(lines: Lines) -> None:
    lines.enter_child("child", "parent")

    lines.delete()
    lines.end("parent", "cancelled")
    before = lines.erasures()
    lines.end("child", "cancelled")

    assert before == []
    assert len(lines.erasures()) == 1


def test_who_gives_up_to_submit_a_sub_agent_leaves_nothing(lines: Lines) -> None:
    assert isinstance(lines.confirm_child("child", "parent"), Confirmed)
    cancel = lines.cancel("child")

    lines.settle("child")
    lines.settled("child", None)
    lines.end("parent")

    assert ask_result(cancel) == UnknownTask()
    assert lines.nothing_is_left()


# Restarts.


def test_after_a_crash_sub_agents_are_their_parents_again_and_take_no_room() -> None:
    lines = Restarted(max_running=1)
    tasks = (task("parent", 1), task("child", 3, "parallel", parent="parent"), task("next", 2))
    lines.live(*tasks)

    lines.stock(*tasks)
    for name in ("parent", "child"):
        lines.present(name, granted=True)
    lines.present("next")
    running = lines.actor._room.running
    lines.end("parent")
    before = lines.granted()
    lines.end("child", "cancelled")

    assert running == 1
    assert lines.told("child")[-1] == CancelTask.__name__
    assert before == []
    assert lines.granted() == ["next"]


def test_a_sub_agent_whose_parent_is_gone_is_cancelled_and_keeps_the_turn_until_it_has_stopped() -> None:
    lines = Restarted()
    child, behind = task("child", 3, "parallel", parent="parent"), task("next", 2)
    lines.live(child, behind)

    lines.stock(child, behind)
    lines.present("child", granted=True)
    lines.present("next")
    before = lines.granted()
    lines.end("child", "cancelled")

    assert CancelTask.__name__ in lines.told("child")
    assert before == []
    assert lines.granted() == ["next"]


def test_a_sub_agent_that_is_found_without_its_parent_does_not_go_on() -> None:
    lines = Restarted()

    lines.stock(task("child", 2, "parallel", parent="parent"), started=True)
    lines.request_turn("child")

    assert [one.task_id for one in lines.launched] == ["child"]
    assert lines.told("child") == [CancelTask.__name__]


def test_a_sub_agent_does_not_go_on_when_its_parent_has_ended_and_is_about_to_stop() -> None:
    lines = Restarted()
    child = task("child", 2, "parallel", parent="parent")
    lines.live(task("parent", 1), child)

    lines.stock(child)

    assert CancelTask.__name__ in lines.told("parent")
    assert CancelTask.__name__ in lines.told("child")


def test_a_parent_that_has_stopped_and_ended_is_forgotten_before_its_sub_agent_is_taken_up() -> None:
    stopped = LaunchedAgent(task("parent", 1))
    stopped.stopped = True
    lines = Restarted(stopped)

    lines.stock(task("child", 2, "parallel", parent="parent"))
    lines.request_turn("child")

    assert lines.told("child") == [CancelTask.__name__]
    assert lines.launcher.launched() == ()


def test_after_a_restart_a_sub_agent_may_run_before_its_parent_does() -> None:
    lines = Restarted(max_running=1)
    lines.stock(task("parent", 1), task("child", 2, "parallel", parent="parent"), started=True)

    lines.request_turn("child")
    lines.request_turn("parent")

    assert lines.granted() == ["child", "parent"]
