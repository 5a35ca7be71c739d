"""The thinking of the ReAct agent: asks the model, tells what it says as it comes, and makes its question fit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from alex_actors.agents.deltas import merged
from alex_actors.agents.telling import recordable, told
from alex_actors.agents.turn_log import CallState, Turn
from alex_actors.agents.work import Budget, Work
from alex_actors.events import AssistantDelta, ContextCompressed, ErrorRaised, ThinkComplete, Thinking
from alex_actors.models.conversation import conversation_room
from alex_actors.models.turn_text import fitting
from alex_actors.ports import (
    AgentError,
    AgentYield,
    Checkpoint,
    Clock,
    ContextOverflow,
    Model,
    ModelError,
    ModelReply,
    ModelTrouble,
    TextDelta,
    ToolCall,
    ToolSpec,
)
from alex_actors.redact import Redactor
from alex_actors.text import one_line
from alex_actors.tools.toolbox import Toolbox

LARGEST_CONTENT = 1_000_000
"""Bytes of JSON of what a model said, so that it fits into an event also where secrets were short."""

MOST_OVERFLOWS = 3
"""How often a conversation is halved that the model finds too long, before the task fails."""


class Thinker:
    """Asks a model for the next turn of a task, within its context and the task's budget."""

    def __init__(
        self, *, model: Model, toolbox: Toolbox, clock: Clock, redactor: Redactor, budget: Budget
    ) -> None:
        self._model = model
        self._clock = clock
        self._toolbox = toolbox
        self._redactor = redactor
        self._budget = budget

    async def think(self, turn: Turn, work: Work) -> AsyncGenerator[AgentYield, None]:
        """Ask the model, and keep its reply in ``turn``.

        What it says is told as it comes. After an ``error`` that is recoverable it begins again: the pieces before
        that count for nothing. Joined, those after the last are the content of ``think_complete``, if the model
        tells any. Raises AgentError, after an ``error`` that is not recoverable, if the model cannot reply. An
        ``error`` has what was used up, if no reply will.
        """
        try:
            self._budget.check(work.turns)
            async with aclosing(self._ask(turn, work)) as events:
                async for event in events:
                    yield event
        except Exception as error:
            reason = told(error, self._redactor)
            spent = error.spent if isinstance(error, ModelError) else None
            failed = ErrorRaised(
                iteration=turn.iteration, phase="think", error=reason, recoverable=False, usage=spent
            )
            yield work.turns.note_spent(failed)
            raise AgentError(reason) from error

    def shorten_again(self, turn: Turn, work: Work) -> None:
        """Shorten the conversation as it was before the model was asked, by what is recorded of the turn."""
        tools = self._toolbox.offered(work.task.tool_preset)
        for _ in range(turn.compressions):
            tokens, most = work.conversation.tokens(tools), self._most()
            too_long = most is not None and tokens > most
            work.conversation.shorten(most if most is not None and too_long else tokens // 2, tools)

    async def _ask(self, turn: Turn, work: Work) -> AsyncGenerator[AgentYield, None]:
        tools = self._toolbox.offered(work.task.tool_preset)
        for event in self._fit(work, tools):
            yield event
        if not turn.asked:
            yield Thinking(iteration=turn.iteration, message_count=len(work.conversation.messages))
        began = self._clock.monotonic()
        for overflows in range(MOST_OVERFLOWS + 1):
            yield Checkpoint()
            last: AgentYield | None = None
            try:
                async with aclosing(self._listen(turn, work, tools, began)) as events:
                    async for event in events:
                        last = event
                        yield event
            except ContextOverflow as error:
                compressed = self._halve(work, tools, overflows, error)
                # It had begun to answer, which counts for nothing, or it had been asked in vain, which costs.
                if isinstance(last, AssistantDelta) or error.spent is not None:
                    reason = told(error, self._redactor)
                    trouble = ErrorRaised(
                        iteration=turn.iteration, phase="think", error=reason, recoverable=True, usage=error.spent
                    )
                    yield work.turns.note_spent(trouble)
                yield compressed
                self._budget.check(work.turns)
            else:
                return

    async def _listen(
        self, turn: Turn, work: Work, tools: Sequence[ToolSpec], began: float
    ) -> AsyncGenerator[AgentYield, None]:
        """Ask once, and yield what the model says, up to its reply, which took from ``began`` on."""
        reply = self._model.complete(work.conversation.messages, tools)
        async with aclosing(merged(reply, redactor=self._redactor, pace=work.pace)) as said:
            async for one in said:
                match one:
                    case TextDelta(text=text):
                        yield AssistantDelta(iteration=turn.iteration, delta=text)
                    case ModelTrouble(error=error):
                        reason = one_line(error, redactor=self._redactor)
                        yield ErrorRaised(iteration=turn.iteration, phase="think", error=reason, recoverable=True)
                    case ModelReply():
                        for event in self._keep(one, turn, work, (self._clock.monotonic() - began) * 1000):
                            yield event
                        return
        raise AgentError("The model ended without a reply.")

    def _keep(self, reply: ModelReply, turn: Turn, work: Work, duration: float) -> Iterator[AgentYield]:
        thought = ThinkComplete(
            iteration=turn.iteration,
            content=fitting(recordable(reply.content, self._redactor), LARGEST_CONTENT),
            tool_call_count=len(reply.tool_calls),
            usage=reply.usage,
            duration=duration,
        )
        # Names of our own: those of a model need not be unique over a task, nor fit into a URL.
        turn.calls = [
            CallState(ToolCall(f"call-{turn.iteration}-{number}", call.tool_name, call.arguments))
            for number, call in enumerate(reply.tool_calls, start=1)
        ]
        if work.turns.note_thought(turn, thought):
            yield thought

    def _most(self) -> int | None:
        """Return how many tokens a conversation may have; None: nobody knows."""
        context = self._model.context_tokens
        return None if context is None else conversation_room(context)

    def _fit(self, work: Work, tools: Sequence[ToolSpec]) -> Iterator[AgentYield]:
        """Shorten a conversation that is too long by what is known of the model."""
        most, conversation = self._most(), work.conversation
        if most is None or conversation.tokens(tools) <= most:
            return
        count = len(conversation.messages)
        shortened = conversation.shorten(most, tools)
        tokens = conversation.tokens(tools)
        if tokens > most:
            raise AgentError(
                f"The conversation does not fit the model: what may not be left out of it has about {tokens} "
                f"tokens, and {most} of the {self._model.context_tokens} that the model takes are free for it."
            )
        if shortened:
            yield ContextCompressed(original_count=count, compressed_count=len(conversation.messages))

    def _halve(
        self, work: Work, tools: Sequence[ToolSpec], overflows: int, error: ContextOverflow
    ) -> ContextCompressed:
        """Shorten a conversation that the model found too long. Raises AgentError if that is of no use."""
        conversation = work.conversation
        count = len(conversation.messages)
        if overflows == MOST_OVERFLOWS or not conversation.shorten(conversation.tokens(tools) // 2, tools):
            raise ContextOverflow(
                f"The conversation is too long for the model, and nothing more can be left out of it. {error}",
                spent=error.spent,
            ) from error
        return ContextCompressed(original_count=count, compressed_count=len(conversation.messages))
