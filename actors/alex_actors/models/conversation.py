"""How an agent and its model write down what came of tool calls, and how many tokens that takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from alex_actors.events import ToolCallComplete
from alex_actors.ports import AgentError, Message, Model, ModelReply, ToolCall, ToolSpec

_FAILED = "The tool call failed: "

MESSAGE_TOKENS = 4
"""What a message takes beside its text: its role and where it begins and ends."""

REPLY_TOKENS = 4096
"""Of a model's context, left free for its reply; a quarter of it, if that is less."""

_BYTES_A_TOKEN = 4
"""Of UTF-8: near to what tokenizers make of English and of code, and less far off than characters for scripts
whose letters are tokens of their own."""


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
    """Return about how many tokens a model's turn has, at least one.

    For models that do not count, and for turns whose count was lost with an interruption.
    """
    return max(1, tokens_of(size_of(content) + _size_of_calls(calls)))


def conversation_tokens(messages: Iterable[Message], tools: Sequence[ToolSpec] = ()) -> int:
    """Return about how many tokens a model is sent: those of all texts, and a few for each message."""
    size = sum(size_of(tool.name) + size_of(tool.description) + len(_json(tool.parameters)) for tool in tools)
    count = len(tools)
    for message in messages:
        count += 1
        size += size_of(message.content) + _size_of_calls(message.tool_calls)
    return count * MESSAGE_TOKENS + tokens_of(size)


def size_of(text: str) -> int:
    """Return how many bytes of UTF-8 a text has."""
    return len(text.encode("utf-8", "replace"))


def tokens_of(size: int) -> int:
    """Return about how many tokens a text of so many bytes has: none only if it is empty."""
    return -(-size // _BYTES_A_TOKEN)


def conversation_room(context_tokens: int) -> int:
    """Return how many of a model's tokens a conversation may have: the rest is for the reply."""
    return context_tokens - min(REPLY_TOKENS, context_tokens // 4)


def context_with_room_for(output_tokens: int, context_tokens: int) -> int:
    """Return which context a model is to tell, so that ``conversation_room`` leaves room for such a reply.

    ``context_tokens`` is what the model really has; ``output_tokens``, how many its reply may have, is less.
    """
    room = min(conversation_room(context_tokens), context_tokens - output_tokens)
    return room + min(REPLY_TOKENS, room // 3)


def _size_of_calls(calls: Iterable[ToolCall]) -> int:
    return sum(size_of(call.tool_name) + len(_json(call.arguments)) for call in calls)


_json = msgspec.json.encode
