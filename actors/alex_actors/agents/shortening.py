"""The conversation of a task with its model, and how it is shortened when it is too long.

The rule, in this order, until it is short enough: (1) what was said earlier in the session is left out, the oldest
task first, its text together with its answer; (2) results of this task's tools are replaced by a line that says
so, the oldest first; (3) whole turns of this task are left out, the oldest first, a call always together with its
result. Never touched are the system prompt, the task's own text, and its last turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from alex_actors.models.conversation import conversation_tokens
from alex_actors.ports import Message, ToolSpec

STUB = "[This result was left out to make room: it had {} characters. Call the tool again if you need it.]"


class Conversation:
    """What a model is told: the system prompt, what was said earlier, the task, and the turns that it took."""

    def __init__(self, *, system: str, earlier: Iterable[Message], goal: str) -> None:
        self._system = Message(role="system", content=system)
        self._goal = Message(role="user", content=goal)
        self._earlier: list[list[Message]] = []
        for message in earlier:
            if message.role == "user" or not self._earlier:
                self._earlier.append([])
            self._earlier[-1].append(message)
        self._turns: list[list[Message]] = []

    @property
    def messages(self) -> list[Message]:
        """Return all of it, in order."""
        return [
            self._system,
            *(message for said in self._earlier for message in said),
            self._goal,
            *self.of_task,
        ]

    @property
    def of_task(self) -> list[Message]:
        """Return what came of the task by now: its turns."""
        return [message for turn in self._turns for message in turn]

    def add_turn(self, messages: Iterable[Message]) -> None:
        """Add a turn: what the model said, and what came of its calls."""
        self._turns.append(list(messages))

    def tokens(self, tools: Sequence[ToolSpec]) -> int:
        """Return about how many tokens it takes with these tools."""
        return conversation_tokens(self.messages, tools)

    def shorten(self, most: int, tools: Sequence[ToolSpec]) -> bool:
        """Shorten it by the rule until it has at most so many tokens, or nothing is left to leave out.

        Returns whether there was anything. The same conversation is always shortened in the same way.
        """
        before = excess = self.tokens(tools) - most
        excess = _leave_out(self._earlier, excess, keep=0)
        excess = self._replace_results(excess)
        excess = _leave_out(self._turns, excess, keep=1)
        return excess < before

    def _replace_results(self, excess: int) -> int:
        """Return the excess that is left."""
        for turn in self._turns[:-1]:
            for position, message in enumerate(turn):
                if excess <= 0:
                    return excess
                stub = STUB.format(len(message.content))
                if message.role == "tool" and len(message.content) > len(stub):
                    turn[position] = msgspec.structs.replace(message, content=stub)
                    excess -= conversation_tokens([message]) - conversation_tokens([turn[position]])
        return excess


def _leave_out(parts: list[list[Message]], excess: int, *, keep: int) -> int:
    """Leave out the oldest parts, and return the excess that is left."""
    while excess > 0 and len(parts) > keep:
        excess -= conversation_tokens(parts.pop(0))
    return excess
