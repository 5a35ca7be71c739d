"""What an agent counts: numbers that everybody can read, or its task has failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from alex_actors.events import AgentEvent, AnyEvent, IterationComplete, IterationStart
from alex_actors.ports import AgentYield, Answer, Failed, Finished
from alex_actors.tasks import Task
from tests.unit.actor_fakes import WAIT
from tests.unit.agent_fakes import AgentStage

MOST = 2**53 - 1


@pytest.fixture
def stage() -> Iterator[AgentStage]:
    stage = AgentStage(max_ahead=3)
    yield stage
    assert stage.stop(timeout=WAIT)


def outcome_of(stage: AgentStage, event: AgentEvent) -> object:
    """Return what comes of an agent that yields an event and answers."""

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield event
        yield Answer("4")

    return stage.start(script)[1].end()


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (IterationStart(iteration=-1, total_iters=2), "iteration_start, whose 'iteration'"),
        (IterationStart(iteration=1, total_iters=2**70), "iteration_start, whose 'total_iters'"),
        (
            IterationComplete(iteration=1, tokens_used=MOST + 1, tools_run=0),
            "iteration_complete, whose 'tokens_used'",
        ),
    ],
)
def test_an_agent_that_miscounts_has_failed(stage: AgentStage, event: AgentEvent, told: str) -> None:
    error = f"The agent yielded {told} is not from 0 to 9007199254740991."

    assert outcome_of(stage, event) == ([], Failed(error))


def test_an_agent_may_count_as_far_as_json_goes(stage: AgentStage) -> None:
    most = IterationComplete(iteration=MOST, tokens_used=MOST, tools_run=0)

    assert outcome_of(stage, most) == ([most], Finished(Answer("4")))
