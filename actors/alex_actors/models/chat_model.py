"""A model behind an API that streams chat completions: one call, one attempt, whatever package makes the call."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from alex_actors.events import Usage
from alex_actors.models.chat_messages import Json, chat_messages, chat_tools
from alex_actors.models.chat_stream import ChatTurn
from alex_actors.models.conversation import context_with_room_for, conversation_tokens, tokens_of
from alex_actors.models.faults import CONNECT_SECONDS, Fault, failure_of
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Counted, Rates
from alex_actors.ports import Clock, Message, ModelEvent, ModelReply, TextDelta, ToolSpec


class ChatModel(ABC):
    """Asks the model of ``spec`` once a call: its errors are ModelFailure and ContextOverflow.

    One object has one HTTP client, for all tasks. It connects with the first call, on whose event loop it has to
    be used and closed.
    """

    def __init__(self, *, spec: ModelSpec, rates: Rates, clock: Clock) -> None:
        self.spec = spec
        self._rates = rates
        self._clock = clock

    @property
    def context_tokens(self) -> int | None:
        """Return how many tokens a conversation may have, with the reply; None: nobody knows.

        A limit of the reply that is beyond the room that is usually left for one is taken off.
        """
        context, limit = self._rates.context_tokens, self.spec.output_limit
        return context if context is None or limit is None else context_with_room_for(limit, context)

    @property
    def is_priced(self) -> bool:
        """Return whether it is known what the model costs."""
        return self._rates.is_priced(now=self._clock.now())

    @abstractmethod
    def chunks(self, messages: list[Json], tools: list[Json]) -> AsyncGenerator[object, None]:
        """Yield a completion's chunks, as JSON or as the SDK's objects.

        The first, be it empty, shows that there is a connection. Raises Fault. Closing it closes the connection,
        if it is not at its end.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield the model's next turn as it comes."""
        turn = ChatTurn()
        try:
            async with (
                aclosing(self.chunks(chat_messages(messages), chat_tools(tools))) as chunks,
                aclosing(self._in_time(chunks, turn)) as texts,
            ):
                async for text in texts:
                    yield TextDelta(text)
            if text := turn.end():
                yield TextDelta(text)
        except Fault as fault:
            began = turn.written > 0
            spent = self._usage(turn, messages, tools) if began or turn.counted is not None else None
            raise failure_of(fault, self.spec, now=self._clock.now(), began=began, spent=spent) from fault
        yield ModelReply(content=turn.content, tool_calls=turn.calls(), usage=self._usage(turn, messages, tools))

    async def _in_time(self, chunks: AsyncGenerator[object, None], turn: ChatTurn) -> AsyncGenerator[str, None]:
        """Add chunks to a turn, and yield what they add to its text, until it is full.

        Raises Fault for silence: a chunk or a byte that brings the answer no further is as good as none.
        """
        now = asyncio.get_running_loop().time
        due = now() + CONNECT_SECONDS + self.spec.timeout_seconds
        is_first = True
        while not turn.is_full:
            try:
                async with asyncio.timeout_at(due):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise Fault("timeout") from error
            before = turn.progress
            if text := turn.add(chunk):
                yield text
            if is_first or turn.progress != before:  # what the text's reader takes is not the model's time
                due = now() + self.spec.timeout_seconds
                is_first = False

    def _usage(self, turn: ChatTurn, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Usage:
        """Return what a turn took: as the provider counted it, else an estimate of what it did not count."""
        counted = turn.counted or Counted(input=None, output=None)
        estimated = not counted.input or counted.output is None
        if estimated:
            counted = Counted(
                input=counted.input or conversation_tokens(messages, tools),
                output=tokens_of(turn.written) if counted.output is None else counted.output,
                cached=counted.cached,
            )
        return self._rates.usage(counted, now=self._clock.now(), estimated=estimated)
