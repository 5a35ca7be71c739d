"""The AgentActor and tool calls that wait for a person's word: whose counts, and what those hear who gave one."""

from __future__ import annotations

from datetime import timedelta

import pykka
import pytest

from alex_actors.agent_protocol import Decide, Recorded, RecordRefused
from alex_actors.approvals import LAPSED
from alex_actors.events import AnyEvent, ApprovalRequested, ApprovalResolved, TaskCreated, TaskStarted, stamp
from alex_actors.messages import AwaitedAnswer, ask_later
from alex_actors.ports import Decision
from alex_actors.replies import DecideReply, DecisionRecorded, NothingWaits
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.values import Timestamp, timestamp
from tests.unit.one_task import GRACE, OneTask
from tests.unit.protocol_system import CONTEXT

YES = Decision(approved=True, reason="Looks right.", arguments={"command": "ls"})
NO = Decision(approved=False)
BEGUN = timestamp(EPOCH)


def in_seconds(seconds: float) -> Timestamp:
    return timestamp(EPOCH + timedelta(seconds=seconds))


def request(call_id: str = "call-1", *, expires_at: Timestamp | None = None) -> ApprovalRequested:
    return ApprovalRequested(
        iteration=1, call_id=call_id, tool_name="shell", arguments={"command": "rm"}, expires_at=expires_at
    )


def resolved(call_id: str = "call-1", decision: Decision = YES) -> ApprovalResolved:
    return ApprovalResolved(
        call_id=call_id, approved=decision.approved, reason=decision.reason, arguments=decision.arguments
    )


class Person:
    """Somebody who decides, and what they hear."""

    def __init__(self, one: OneTask, call_id: str = "call-1", decision: Decision = YES) -> None:
        self.woken = 0
        decide = Decide(context=CONTEXT, call_id=call_id, decision=decision)
        self._answer: AwaitedAnswer[DecideReply] = ask_later(one.agent, decide, wake=self._wake)
        one.dispatcher.run()

    @property
    def heard(self) -> DecideReply | None:
        return self._answer.poll()

    def _wake(self) -> None:
        self.woken += 1


def running(one: OneTask) -> OneTask:
    one.grant()
    one.commit()
    return one


@pytest.fixture
def waiting() -> OneTask:
    """A task one of whose calls waits for a person."""
    one = running(OneTask(timeout_seconds=100.0))
    one.does(request())
    one.commit()
    return one


def restarted(*events: AnyEvent) -> OneTask:
    """Return a task that had come so far when the server went down. It has no turn yet."""
    history = (TaskCreated(task="What is 2 + 2?"), TaskStarted(), *events)
    return OneTask(history=tuple(stamp(BEGUN, event) for event in history))


# A person's word.


def test_a_decision_is_told_to_the_run_and_answered_when_it_is_committed(waiting: OneTask) -> None:
    person = Person(waiting)
    told, before = list(waiting.run.decisions), person.heard
    waiting.does(resolved())
    recorded = person.heard

    waiting.commit()

    assert told == [("call-1", YES)]
    assert (before, recorded, person.heard) == (None, None, DecisionRecorded())
    assert person.woken == 1
    assert waiting.recorded()[-1] == resolved()


def test_the_first_decision_counts_and_the_second_hears_of_it_once_that_is_committed(
    waiting: OneTask,
) -> None:
    first, second = Person(waiting), Person(waiting, decision=NO)
    waiting.does(resolved())
    early = second.heard

    waiting.commit()

    assert waiting.run.decisions == [("call-1", YES)]
    assert (early, first.heard, second.heard) == (None, DecisionRecorded(), NothingWaits("decided"))


def test_a_commit_of_what_came_before_a_resolution_answers_nobody(waiting: OneTask) -> None:
    person = Person(waiting)
    waiting.does(resolved())

    waiting.tell(Recorded(context=CONTEXT, count=3))  # task_created, task_started, approval_requested

    assert person.heard is None


def test_who_comes_after_the_commit_hears_so_at_once(waiting: OneTask) -> None:
    Person(waiting)
    waiting.does(resolved())
    waiting.commit()

    assert Person(waiting, decision=NO).heard == NothingWaits("decided")
    assert len(waiting.run.decisions) == 1


@pytest.mark.parametrize("call_id", ["call-2", "", "x" * 1000])
def test_nothing_waits_under_an_id_that_nobody_asked_about(waiting: OneTask, call_id: str) -> None:
    assert Person(waiting, call_id).heard == NothingWaits("unknown")
    assert waiting.run.decisions == []


def test_a_task_that_waits_in_line_has_no_call_that_waits() -> None:
    assert Person(OneTask()).heard == NothingWaits("unknown")


def test_calls_are_decided_on_in_any_order_and_each_on_its_own(waiting: OneTask) -> None:
    waiting.does(request("call-2"))

    second, first = Person(waiting, "call-2", NO), Person(waiting, "call-1")
    waiting.does(resolved("call-2", NO))
    waiting.commit()
    halfway = (second.heard, first.heard)
    waiting.does(resolved("call-1"))
    waiting.commit()

    assert waiting.run.decisions == [("call-2", NO), ("call-1", YES)]
    assert halfway == (DecisionRecorded(), None)
    assert first.heard == DecisionRecorded()


# Time.


def test_a_request_lapses_when_nobody_has_answered_in_time() -> None:
    one = running(OneTask())
    one.does(request(expires_at=in_seconds(30.0)))

    one.dispatcher.advance(29.9)
    before = list(one.run.decisions)
    one.dispatcher.advance(0.2)

    assert before == []
    assert one.run.decisions == [("call-1", LAPSED)]
    assert one.timers.pending == 1  # that of its Record


