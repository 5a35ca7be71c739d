"""No secret of the server is in what its agents' tasks tell, and no shape of one in what tools do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alex_actors.agents import ReActAgent
from alex_actors.events import AnyEvent, ThinkComplete, ToolCallComplete, ToolCallStart
from alex_actors.ports import AgentError, AgentYield, Answer, Failed, Finished, ToolError
from alex_actors.redact import Redactor
from alex_actors.tasks import Task
from alex_actors.tools import Toolbox
from tests.unit.actor_fakes import WAIT
from tests.unit.agent_fakes import AgentStage
from tests.unit.fake_agents import RecordingTool, ScriptedModel, TickingClock, make_task, reply, run

SECRET = "correct horse battery"
REDACTOR = Redactor.of_environment({"VENDOR_API_KEY": SECRET})
SHAPED = "sk-proj-0123456789abcdef"


@pytest.fixture
def stage() -> Iterator[AgentStage]:
    stage = AgentStage(redactor=REDACTOR)
    yield stage
    assert stage.stop(timeout=WAIT)


def test_no_event_nor_answer_of_any_agent_tells_a_secret_of_the_server(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield ThinkComplete(iteration=1, content=f"I know {SECRET}.", tool_call_count=0)
        yield Answer(f"It is {SECRET}.")

    _, reports = stage.start(script)
    news = reports.next()

    thought = ThinkComplete(iteration=1, content="I know [redacted].", tool_call_count=0)
    assert [stamped.event for stamped in news.events] == [thought]
    assert SECRET.encode() not in news.events[0].body
    assert msgspec.json.decode(news.events[0].body)["event_type"] == "think_complete"
    assert news.outcome == Finished(Answer("It is [redacted]."))


@pytest.mark.parametrize("error", [AgentError, ValueError])
def test_no_error_of_any_agent_tells_a_secret_of_the_server(stage: AgentStage, error: type[Exception]) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield ThinkComplete(iteration=1, content="", tool_call_count=0)
        raise error(f"401 for key {SECRET}")

    _, reports = stage.start(script)

    _, outcome = reports.end()
    assert isinstance(outcome, Failed)
    assert outcome.error.endswith("401 for key [redacted]")


def told(arguments: Mapping[str, Any]) -> str:  # JSON
    return f"{arguments['text']}: {SECRET}, {SHAPED}"


def refused(arguments: Mapping[str, Any]) -> str:  # JSON
    raise ToolError(told(arguments))


def broken(arguments: Mapping[str, Any]) -> str:  # JSON
    raise ValueError(told(arguments))


@pytest.mark.parametrize("work", [told, refused, broken])
def test_what_a_tool_gets_is_whole_and_what_is_recorded_and_told_of_it_has_no_secret(
    tmp_path: Path, work: Any
) -> None:
    tool = RecordingTool("tell", work)
    text = f"use {SECRET} and {SHAPED}"
    model = ScriptedModel(
        lambda seen: reply("done") if seen[-1].role == "tool" else reply("", ("tell", {"text": text}))
    )
    agent = ReActAgent(
        model=model,
        toolbox=Toolbox(tools={"tell": tool.tool}, presets={"safe": ("tell",)}),
        persona=str,
        workspace=lambda _: tmp_path,
        clock=TickingClock(),
        redactor=REDACTOR,
    )

    ran = run(agent, make_task("Tell"))

    start = next(event for event in ran.events if isinstance(event, ToolCallStart))
    complete = next(event for event in ran.events if isinstance(event, ToolCallComplete))
    assert tool.calls == [{"text": text}]
    assert start.arguments == {"text": "use [redacted] and [redacted]"}
    assert "use [redacted] and [redacted]: [redacted], [redacted]" in f"{complete.result}{complete.error}"
    assert SECRET not in repr(ran.events)
    assert SHAPED not in repr(ran.events)
    with suppress(StopIteration):
        assert SECRET not in next(message.content for message in model.seen[-1][0] if message.role == "tool")
