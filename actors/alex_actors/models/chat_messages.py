"""Conversations and tools as OpenAI's chat completions have them, which any-llm takes, too."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from alex_actors.ports import Message, ToolCall, ToolSpec
from alex_actors.text import encodable

Json: TypeAlias = dict[str, Any]  # of many shapes: the API's documentation has them

_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME = 64

_SILENCE = "(nothing)"
"""In place of a turn without a word and without a call: some providers refuse an empty one."""


def chat_messages(messages: Sequence[Message]) -> list[Json]:
    """Return a conversation as the API takes it."""
    return [_message(message) for message in messages]


def chat_tools(tools: Sequence[ToolSpec]) -> list[Json]:
    """Return tools as the API takes them."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def _message(message: Message) -> Json:
    content = encodable(message.content)
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id or "", "content": content}
    if message.role != "assistant":
        return {"role": message.role, "content": content}
    if not message.tool_calls:
        return {"role": "assistant", "content": content or _SILENCE}
    calls = [_call(call) for call in message.tool_calls]
    return {"role": "assistant", "content": content or None, "tool_calls": calls}


def _call(call: ToolCall) -> Json:
    return {
        "id": call.call_id,
        "type": "function",
        "function": {
            # A model may call what no tool could be named, and would be refused its own words the next time.
            "name": _NO_NAME.sub("_", call.tool_name)[:_LONGEST_NAME] or "_",
            "arguments": json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":")),
        },
    }
