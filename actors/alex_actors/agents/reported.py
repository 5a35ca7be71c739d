"""The turns of an agent of another library as this runtime's events: what all adapters have in common."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from alex_actors.agents.deltas import merged
from alex_actors.agents.memory import Conversations, NothingSaid
from alex_actors.agents.telling import out_of_iterations, recordable
from alex_actors.events import (
    AgentEvent,
    AnyEvent,
    AssistantDelta,
    IterationComplete,
    IterationStart,
    ThinkComplete,
    ToolCallComplete,
    ToolCallStart,
    Usage,
)
from alex_actors.ports import AgentYield, Answer, Checkpoint, Message, TextDelta
from alex_actors.projection import Progress, advance
from alex_actors.redact import NO_SECRETS, Redactor
from alex_actors.redact_streams import RedactedStream
from alex_actors.text import encodable
from alex_actors.values import Timestamp, Value

if TYPE_CHECKING:
    from alex_actors.agents.loading import AgentParts
    from alex_actors.tasks import Task


Call: TypeAlias = tuple[str, str, Mapping[str, Any]]  # JSON
"""A tool call as a library has it: its ID there, the tool's name, the arguments."""

Reports: TypeAlias = AsyncGenerator[AgentYield, None]

_INTERRUPTED = "The task was interrupted while this tool ran. Whether it had its effect is not known."


@dataclass(slots=True)
class ReportedTurn:
    """A call of a model, and the tool calls that it asked for: by their own IDs, with the tool and its start."""

    iteration: int
    tools_run: int = 0
    began: float | None = None
    """The second in which the model was to be asked; None if that is not known."""
    text: RedactedStream = field(default_factory=lambda: RedactedStream(NO_SECRETS))
    open: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    """Those that are not over, by the library's ID: the own ID, the tool's name, the second in which it began."""


class ReportedTurns:
    """Makes the events of one task's turns, and counts what they took.

    ``now`` tells seconds that never go back. ``redactor`` takes secrets out of what is recorded.
    """

    def __init__(
        self,
        task: Task,
        history: Sequence[AnyEvent],
        *,
        now: Callable[[], float],
        redactor: Redactor = NO_SECRETS,
    ) -> None:
        self.go_on = bool(history)
        """The task was interrupted."""
        self._limit = task.max_iterations
        self._now = now
        self._redactor = redactor
        self._progress = Progress()
        self._turns: list[ReportedTurn] = []
        for event in history:
            self._replay(event)

    @property
    def exceeded(self) -> bool:
        """Whether the task has begun more turns than it may."""
        return self._progress.current_iteration > self._limit

    def out_of_iterations(self) -> Answer:
        """Return the end of a task that needs more turns than it may have."""
        return Answer(out_of_iterations(self._limit), stop_reason="max_iterations")

    def resumed(self, calls: Sequence[Call]) -> Iterator[AgentYield]:
        """Go on with the tool calls that are on record as begun: ``calls`` are those that will be run again.

        Yields the end of all others, of which nobody will hear any more.
        """
        for turn in tuple(self._turns):
            ours = list(turn.open.values())
            if turn is self._turns[-1] and [name for _, name, _ in ours] == [name for _, name, _ in calls]:
                turn.open = {
                    call[0]: (own, name, self._now()) for call, (own, name, _) in zip(calls, ours, strict=True)
                }
                continue
            for own in tuple(turn.open):
                yield from self.came_of(own, _INTERRUPTED, failed=True)

    def begin(self, *, asking: bool = False) -> tuple[ReportedTurn, AgentYield]:
        """Return a new turn, and its start; of one past the limit a Checkpoint: see ``exceeded``.

        ``asking``: the model is about to be asked. Else it has begun to answer, and nobody knows for how long it
        was asked.
        """
        number, text = self._progress.current_iteration + 1, RedactedStream(self._redactor)
        turn = ReportedTurn(number, began=self._now() if asking else None, text=text)
        event = IterationStart(iteration=turn.iteration, total_iters=self._limit)
        self._progress = advance(self._progress, Timestamp(""), event)
        self._turns.append(turn)
        return turn, Checkpoint() if self.exceeded else event

    def says(self, turn: ReportedTurn, text: str) -> Iterator[AgentEvent]:
        """Yield a piece of a model's text, less what may be the beginning of a secret."""
        yield from self._delta(turn, turn.text.add(encodable(text)))

    def said(
        self, turn: ReportedTurn, content: str, calls: Sequence[Call], usage: Usage | None
    ) -> Iterator[AgentEvent]:
        """Yield what a model's turn came to, and the start of its tool calls. Without calls the turn is over."""
        yield from self._delta(turn, turn.text.rest())
        thought = ThinkComplete(
            iteration=turn.iteration,
            content=recordable(content, self._redactor),
            tool_call_count=len(calls),
            usage=usage,
            duration=None if turn.began is None else (self._now() - turn.began) * 1000,
        )
        self._progress = advance(self._progress, Timestamp(""), thought)
        yield thought
        for number, (library_id, name, arguments) in enumerate(calls, start=1):
            # Names of our own: those of a model need not be unique over a task, nor fit into a URL.
            call_id = f"call-{turn.iteration}-{number}"
            turn.open[library_id] = (call_id, name, self._now())
            turn.tools_run += 1
            yield ToolCallStart(
                iteration=turn.iteration,
                call_id=call_id,
                tool_name=name,
                arguments=self._redactor.redact(dict(arguments)),
            )
        if not calls:
            yield self._completed(turn)

    def came_of(self, library_id: str, text: str, *, failed: bool) -> Iterator[AgentEvent]:
        """Yield the end of a tool call, and of its turn if that was the last; nothing of one that is not open."""
        turn = next((one for one in reversed(self._turns) if library_id in one.open), None)
        if turn is None:
            return
        call_id, name, began = turn.open.pop(library_id)
        text = recordable(text, self._redactor)
        yield ToolCallComplete(
            call_id=call_id,
            tool_name=name,
            result=None if failed else text,
            error=text if failed else None,
            duration=(self._now() - began) * 1000,
        )
        if not turn.open:
            yield self._completed(turn)

    def _delta(self, turn: ReportedTurn, piece: str) -> Iterator[AgentEvent]:
        if piece:
            yield AssistantDelta(iteration=turn.iteration, delta=piece)

    def _completed(self, turn: ReportedTurn) -> IterationComplete:
        self._turns.remove(turn)
        return IterationComplete(
            iteration=turn.iteration,
            tokens_used=self._progress.tokens_used,
            tools_run=turn.tools_run,
            cost_usd=self._progress.cost_usd or None,
        )

    def _replay(self, event: AnyEvent) -> None:
        self._progress = advance(self._progress, Timestamp(""), event)
        match event:
            case IterationStart(iteration=iteration):
                self._turns.append(ReportedTurn(iteration))
            case ToolCallStart(call_id=call_id, tool_name=name):
                turn = self._turn(event.iteration)
                turn.tools_run += 1
                turn.open[call_id] = (call_id, name, self._now())
            case ToolCallComplete(call_id=call_id):
                for turn in self._turns:
                    turn.open.pop(call_id, None)
            case IterationComplete(iteration=iteration):
                self._turns.remove(self._turn(iteration))
            case _:
                pass  # the rest says nothing of where to go on

    def _turn(self, iteration: int) -> ReportedTurn:
        return next(turn for turn in self._turns if turn.iteration == iteration)


