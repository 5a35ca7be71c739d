"""The SessionActor after a crash: its state comes back from the store and from the agents that are there."""

from __future__ import annotations

import msgspec
import pytest

from alex_actors.agent_launcher import LaunchedAgent
from alex_actors.agent_protocol import Announce
from alex_actors.messages import tell
from alex_actors.replies import AlreadyEnded, Cancelled, SessionBusy, UnknownTask
from alex_actors.session_protocol import (
    AgentCrashed,
    Cancel,
    Confirmed,
    StoreRestarted,
)
from alex_actors.task_store_protocol import RecordCrash, Revoke, TakeStock
from alex_actors.values import TaskId
from tests.unit.protocol_system import CONTEXT, a_task, ask_result
from tests.unit.session_lines import HOME, Lines, Restarted, task
from tests.unit.stepping import StandIn


@pytest.fixture
def lines() -> Restarted:
    return Restarted()


# Before there is the stock.


def test_it_begins_with_having_the_store_take_stock() -> None:
    lines = Lines(incarnation=2)
    started = StandIn(lines.dispatcher)
    lines.actor._store = started.ref

    tell(lines.ref, StoreRestarted(context=CONTEXT))
    lines.dispatcher.run()

    (message,) = started.received
    assert isinstance(message, TakeStock)
    assert (message.incarnation, message.session) == (2, lines.ref)


def test_what_is_asked_before_the_stock_is_answered_with_it_in_its_order(lines: Restarted) -> None:
    lines.live(task("old", 5))
    first, second = lines.ask_confirm("a"), lines.ask_confirm("b")
    unknown = lines.dispatcher.post(lines.ref, Cancel(context=CONTEXT, task_id=TaskId("gone")))
    lines.dispatcher.run()
    waiting = not (first.done or second.done or unknown.done)

    lines.stock(task("old", 5))

    assert waiting
    answers = [ask_result(first), ask_result(second)]
    assert [(answer.place, answer.incarnation) for answer in answers] == [(7, 2), (8, 2)]
    assert ask_result(unknown) == UnknownTask()


def test_a_worker_that_gives_up_before_the_stock_leaves_no_place_behind(lines: Restarted) -> None:
    lines.ask_confirm("a")
    lines.settle("a")

    lines.stock()
    lines.settled("a", None)

    assert lines.store_was_told() == [("Revoke", "a")]
    assert lines.nothing_is_left()


def test_a_cancel_that_came_before_the_stock_reaches_the_agent(lines: Restarted) -> None:
    lines.live(task("a", 1))
    cancel = lines.cancel("a")

    lines.stock(task("a", 1))
    lines.present("a", granted=True)
    lines.end("a", "cancelled")

    assert "CancelTask" in lines.told("a")
    assert ask_result(cancel) == Cancelled()


def test_stock_for_another_session_actor_is_not_its_own(lines: Restarted) -> None:
    confirm = lines.ask_confirm("a")

    lines.stock(incarnation=1)
    before = confirm.done
    lines.stock(incarnation=2)
    lines.stock(task("late", 1), incarnation=2)

    assert not before
    assert isinstance(ask_result(confirm), Confirmed)
    assert lines.launched == []


def test_an_agent_that_asks_for_its_turn_before_the_stock_is_not_cancelled(lines: Restarted) -> None:
    lines.live(task("a", 1))
    agent = lines.agents["a"]
    lines.request_turn("a")
    lines.agents["a"] = agent

    lines.stock(task("a", 1))
    lines.present("a")

    assert lines.told("a") == ["Announce", "TurnGranted"]


# Turns.


def test_no_turn_is_given_before_every_agent_is_heard_of(lines: Restarted) -> None:
    tasks = [task("a", 1), task("b", 2), task("p", 3, "parallel")]
    lines.live(*tasks)
    lines.stock(*tasks)

    lines.present("p")
    lines.present("b")
    before = lines.granted()
    lines.present("a", granted=True)

    assert before == []
    assert lines.granted() == ["p"]
    lines.end("a")
    assert lines.granted() == ["b", "p"]
    lines.end("p")
    lines.end("b")
    assert lines.nothing_is_left()


