"""What tests of the ReAct agent have it do: small tools, and models that say what follows from what they see."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from alex_actors.ports import Message, ModelEvent, ModelReply, ModelTrouble, TextDelta, ToolSpec
from alex_actors.tools import Toolbox
from tests.unit.fake_agents import RecordingTool, ScriptedModel, make_task, reply

TASK = make_task("Find it", tool_preset="all")


def upper(arguments: Mapping[str, Any]) -> str:  # JSON
    return str(arguments.get("text", "")).upper()


def toolbox(*tools: RecordingTool, approve: Sequence[str] = ()) -> Toolbox:
    specs = {tool.tool.spec.name: tool.tool for tool in tools}
    return Toolbox(tools=specs, presets={"all": tuple(specs), "none": ()}, approve_always=approve)


def tool_messages(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages if message.role == "tool"]


def two_then_one_then_answer(messages: Sequence[Message]) -> ModelReply:
    """Two calls, one call, an answer made of all results: what comes next follows from what was seen."""
    seen = tool_messages(messages)
    if len(seen) < 2:
        return reply("two", ("upper", {"text": "a"}), ("upper", {"text": "b"}))
    if len(seen) < 3:
        return reply("one", ("upper", {"text": "c"}))
    return reply(" ".join(seen))


def call_once(name: str, arguments: dict[str, Any]) -> ScriptedModel:  # JSON
    """Return a model that calls a tool once and answers with its result."""
    return ScriptedModel(
        lambda messages: (
            reply(tool_messages(messages)[-1]) if tool_messages(messages) else reply("", (name, arguments))
        )
    )


class StreamedModel:
    """Says what a function of the conversation says, word by word, in ``trouble`` only at the second attempt."""

    def __init__(
        self,
        script: Callable[[Sequence[Message]], ModelReply],
        *,
        trouble: bool = False,
        context_tokens: int | None = None,
    ) -> None:
        self.context_tokens = context_tokens
        self.seen: list[tuple[Message, ...]] = []
        self._script = script
        self._trouble = trouble

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        self.seen.append(tuple(messages))
        said = self._script(messages)
        if self._trouble:
            yield TextDelta("never mind ")
            yield ModelTrouble("The model is busy.")
        for word in said.content.split(" "):
            yield TextDelta(word + " ")
        yield msgspec.structs.replace(said, content="".join(word + " " for word in said.content.split(" ")))