class ReportingAgent(ABC):
    """What adapters have in common. They are made in their users' modules, and given the server's parts later."""

    redactor: Redactor = NO_SECRETS
    conversations: Conversations = NothingSaid()

    def with_parts(self, parts: AgentParts) -> Self:
        """Return the same agent, with the redactor of the server and what it knows of sessions."""
        agent = copy(self)
        agent.redactor, agent.conversations = parts.redactor, parts.conversations
        return agent

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> Reports:
        """Work on a task, with what was said in its session before. Raises what the library raises."""
        now = asyncio.get_running_loop().time
        turns = ReportedTurns(task, history, now=now, redactor=self.redactor)
        earlier = await self.conversations.before(task)
        iteration = 0
        source = _with_texts(self.report(task, turns, earlier))
        # Each turn's text has no secrets any more; here it gets its pace.
        paced: AsyncGenerator[_News, None] = merged(source, redactor=NO_SECRETS)
        async with aclosing(paced) as told:
            async for one in told:
                if turns.exceeded:
                    yield turns.out_of_iterations()
                    return
                if isinstance(one, _Speaker):
                    iteration = one.iteration
                elif isinstance(one, TextDelta):
                    yield AssistantDelta(iteration=iteration, delta=one.text)
                else:
                    yield one

    @abstractmethod
    def report(self, task: Task, turns: ReportedTurns, earlier: Sequence[Message]) -> Reports:
        """Run the library's agent, and yield what it does, its text in as many pieces as it likes.

        It is closed when it has begun more turns than the task may have.
        """


class _Speaker(Value, frozen=True):
    """From here on the text is of this iteration."""

    iteration: int


_News: TypeAlias = TextDelta | AgentYield | _Speaker


async def _with_texts(events: Reports) -> AsyncGenerator[_News, None]:
    """Yield events, those with text as ``merged`` takes it."""
    iteration = 0
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, AssistantDelta):
                yield event
                continue
            if event.iteration != iteration:
                iteration = event.iteration
                yield _Speaker(iteration)
            yield TextDelta(event.delta)