def test_a_line_that_moves_on_while_an_agent_is_not_heard_of_gives_no_turn(lines: Restarted) -> None:
    other = msgspec.structs.replace(task("x", 3), session_id="other")
    lines.live(task("a", 1), task("b", 2), other)
    lines.stock(task("a", 1), task("b", 2), other)
    lines.present("a", granted=True)
    lines.present("b")

    lines.end("a")
    before = lines.granted()
    lines.present("x")

    assert before == []
    assert lines.granted() == ["b", "x"]


def test_an_agent_that_is_new_waits_until_every_agent_is_heard_of(lines: Restarted) -> None:
    lines.live(task("a", 1))
    lines.stock(task("a", 1), task("new", 2, "parallel"))

    lines.request_turn("new")
    before = lines.granted()
    lines.present("a", granted=True)

    assert before == []
    assert lines.granted() == ["new"]


def test_the_line_is_in_the_order_of_the_places(lines: Restarted) -> None:
    tasks = [task("b", 2), task("a", 1)]
    lines.live(*tasks)
    lines.stock(*reversed(tasks))

    lines.present("b")
    lines.present("a")

    assert lines.granted() == ["a"]
    lines.end("a")
    assert lines.granted() == ["b", "a"]


@pytest.mark.parametrize("crashes", [True, False])
def test_an_agent_that_ends_instead_of_announcing_itself_is_not_waited_for(*, crashes: bool) -> None:
    lines = Restarted()
    lines.live(task("a", 1), task("b", 2))
    lines.stock(task("a", 1), task("b", 2))
    lines.present("b")

    if crashes:
        tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("a"), error="It broke."))
    lines.agent_stops("a")
    lines.end_is_recorded("a", "failed")

    assert ("RecordCrash", "a") in lines.store_was_told()
    assert lines.granted() == ["b"]
    lines.end("b")
    assert lines.nothing_is_left()


def test_agents_that_had_their_turn_count_among_those_that_run() -> None:
    lines = Restarted(max_running=1)
    other = msgspec.structs.replace(task("x", 2), session_id="other")
    lines.live(task("a", 1), other)
    lines.stock(task("a", 1), other)

    lines.present("a", granted=True)
    lines.present("x")
    before = lines.granted()
    lines.end("a")

    assert before == []
    assert lines.granted() == ["x"]


def test_what_interrupts_interrupts_again(lines: Restarted) -> None:
    lines.live(task("a", 1), task("i", 2, "interrupt"))
    lines.stock(task("a", 1), task("i", 2, "interrupt"))

    lines.present("a", granted=True)
    lines.present("i")

    assert lines.told("a") == ["Announce", "CancelTask"]
    lines.end("a", "cancelled")
    assert lines.granted() == ["i"]


# Agents that are not as the store has them.


def test_a_task_whose_agent_was_never_launched_is_launched(lines: Restarted) -> None:
    lines.stock(task("a", 1))

    lines.request_turn("a")

    assert [one.task_id for one in lines.launched] == ["a"]
    assert lines.granted() == ["a"]


def test_a_task_that_had_begun_before_the_server_was_started_goes_on(lines: Restarted) -> None:
    lines.stock(task("a", 1), started=True)

    assert lines.launched == [task("a", 1)]
    assert lines.launcher.recorded == {"a": 2}
    assert lines.store_was_told() == []


def test_a_task_whose_agent_had_crashed_is_ended_with_that_error() -> None:
    crashed = LaunchedAgent(task("a", 1))
    crashed.crash, crashed.stopped = "It broke.", True
    lines = Restarted(crashed)

    lines.stock(task("a", 1))
    lines.end_is_recorded("a", "failed")

    (message,) = lines.store.received
    assert isinstance(message, RecordCrash)
    assert message.error == "It broke."
    assert lines.launched == []
    assert lines.launcher.launched() == ()
    assert lines.nothing_is_left()


def test_an_agent_that_crashed_and_stops_before_the_stock_is_not_launched_again() -> None:
    crashed = LaunchedAgent(task("a", 1))
    crashed.crash, crashed.stopped = "It broke.", True
    lines = Restarted(crashed)
    tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("a"), error="It broke."))
    lines.agent_stops("a")

    lines.stock(task("a", 1))

    assert lines.launched == []
    assert lines.store_was_told() == [("RecordCrash", "a")]


