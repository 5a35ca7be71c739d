"""The SessionActor: lines, turns, cancels and reservations, with the other actors played by the test."""

from __future__ import annotations

import itertools

import pykka
import pytest

from alex_actors.agent_protocol import CancelTask, TurnGranted
from alex_actors.messages import tell
from alex_actors.replies import AlreadyEnded, Cancelled, SessionBusy, TooManyTasks, UnknownTask
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import (
    AgentCrashed,
    Cancel,
    Confirm,
    Confirmed,
    RequestTurn,
    Settle,
    Settled,
    TaskEnded,
    TurnEnded,
)
from alex_actors.task_store_protocol import RecordCrash, Revoke
from alex_actors.tasks import Status, Strategy, Task
from alex_actors.values import SessionId, TaskId, timestamp
from tests.unit.protocol_system import CONTEXT, CapturedLog, a_task, ask_result
from tests.unit.stepping import (
    EPOCH,
    CountingIds,
    FakeClock,
    FakeTimers,
    StandIn,
    SteppingDispatcher,
    SteppingFuture,
)

HOME = SessionId("home")


class Lines:
    """A session actor, and stand-ins for everybody whom it knows."""

    def __init__(self, *, max_unfinished: int = 100, max_running: int = 100) -> None:
        clock = FakeClock()
        self.log = CapturedLog()
        self.dispatcher = SteppingDispatcher(clock=clock, timers=FakeTimers(clock=clock))
        self.store = StandIn(self.dispatcher)
        self.launched: list[Task] = []
        self.agents: dict[str, StandIn] = {}
        self.actor = SessionActor(
            store=self.store.ref,
            launch_agent=lambda task, _session: self.launched.append(task),
            ids=CountingIds(),
            clock=clock,
            log=self.log.logger,
            next_place=7,
            max_unfinished=max_unfinished,
            max_running=max_running,
        )
        self.ref: pykka.ActorRef[SessionActor] = self.dispatcher.spawn(lambda: self.actor)

    def confirm(
        self,
        task: str,
        strategy: Strategy = "enqueue",
        *,
        session_id: SessionId | None = HOME,
        known_ended: tuple[tuple[TaskId, Status], ...] = (),
    ) -> Confirmed | SessionBusy | TooManyTasks:
        confirm = Confirm(
            context=CONTEXT,
            task_id=TaskId(task),
            session_id=session_id,
            strategy=strategy,
            known_ended=known_ended,
        )
        future = self.dispatcher.post(self.ref, confirm)
        self.dispatcher.run()
        answer: Confirmed | SessionBusy | TooManyTasks = ask_result(future)
        return answer

    def request_turn(self, task: str) -> None:
        """Have the task's agent appear, and ask for its turn."""
        self.agents[task] = StandIn(self.dispatcher)
        request = RequestTurn(context=CONTEXT, task_id=TaskId(task), agent=self.agents[task].ref)
        tell(self.ref, request)
        self.dispatcher.run()

    def enter(self, task: str, strategy: Strategy = "enqueue", *, session_id: SessionId = HOME) -> None:
        """Confirm a task, and have its agent ask for its turn."""
        assert isinstance(self.confirm(task, strategy, session_id=session_id), Confirmed)
        self.request_turn(task)

    def end_is_recorded(self, task: str, status: Status = "completed") -> None:
        tell(self.ref, TaskEnded(context=CONTEXT, task_id=TaskId(task), status=status))
        self.dispatcher.run()

    def agent_stops(self, task: str) -> None:
        tell(self.ref, TurnEnded(context=CONTEXT, task_id=TaskId(task)))
        self.dispatcher.run()

    def end(self, task: str, status: Status = "completed") -> None:
        self.end_is_recorded(task, status)
        self.agent_stops(task)

    def cancel(self, task: str) -> SteppingFuture:
        future = self.dispatcher.post(self.ref, Cancel(context=CONTEXT, task_id=TaskId(task)))
        self.dispatcher.run()
        return future

    def settle(self, task: str) -> None:
        tell(self.ref, Settle(context=CONTEXT, task_id=TaskId(task)))
        self.dispatcher.run()

    def settled(self, task: str, recorded: Task | None) -> None:
        tell(self.ref, Settled(context=CONTEXT, task_id=TaskId(task), task=recorded))
        self.dispatcher.run()

    def told(self, task: str) -> list[str]:
        """Return what the task's agent was told, by name."""
        return [type(message).__name__ for message in self.agents[task].received]

    def granted(self) -> list[str]:
        """Return the tasks that were given their turn."""
        return [task for task in self.agents if "TurnGranted" in self.told(task)]

    def nothing_is_left(self) -> bool:
        actor = self.actor
        return not (actor._places or actor._lines or actor._ready or actor._running or actor._promises)


@pytest.fixture
def lines() -> Lines:
    return Lines()


# Confirming.


def test_a_confirmed_session_has_the_id_that_was_asked_for(lines: Lines) -> None:
    answer = lines.confirm("a")

    assert answer == Confirmed(HOME, 7, timestamp(EPOCH))


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
    assert TaskId("c") not in lines.actor._places


def test_reject_waits_for_an_agent_whose_end_is_recorded_but_that_has_not_stopped(lines: Lines) -> None:
    lines.enter("a")
    lines.end_is_recorded("a")

    lines.enter("b", "reject")

    assert lines.granted() == ["a"]
    lines.agent_stops("a")
    assert lines.granted() == ["a", "b"]


def test_a_task_that_a_reader_has_seen_ended_keeps_no_session_busy(lines: Lines) -> None:
    lines.enter("a")

    answer = lines.confirm("b", "reject", known_ended=((TaskId("a"), "completed"),))

    assert isinstance(answer, Confirmed)


def test_what_a_reader_has_seen_answers_the_cancels_that_wait_for_it(lines: Lines) -> None:
    lines.enter("a")
    cancel = lines.cancel("a")

    lines.confirm("b", "reject", known_ended=((TaskId("a"), "failed"),))
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

    assert list(lines.actor._places) == ["a"]
    assert not lines.actor._ready
    lines.end("a")
    assert lines.nothing_is_left()


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
    lines.request_turn("a")
    tell(lines.ref, AgentCrashed(context=CONTEXT, task_id=TaskId("a"), error="late"))
    lines.dispatcher.run()

    assert lines.told("a") == []
    assert lines.store.received == []
    assert lines.nothing_is_left()


def test_an_agent_is_told_with_the_ids_of_its_task(lines: Lines) -> None:
    lines.enter("a")
    lines.cancel("a")

    for message in lines.agents["a"].received:
        assert isinstance(message, TurnGranted | CancelTask)
        assert (message.context.task_id, message.context.session_id) == ("a", "home")
        assert message.context.sender == "SessionActor"
