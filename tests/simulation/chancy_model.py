"""The server's side of the chancy provider: a model of the server's, without a network."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from alex_actors.models.chat_messages import Json
from alex_actors.models.chat_model import ChatModel
from alex_actors.models.faults import ModelFailure
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Price, Rates
from alex_actors.ports import Message, ModelEvent, ModelReply, ToolSpec

if TYPE_CHECKING:
    from tests.simulation.chancy_provider import ChancyProvider

SPEC = ModelSpec(name="chancy", base_url="http://models.test/v1", timeout_seconds=30.0)
PRICES = {SPEC.name: Price(input=1_000.0, output=3_000.0)}

JOB = "Job"
"""How the texts of tasks begin."""


class ChancyModel(ChatModel):
    """The server's side of it: one object for all tasks of a process."""

    def __init__(self, provider: ChancyProvider, rates: Rates) -> None:
        super().__init__(spec=SPEC, rates=rates, clock=provider.clock)
        self._provider = provider

    @property
    def context_tokens(self) -> int | None:
        """Return how many tokens a conversation may have, with the reply."""
        return self._provider.context_tokens

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield a turn, and have the provider know what it was counted as."""
        goal = goal_of([(message.role, message.content) for message in messages])
        task_id = self._provider.task_of(messages[goal].content)
        try:
            async with contextlib.aclosing(super().complete(messages, tools)) as said:
                async for one in said:
                    if isinstance(one, ModelReply):
                        self._provider.note_turn(task_id, one)
                    yield one
        except ModelFailure as failure:
            self._provider.note_spent(task_id, failure.spent)
            raise

    async def chunks(
        self,
        messages: list[Json],
        tools: list[Json],
    ) -> AsyncGenerator[object, None]:
        """Yield an answer."""
        goal = goal_of([(message["role"], message["content"] or "") for message in messages])
        task_id = self._provider.task_of(messages[goal]["content"])
        async with contextlib.aclosing(self._provider.answer(task_id, messages)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


def goal_of(messages: Sequence[tuple[str, str]]) -> int:
    """Return where the task's own text is in a conversation: the last that begins as such texts do."""
    return max(at for at, (role, text) in enumerate(messages) if role == "user" and text.startswith(JOB))
