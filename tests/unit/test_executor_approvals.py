"""Agents that ask for a person's word: what is recorded of it, and when they go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import msgspec
import pytest

from alex_actors.events import AnyEvent, ApprovalRequested, ApprovalResolved, TaskCreated, TaskStarted
from alex_actors.executor import LARGEST_EVENT, AsyncioRun
from alex_actors.ports import Aborted, AgentYield, Answer, AwaitApprovals, Decision, Failed, Finished
from alex_actors.redact import REDACTED, Redactor
from alex_actors.tasks import Task
from alex_actors.values import Timestamp
from tests.unit.actor_fakes import WAIT
from tests.unit.agent_fakes import AgentScript, AgentStage, Reports, step

OWN_SECRET = "correct-horse"
YES = Decision(approved=True)
NO = Decision(approved=False, reason="Not today.")
BEGUN = (TaskCreated(task="Delete it"), TaskStarted())


@pytest.fixture
def stage() -> Iterator[AgentStage]:
    stage = AgentStage(max_ahead=3, redactor=Redactor([OWN_SECRET]))
    yield stage
    assert stage.stop(timeout=WAIT)


def request(call_id: str = "call-1", **arguments: object) -> ApprovalRequested:
    return ApprovalRequested(iteration=1, call_id=call_id, tool_name="shell", arguments=arguments)


def until(expires_at: str) -> AwaitApprovals:
    return AwaitApprovals((msgspec.structs.replace(request("a"), expires_at=Timestamp(expires_at)),))


def resolved(call_id: str, decision: Decision) -> ApprovalResolved:
    return ApprovalResolved(
        call_id=call_id, approved=decision.approved, reason=decision.reason, arguments=decision.arguments
    )


class Asking:
    """An agent that asks once, and answers."""

    def __init__(self, *requests: ApprovalRequested) -> None:
        self.asked = AwaitApprovals(requests)
        self.went_on = False

    async def __call__(self, _task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        yield self.asked
        self.went_on = True
        yield Answer("done")


def started(
    stage: AgentStage, script: AgentScript, history: Sequence[AnyEvent] = ()
) -> tuple[AsyncioRun, Reports]:
    return stage.start(script, history=history)


def test_requests_are_recorded_and_the_agent_waits_until_all_are_decided_and_committed(stage: AgentStage) -> None:
    agent = Asking(request("a"), request("b"))
    run, reports = started(stage, agent)
    asked = reports.events()
    run.committed(3)

    run.decide("b", NO)
    first = reports.events()
    run.committed(4)
    stage.settle()
    halfway = agent.went_on
    run.decide("a", YES)
    second = reports.events()
    stage.settle()
    before_the_commit = agent.went_on
    run.committed(5)

    assert asked == [step(1), request("a"), request("b")]
    assert (first, second) == ([resolved("b", NO)], [resolved("a", YES)])
    assert (halfway, before_the_commit) == (False, False)
    assert reports.end() == ([], Finished(Answer("done")))
    assert agent.asked.decisions == {"a": YES, "b": NO}


def test_a_decision_may_come_before_the_requests_are_committed(stage: AgentStage) -> None:
    agent = Asking(request("a"))
    run, reports = started(stage, agent)
    reports.events()

    run.decide("a", YES)
    recorded = reports.events()
    run.committed(3)

    assert recorded == [resolved("a", YES)]
    assert reports.end() == ([], Finished(Answer("done")))


def test_the_first_decision_counts_and_one_about_another_call_is_nothing(stage: AgentStage) -> None:
    agent = Asking(request("a"))
    run, reports = started(stage, agent)
    reports.events()

    run.decide("b", NO)
    run.decide("a", YES)
    run.decide("a", NO)
    recorded = reports.events()
    stage.settle()
    run.committed(3)

    assert recorded == [resolved("a", YES)]
    assert reports.end() == ([], Finished(Answer("done")))
    assert agent.asked.decisions == {"a": YES}


def test_who_asks_about_nothing_does_not_wait(stage: AgentStage) -> None:
    run, reports = started(stage, Asking())
    run.committed(1)

    assert reports.end() == ([step(1)], Finished(Answer("done")))


def test_the_record_has_no_secret_and_the_agent_gets_what_the_person_sent(stage: AgentStage) -> None:
    arguments = {"password": "hunter22", "text": f"use {OWN_SECRET}", "n": 1}
    decision = Decision(approved=True, reason=f"key sk-{'a' * 30}, {OWN_SECRET}", arguments=arguments)
    agent = Asking(request("a", api_key="12345678", text=f"with {OWN_SECRET}"))
    run, reports = started(stage, agent)
    _, asked = reports.events()

    run.decide("a", decision)
    (told,) = reports.events()
    run.committed(3)
    reports.end()

    assert asked == request("a", api_key=REDACTED, text=f"with {REDACTED}")
    assert told == ApprovalResolved(
        call_id="a",
        approved=True,
        reason=f"key {REDACTED}, {REDACTED}",
        arguments={"password": REDACTED, "text": f"use {REDACTED}", "n": 1},
    )
    assert agent.asked.decisions == {"a": decision}


def test_a_question_is_recorded_no_deeper_than_whoever_reads_it_goes(stage: AgentStage) -> None:
    deep: object = 1
    for _ in range(5000):
        deep = {"x": deep}

    run, reports = started(stage, Asking(request("a", deep=deep)))
    _, asked = reports.events()

    assert isinstance(asked, ApprovalRequested)
    recorded = msgspec.json.encode(asked.arguments).decode()
    assert recorded.count("{") <= 100
    assert REDACTED in recorded
    run.cancel()
    reports.end()


# Going on after a restart.


def test_a_request_that_is_on_record_is_not_recorded_again(stage: AgentStage) -> None:
    agent = Asking(request("a"), request("b"))
    run, reports = started(stage, agent, (*BEGUN, request("a")))
    asked = reports.events()

    run.decide("a", NO)
    run.decide("b", YES)
    stage.settle()
    run.committed(4)

    assert asked == [step(1), request("b")]
    assert [event for event in reports.end()[0] if isinstance(event, ApprovalRequested)] == []
    assert agent.asked.decisions == {"a": NO, "b": YES}


def test_a_decision_that_is_on_record_is_not_asked_for_again(stage: AgentStage) -> None:
    changed = Decision(approved=True, arguments={"command": "ls"})
    agent = Asking(request("a"))
    run, reports = started(stage, agent, (*BEGUN, request("a"), resolved("a", changed)))

    run.decide("a", NO)
    run.committed(1)

    assert reports.end() == ([step(1)], Finished(Answer("done")))
    assert agent.asked.decisions == {"a": changed}


def test_a_decision_is_recorded_even_if_the_agent_has_not_come_so_far(stage: AgentStage) -> None:
    agent = Asking(request("a"))
    run, reports = started(stage, agent, (*BEGUN, request("a")))

    run.decide("a", YES)
    events = list(reports.events())
    if len(events) == 1:  # whichever came first may have been reported by itself
        events += reports.events()
    run.committed(2)

    assert sorted(type(event).__name__ for event in events) == ["ApprovalResolved", "IterationStart"]
    assert reports.end() == ([], Finished(Answer("done")))
    assert agent.asked.decisions == {"a": YES}


# What goes wrong.


def test_an_agent_that_is_cancelled_while_it_waits_stops_and_takes_no_decision(stage: AgentStage) -> None:
    agent = Asking(request("a"))
    run, reports = started(stage, agent)
    reports.events()
    run.committed(2)

    run.cancel()
    run.decide("a", YES)

    assert reports.end() == ([], Aborted())
    stage.settle()
    assert reports.empty()
    assert not agent.went_on


def test_a_decision_that_comes_after_the_agent_has_stopped_is_not_recorded(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield Answer("I do not ask")

    run, reports = started(stage, script, (*BEGUN, request("a")))
    reports.end()

    run.decide("a", YES)
    stage.settle()

    assert reports.empty()


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (request("a"), "The agent yielded ApprovalRequested, which is no event that an agent may yield."),
        (resolved("a", YES), "The agent yielded ApprovalResolved, which is no event that an agent may yield."),
        (
            AwaitApprovals((cast("ApprovalRequested", step(1)),)),  # cast: the fault that this is about
            "The agent yielded IterationStart, which is no event that an agent may yield.",
        ),
        (
            AwaitApprovals((request(cast("str", 7)),)),  # cast: as above
            "ValidationError: Expected `str`, got `int` - at `$.call_id`",
        ),
        (AwaitApprovals((request(""),)), "The agent asked for approval under the call ID '', at which nobody"),
        (
            AwaitApprovals((request("a/b"),)),
            "The agent asked for approval under the call ID 'a/b', at which nobody",
        ),
        (AwaitApprovals((request(".."),)), "The agent asked for approval under the call ID '..', at which nobody"),
        (AwaitApprovals((request("x" * 129),)), "The agent asked for approval under the call ID 'xxx"),
        (until("yesterday"), "The agent asked for approval until 'yesterday', which is no time such as"),
        (until("2030-01-31T12:00:00"), "The agent asked for approval until '2030-01-31T12:00:00', which is no"),
        (
            AwaitApprovals((request("a", text="x" * LARGEST_EVENT),)),
            f"The agent yielded a approval_requested of {LARGEST_EVENT + 107} bytes; {LARGEST_EVENT} may be.",
        ),
    ],
    ids=[
        "request",
        "resolution",
        "no request",
        "no call ID",
        "empty call ID",
        "call ID of a path",
        "call ID of dots",
        "long call ID",
        "no time",
        "time without a zone",
        "too large",
    ],
)
def test_an_agent_that_asks_in_a_wrong_way_has_failed(
    stage: AgentStage, item: Any, error: str
) -> None:  # Any: as is
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield item

    _, reports = started(stage, script)

    events, outcome = reports.end()
    assert events == []
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith(error)
