"""How an agent and its model write down what came of tool calls, and how many tokens that takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from alex_actors.events import ToolCallComplete
from alex_actors.ports import AgentError, Message, Model, ModelReply, ToolCall, ToolSpec

_FAILED = "The tool call failed: "

MESSAGE_TOKENS = 4
"""What a message takes beside its text: its role and where it begins and ends."""


async def whole_reply(model: Model, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> ModelReply:
    """Return a model's next turn, for those who have no use for it as it comes. Raises what the model raises."""
    said = model.complete(messages, tools)
    async for one in said:  # whatever comes while this waits, a cancel too, comes to the model, and ends it
        if isinstance(one, ModelReply):
            await said.aclose()
            return one
    raise AgentError("The model ended without a reply.")


def tool_message(outcome: ToolCallComplete) -> Message:
    """Return the message that tells a model what came of its call."""
    content = f"{_FAILED}{outcome.error}" if outcome.error is not None else outcome.result or ""
    return Message(role="tool", content=content, call_id=outcome.call_id)


def failure_of(message: Message) -> str | None:
    """Return why the call of a tool's message failed; None if it did not."""
    return message.content.removeprefix(_FAILED) if message.content.startswith(_FAILED) else None


def estimated_tokens(content: str, calls: Sequence[ToolCall] = ()) -> int:
    """Return about how many tokens a model's turn has: one for every four characters that it wrote, at least one.

    For models that do not count, and for turns whose count was lost with an interruption.
    """
    written = len(content) + sum(len(call.tool_name) + len(msgspec.json.encode(call.arguments)) for call in calls)
    return max(1, (written + 3) // 4)


def conversation_tokens(messages: Iterable[Message], tools: Sequence[ToolSpec] = ()) -> int:
    """Return about how many tokens a model is sent: one for every four bytes of UTF-8, and a few for each message.

    That is near to what tokenizers make of English and of code, and less far off than characters for scripts whose
    letters are tokens of their own.
    """
    size = sum(len(tool.name) + len(tool.description) + len(_json(tool.parameters)) for tool in tools)
    count = len(tools)
    for message in messages:
        count += 1
        size += len(message.content.encode("utf-8", "replace"))
        size += sum(len(call.tool_name) + len(_json(call.arguments)) for call in message.tool_calls)
    return count * MESSAGE_TOKENS + (size + 3) // 4


_json = msgspec.json.encode