def test_who_answers_too_late_hears_that_it_is_decided_when_the_lapse_is_committed() -> None:
    one = running(OneTask())
    one.does(request(expires_at=in_seconds(30.0)))
    one.dispatcher.advance(31.0)

    late = Person(one)
    one.does(resolved(decision=LAPSED))
    one.commit()

    assert one.run.decisions == [("call-1", LAPSED)]
    assert late.heard == NothingWaits("decided")


def test_a_request_that_was_answered_does_not_lapse() -> None:
    one = running(OneTask())
    one.does(request(expires_at=in_seconds(30.0)))

    Person(one)
    one.dispatcher.advance(31.0)

    assert one.run.decisions == [("call-1", YES)]


def test_the_deadline_of_a_task_goes_on_while_it_waits(waiting: OneTask) -> None:
    waiting.dispatcher.advance(101.0)

    assert waiting.run.cancelled == 1


# The end.


def test_an_end_leaves_no_timer_of_a_call_that_nobody_decided_on() -> None:
    one = running(OneTask())
    one.does(request(expires_at=in_seconds(30.0)))

    one.cancel()
    one.stops()
    one.commit()

    assert one.is_gone()


def test_a_cancel_answers_who_waits_when_it_is_committed(waiting: OneTask) -> None:
    waiting.cancel()
    person = Person(waiting)
    waiting.stops()
    early = person.heard

    waiting.commit()

    assert (early, person.heard) == (None, NothingWaits("ended"))
    assert waiting.is_gone()


def test_a_decision_whose_record_is_overtaken_by_a_cancel_was_not_taken(waiting: OneTask) -> None:
    person = Person(waiting)
    waiting.cancel()
    waiting.does(resolved())  # too late: it is discarded
    waiting.stops()
    waiting.commit()

    assert person.heard == NothingWaits("ended")
    assert resolved() not in waiting.recorded()


def test_a_decision_that_is_recorded_before_a_cancel_was_taken(waiting: OneTask) -> None:
    person = Person(waiting)
    waiting.does(resolved())
    waiting.cancel()
    waiting.stops()
    waiting.commit()

    assert person.heard == DecisionRecorded()


def test_who_comes_between_the_end_and_the_agents_stop_hears_at_once(waiting: OneTask) -> None:
    waiting.cancel()
    waiting.dispatcher.advance(GRACE)
    waiting.commit()  # its end, while the agent has not stopped

    assert Person(waiting).heard == NothingWaits("ended")


def test_an_end_by_somebody_elses_hand_answers_who_waits(waiting: OneTask) -> None:
    person = Person(waiting)

    waiting.tell(RecordRefused(context=CONTEXT, status="failed"))

    assert person.heard == NothingWaits("ended")


def test_a_crash_answers_who_waits(waiting: OneTask) -> None:
    person = Person(waiting)

    waiting.dispatcher.observers.append(raise_on_history)
    waiting.remind()

    assert person.heard == NothingWaits("ended")
    assert waiting.timers.pending == 0


def test_a_crash_leaves_open_what_became_of_a_word_that_is_on_its_way_to_the_store(waiting: OneTask) -> None:
    person = Person(waiting)
    waiting.does(resolved())

    waiting.dispatcher.observers.append(raise_on_history)
    waiting.remind()

    with pytest.raises(pykka.ActorDeadError):
        assert person.heard


def raise_on_history(_actor: object, message: object) -> None:
    if type(message).__name__ == "History":
        msg = "as the test wants it"
        raise RuntimeError(msg)


# After a restart.


def test_a_decision_that_comes_before_the_history_is_kept() -> None:
    one = restarted(request())
    in_line = Person(one)
    one.grant()
    second = Person(one, decision=NO)
    early = (in_line.heard, second.heard)
    one.remind()
    one.does(resolved())
    one.commit()

    assert early == (None, None)
    assert one.run.decisions == [("call-1", YES)]
    assert (in_line.heard, second.heard) == (DecisionRecorded(), NothingWaits("decided"))


def test_a_call_that_was_decided_on_before_the_restart_does_not_wait() -> None:
    one = restarted(request(), resolved())
    early = Person(one)
    one.grant()
    one.remind()

    assert (early.heard, Person(one).heard) == (NothingWaits("decided"), NothingWaits("decided"))
    assert one.run.decisions == []


def test_a_call_that_waited_still_waits_and_one_that_nobody_knows_does_not() -> None:
    one = restarted(request())
    unknown = Person(one, "call-9")
    one.grant()
    one.remind()
    one.commit()

    person = Person(one)
    one.does(resolved())
    one.commit()

    assert (unknown.heard, person.heard) == (NothingWaits("unknown"), DecisionRecorded())
    assert [type(event).__name__ for event in one.recorded()] == ["TaskResumed", "ApprovalResolved"]


def test_the_time_of_a_request_goes_on_while_the_server_is_down() -> None:
    one = restarted(request(expires_at=in_seconds(30.0)))
    one.dispatcher.advance(20.0)
    one.grant()
    one.remind()
    before = list(one.run.decisions)

    one.dispatcher.advance(11.0)

    assert before == []
    assert one.run.decisions == [("call-1", LAPSED)]


def test_a_request_whose_time_was_over_while_the_server_was_down_has_lapsed_whoever_comes_first() -> None:
    one = restarted(request(expires_at=in_seconds(30.0)))
    one.dispatcher.advance(31.0)
    person = Person(one)
    one.grant()
    one.remind()
    one.does(resolved(decision=LAPSED))
    one.commit()

    assert one.run.decisions == [("call-1", LAPSED)]
    assert person.heard == NothingWaits("decided")


def test_a_cancel_before_the_history_answers_who_waits() -> None:
    one = restarted(request())
    person = Person(one)

    one.cancel()
    one.commit()

    assert person.heard == NothingWaits("ended")
    assert one.is_gone()