def test_an_agent_that_crashed_and_still_runs_holds_its_line() -> None:
    crashed = LaunchedAgent(task("a", 1))
    crashed.crash = "It broke."
    lines = Restarted(crashed)
    lines.live(task("b", 2))
    lines.stock(task("b", 2))

    lines.present("b")
    lines.end_is_recorded("a", "failed")
    before = lines.granted()
    lines.agent_stops("a")

    assert lines.store_was_told() == [("RecordCrash", "a")]
    assert before == []
    assert lines.granted() == ["b"]


def test_an_agent_that_crashed_and_still_runs_counts_among_those_that_run() -> None:
    crashed = LaunchedAgent(task("a", 1))
    crashed.crash = "It broke."
    lines = Restarted(crashed, max_running=1)
    lines.live(task("x", 2, "parallel"))
    lines.stock(task("x", 2, "parallel"))

    lines.present("x")
    before = lines.granted()
    lines.end("a", "failed")

    assert before == []
    assert lines.granted() == ["x"]


def test_an_agent_whose_task_has_ended_and_that_will_not_die_holds_its_line(lines: Restarted) -> None:
    lines.live(task("a", 1), task("b", 2))
    lines.stock(task("b", 2))

    lines.present("a", granted=True, status="cancelled")
    lines.present("b")
    cancel = lines.cancel("a")
    before = lines.granted()
    lines.agent_stops("a")

    assert ask_result(cancel) == AlreadyEnded("cancelled")
    assert before == []
    assert lines.granted() == ["b"]


def test_an_agent_that_has_stopped_after_its_end_is_forgotten() -> None:
    stopped = LaunchedAgent(task("a", 1))
    stopped.stopped = True
    lines = Restarted(stopped)

    lines.stock()

    assert lines.launcher.launched() == ()
    assert lines.nothing_is_left()


def test_an_agent_that_was_launched_after_its_task_had_ended_ends_itself(lines: Restarted) -> None:
    lines.live(task("a", 1))

    lines.stock()
    lines.present("a")
    lines.end("a", "failed")

    assert lines.told("a") == ["CancelTask", "Announce"]
    assert lines.nothing_is_left()


def test_an_agent_that_is_about_to_start_is_not_waited_for() -> None:
    lines = Restarted(LaunchedAgent(task("a", 1)))

    lines.stock(task("a", 1))
    lines.request_turn("a")

    assert lines.granted() == ["a"]


def test_reject_sees_what_came_back(lines: Restarted) -> None:
    lines.live(task("a", 1))
    lines.stock(task("a", 1))

    answer = lines.confirm("b", "reject")

    assert answer == SessionBusy(HOME, (TaskId("a"),))


def test_every_agent_is_told_to_announce_itself_with_the_ids_of_its_task(lines: Restarted) -> None:
    lines.live(task("a", 1))

    lines.stock(task("a", 1))

    (message,) = lines.agents["a"].received
    assert isinstance(message, Announce)
    assert (message.context.task_id, message.context.session_id) == ("a", "home")
    assert message.context.sender == "SessionActor"


# The store was restarted.


def test_what_the_store_has_not_answered_is_said_again_when_it_was_restarted() -> None:
    lines = Lines()
    lines.confirm("settling")
    lines.settle("settling")
    lines.enter("crashed")
    tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("crashed"), error="It broke."))
    lines.enter("neither")
    lines.dispatcher.run()
    lines.store.take()

    tell(lines.ref, StoreRestarted(context=CONTEXT))
    lines.dispatcher.run()

    revoke, crash = lines.store.take()
    assert isinstance(revoke, Revoke)
    assert isinstance(crash, RecordCrash)
    assert (revoke.task_id, crash.task_id, crash.error) == ("settling", "crashed", "It broke.")


def test_what_the_store_has_answered_is_not_said_again() -> None:
    lines = Lines()
    lines.confirm("settled")
    lines.settle("settled")
    lines.settled("settled", a_task("settled"))
    lines.enter("crashed")
    tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("crashed"), error="It broke."))
    lines.end_is_recorded("crashed", "failed")
    lines.store.take()

    tell(lines.ref, StoreRestarted(context=CONTEXT))
    lines.dispatcher.run()

    assert lines.store.take() == []
