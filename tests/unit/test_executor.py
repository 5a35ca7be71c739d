"""Agents at work: what they report, and how far they may go ahead of the store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import msgspec
import pytest

from alex_actors.events import AnyEvent, ErrorRaised, IterationStart, TaskStarted, ThinkComplete
from alex_actors.executor import LARGEST_EVENT, LONGEST_ANSWER
from alex_actors.ports import AgentError, AgentYield, Answer, Checkpoint, Failed, Finished, NotResumed
from alex_actors.tasks import Task
from alex_actors.text import LONGEST_ERROR
from tests.unit.actor_fakes import WAIT
from tests.unit.agent_fakes import AgentStage, for_ever, recorded_task, step

ANSWER = Answer("4")


@pytest.fixture
def stage() -> Iterator[AgentStage]:
    stage = AgentStage(max_ahead=3)
    yield stage
    assert stage.stop(timeout=WAIT)


async def answer(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
    yield ANSWER


# Events.


def test_an_agent_gets_its_task_and_its_history(stage: AgentStage) -> None:
    seen: list[object] = []

    async def script(task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        seen.extend([task.task_id, *history])
        yield ANSWER

    _, reports = stage.start(script, name="task-7", history=(TaskStarted(),))

    assert reports.end() == ([], Finished(ANSWER))
    assert seen == ["task-7", TaskStarted()]


def test_an_agent_that_does_not_resume_is_not_run_on_a_history(stage: AgentStage) -> None:
    seen: list[object] = []

    async def script(task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        seen.append(task.task_id)
        yield ANSWER

    _, resumed = stage.start(script, name="task-7", history=(TaskStarted(),), resumes=False)
    _, begun = stage.start(script, name="task-8", resumes=False)

    assert resumed.end() == ([], NotResumed())
    assert begun.end() == ([], Finished(ANSWER))
    assert seen == ["task-8"]


def test_events_are_reported_in_order_and_what_comes_without_a_wait_in_one_message(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        yield step(2)
        await for_ever()

    _, reports = stage.start(script)

    assert reports.events() == [step(1), step(2)]


def test_the_last_events_come_with_the_outcome(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        yield step(2)
        yield ANSWER

    _, reports = stage.start(script)
    news = reports.next()

    assert [stamped.event for stamped in news.events] == [step(1), step(2)]
    assert news.outcome == Finished(ANSWER)


def test_an_event_is_stamped_with_the_time_at_which_it_was_yielded(stage: AgentStage) -> None:
    stage.clock.seconds = 12.5

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        stage.clock.seconds = 99
        yield ANSWER

    _, reports = stage.start(script)

    (stamped,) = reports.next().events
    assert stamped.at == "2026-01-01T00:00:12.500000Z"
    assert msgspec.json.decode(stamped.body)["iteration"] == 1


def test_agents_run_side_by_side(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        await for_ever()

    running = [stage.start(script, name=f"task-{number}")[1] for number in range(20)]

    assert [reports.events() for reports in running] == [[step(1)]] * 20
    assert stage.executor.runs == 20


def test_a_run_that_has_ended_is_forgotten(stage: AgentStage) -> None:
    for number in range(10):
        stage.start(answer, name=f"task-{number}")[1].end()

    stage.settle()
    assert stage.executor.runs == 0


# Ahead of the store.


def test_a_checkpoint_waits_until_all_before_it_is_committed(stage: AgentStage) -> None:
    passed = threading.Event()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        yield step(2)
        yield Checkpoint()
        passed.set()
        yield ANSWER

    run, reports = stage.start(script)
    before = reports.events()
    run.committed(1)
    stage.settle()
    too_early = passed.is_set()
    run.committed(2)

    assert before == [step(1), step(2)]
    assert not too_early
    assert reports.end() == ([], Finished(ANSWER))


def test_a_checkpoint_waits_for_what_was_on_its_way_before_the_run(stage: AgentStage) -> None:
    passed = threading.Event()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield Checkpoint()
        passed.set()
        yield ANSWER

    run, reports = stage.start(script, uncommitted=2)
    run.committed(1)
    stage.settle()
    too_early = passed.is_set()
    run.committed(2)

    assert not too_early
    assert reports.end() == ([], Finished(ANSWER))


def test_a_checkpoint_with_nothing_uncommitted_does_not_wait(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield Checkpoint()
        yield Checkpoint()
        yield ANSWER

    _, reports = stage.start(script)

    assert reports.end() == ([], Finished(ANSWER))


def test_a_commit_that_comes_before_the_checkpoint_is_not_missed(stage: AgentStage) -> None:
    go_on = threading.Event()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        go_on.wait(WAIT)  # blocks the agents' thread: the commit comes while it is held up
        yield Checkpoint()
        yield ANSWER

    run, reports = stage.start(script)
    run.committed(1)
    go_on.set()

    assert reports.end() == ([step(1)], Finished(ANSWER))


def test_an_agent_runs_on_while_at_most_so_many_of_its_events_are_uncommitted(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        for number in range(1, 11):
            yield step(number)
        yield ANSWER

    run, reports = stage.start(script)

    # It is held at the event that makes three of them uncommitted.
    assert reports.events() == [step(1), step(2), step(3)]
    stage.settle()
    assert reports.empty()
    run.committed(1)
    assert reports.events() == [step(4)]
    run.committed(4)
    assert reports.events() == [step(5), step(6), step(7)]
    run.committed(8)
    assert reports.end() == ([step(8), step(9), step(10)], Finished(ANSWER))


# How agents fail.


def test_an_answer_that_is_too_long_is_cut_and_says_so(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield Answer("x" * (LONGEST_ANSWER + 1))

    _, reports = stage.start(script)

    _, outcome = reports.end()
    assert isinstance(outcome, Finished)
    assert outcome.answer.text == "x" * LONGEST_ANSWER + f"\n[cut: the answer had {LONGEST_ANSWER + 1} characters]"


def test_an_agent_that_yields_too_large_an_event_has_failed(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield ThinkComplete(iteration=1, content="x" * LARGEST_EVENT, tool_call_count=0)
        yield ANSWER

    _, reports = stage.start(script)

    events, outcome = reports.end()
    assert events == []
    assert isinstance(outcome, Failed)
    assert f"a think_complete of {LARGEST_EVENT + 78} bytes" in outcome.error


def test_an_agent_that_ends_without_an_answer_has_failed(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)

    _, reports = stage.start(script)

    assert reports.end() == ([step(1)], Failed("The agent ended without an answer."))


def test_what_an_agent_would_say_after_its_answer_is_not_heard(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield ANSWER
        yield step(1)

    _, reports = stage.start(script)

    assert reports.end() == ([], Finished(ANSWER))


def test_the_answer_is_told_when_the_agent_has_cleaned_up(stage: AgentStage) -> None:
    cleaning, go_on = threading.Event(), asyncio.Event()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        try:
            yield ANSWER
        finally:
            cleaning.set()
            await go_on.wait()

    _, reports = stage.start(script)
    assert cleaning.wait(WAIT)
    stage.settle()
    early = not reports.empty()

    stage.executor.call(go_on.set)

    assert not early
    assert reports.end() == ([], Finished(ANSWER))


def test_an_agents_own_error_is_told_as_it_is(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        raise AgentError("The model is not there.\nStart it.")

    _, reports = stage.start(script)

    assert reports.end() == ([step(1)], Failed("The model is not there. Start it."))
    assert stage.log.named("agent.failed") == []


class Mute(Exception):
    """An exception that cannot even say what it is."""

    def __str__(self) -> str:
        msg = "no text"
        raise ValueError(msg)


class Exit(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no\nsuch  thing"), "ValueError: no such thing"),
        (ValueError("a lone surrogate: \ud800"), "ValueError: a lone surrogate: ?"),
        (ValueError("key sk-abcdefghijklmnopqrstuvwxyz"), "ValueError: key [redacted]"),
        (ValueError("x" * 10_000), ("ValueError: " + "x" * 10_000)[: LONGEST_ERROR - 1] + "…"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (Exit("out"), "Exit: out"),
        (Mute(), "Mute"),
    ],
)
def test_whatever_an_agent_raises_is_told_in_one_line_and_logged(
    stage: AgentStage, error: BaseException, told: str
) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        raise error

    _, reports = stage.start(script)

    assert reports.end() == ([step(1)], Failed(told))
    (line,) = stage.log.named("agent.failed")
    assert (line["task_id"], line["session_id"], line["exc_info"]) == ("task-1", "session-1", error)
    assert stage.start(answer)[1].end() == ([], Finished(ANSWER))


def test_an_agent_that_is_no_generator_has_failed(stage: AgentStage) -> None:
    def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        msg = "not ready"
        raise LookupError(msg)

    _, reports = stage.start(script)

    assert reports.end() == ([], Failed("LookupError: not ready"))


class Derived(IterationStart, frozen=True, kw_only=True):
    """An event of an agent's own making."""


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (object(), "The agent yielded object, which is no event that an agent may yield."),
        (None, "The agent yielded NoneType, which is no event that an agent may yield."),
        (TaskStarted(), "The agent yielded TaskStarted, which is no event that an agent may yield."),
        (
            Derived(iteration=1, total_iters=2),
            "The agent yielded Derived, which is no event that an agent may yield.",
        ),
        (
            IterationStart(iteration=cast("int", "one"), total_iters=2),  # cast: the fault that this is about
            "ValidationError: Expected `int`, got `str` - at `$.iteration`",
        ),
        (Answer(cast("str", 4)), "ValidationError: Expected `str`, got `int` - at `$.text`"),  # cast: as above
        (
            Answer("4", cast("Any", "cancelled")),
            "ValidationError: Invalid enum value 'cancelled' - at `$.stop_reason`",
        ),
    ],
)
def test_an_agent_that_yields_what_is_no_event_has_failed(stage: AgentStage, item: object, error: str) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        yield cast("AgentYield", item)  # cast: the fault that this is about

    _, reports = stage.start(script)

    assert reports.end() == ([step(1)], Failed(error))


@pytest.mark.parametrize(
    "item",
    [Answer("\ud800"), ErrorRaised(iteration=1, phase="think", error="\udfff", recoverable=True)],
    ids=["answer", "event"],
)
def test_an_agent_that_yields_what_cannot_be_json_has_failed(stage: AgentStage, item: AgentYield) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield item

    _, reports = stage.start(script)

    events, outcome = reports.end()
    assert events == []
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("UnicodeEncodeError: ")


def test_an_agent_that_is_not_found_is_not_started(stage: AgentStage) -> None:
    stage.start(answer)[1].end()
    stage.agents.clear()

    with pytest.raises(KeyError):
        stage.executor.start(recorded_task("unknown"), history=(), uncommitted=0, report=print)

    stage.settle()
    assert stage.executor.runs == 0
