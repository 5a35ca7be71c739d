"""Agents, models and ways to approve that each lack one thing that real agents need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from math import inf
from typing import TYPE_CHECKING, Any

import msgspec

from alex_actors.agents.acting import Hands
from alex_actors.agents.memory import Conversations
from alex_actors.agents.react import ReActAgent
from alex_actors.agents.thinking import Thinker
from alex_actors.agents.turn_log import CallState, Turn, TurnLog
from alex_actors.agents.work import Budget, Work
from alex_actors.events import (
    AnyEvent,
    ContextCompressed,
    ErrorRaised,
    Stamped,
    TaskResumed,
    ThinkComplete,
    ToolCallStart,
)
from alex_actors.models.breaker import Breaker, Leave
from alex_actors.models.faults import ModelFailure
from alex_actors.models.resilience import ResilientModel
from alex_actors.ports import (
    AgentYield,
    Checkpoint,
    ContextOverflow,
    Decision,
    Message,
    ModelEvent,
    ModelReply,
    ModelTrouble,
    ToolSpec,
)
from alex_actors.redact import NO_SECRETS
from alex_actors.store.staging import LiveTask, Staging
from alex_actors.tasks import Task
from alex_actors.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from alex_actors.ports import Model


def agent(
    *, hands: type[Hands] = Hands, thinker: type[Thinker] = Thinker, log: type[TurnLog] = TurnLog
) -> type[ReActAgent]:
    """Return an agent with these parts exchanged."""

    class Broken(ReActAgent):
        def __init__(self, *, model: Model, **given: Any) -> None:  # Any: as ReActAgent has them
            super().__init__(model=model, **given)
            budget = Budget(max_tokens=given["max_tokens"], max_cost_usd=given["max_cost_usd"])
            self._thinker = thinker(
                model=model, toolbox=given["toolbox"], clock=given["clock"], redactor=NO_SECRETS, budget=budget
            )
            self._hands = hands(
                toolbox=given["toolbox"], workspace=given["workspace"], clock=given["clock"], redactor=NO_SECRETS,
                approval_timeout=given["approval_timeout_seconds"],
            )  # fmt: skip

        def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
            return self.pursue(task, task.task, log(history))

    return Broken


# How it acts.


class AsksNobody(Hands):
    """Runs calls that need a person's word at once."""

    def __init__(self, *, toolbox: Toolbox, **given: Any) -> None:  # Any: as Hands has them
        super().__init__(toolbox=Unguarded(toolbox), **given)


class Unguarded(Toolbox):
    """A toolbox in which nothing needs a person's word."""

    def __init__(self, guarded: Toolbox) -> None:
        self.__dict__.update(vars(guarded))

    def needs_approval(self, name: str, preset: str) -> bool:
        return False


class RunsTheDenied(Hands):
    """Runs a call whatever was decided."""

    def _refusal(self, state: CallState, task: Task) -> str | None:
        state.decision = None
        return super()._refusal(state, task)


class NoCheckpoint(Hands):
    """Runs what must not run twice before its start is on record."""

    async def act(self, turn: Turn, task: Task) -> AsyncGenerator[AgentYield, None]:
        async with aclosing(super().act(turn, task)) as events:
            async for event in events:
                if not isinstance(event, Checkpoint):
                    yield event


class RunsAgain(Hands):
    """Runs again what had begun before an interruption, whatever it is."""

    def _repeatable(self, call: Any, task: Task) -> bool:  # Any: a ToolCall, of no interest
        return True


class AllAtOnce(Hands):
    """Runs all calls of a turn side by side."""

    def _groups(self, calls: Sequence[CallState]) -> Iterator[list[CallState]]:
        yield list(calls)


class RecordsTheModels(Hands):
    """Records the start of a call without what a person has put in place of its arguments."""

    def _begin(self, turn: Turn, state: CallState, task: Task) -> Iterator[AgentYield]:
        for event in super()._begin(turn, state, task):
            changed = state.decision is not None and state.decision.arguments is not None
            if isinstance(event, ToolCallStart) and changed:
                event = msgspec.structs.replace(event, arguments={"number": 0})
            yield event


class LastFirst(Hands):
    """Runs the calls of a turn from the last to the first, which is to run alone alone."""

    def _groups(self, calls: Sequence[CallState]) -> Iterator[list[CallState]]:
        yield from reversed(list(super()._groups(calls)))


class StubbornCall(CallState):
    """Keeps the arguments that the model wrote."""

    def decide(self, decision: Decision) -> None:
        self.decision = decision


# How it thinks.


class IgnoresChanges(Thinker):
    """Wishes for calls whose arguments nobody can change."""

    def _keep(self, reply: ModelReply, turn: Turn, work: Work, duration: float) -> Iterator[AgentYield]:
        yield from super()._keep(reply, turn, work, duration)
        turn.calls = [StubbornCall(state.call) for state in turn.calls]


class AsksUnrecorded(Thinker):
    """Asks the model before what came before is on record."""

    async def _ask(self, turn: Turn, work: Work) -> AsyncGenerator[AgentYield, None]:
        async with aclosing(super()._ask(turn, work)) as events:
            async for event in events:
                if not isinstance(event, Checkpoint):
                    yield event


class AsksTheSameAgain(Thinker):
    """Says that it has shortened a conversation that was too long, and has not."""

    def _halve(
        self, work: Work, tools: Sequence[ToolSpec], overflows: int, error: ContextOverflow
    ) -> ContextCompressed:
        count = len(work.conversation.messages)
        if overflows:
            return super()._halve(work, tools, overflows, error)
        return ContextCompressed(original_count=count, compressed_count=count)


class TellsTheWorst(Thinker):
    """Says of each attempt that failed that it ends the task."""

    async def _listen(
        self, turn: Turn, work: Work, tools: Sequence[ToolSpec], began: float
    ) -> AsyncGenerator[AgentYield, None]:
        async with aclosing(super()._listen(turn, work, tools, began)) as events:
            async for event in events:
                yield (
                    msgspec.structs.replace(event, recoverable=False) if isinstance(event, ErrorRaised) else event
                )


class Stumbles(Thinker):
    """Cannot do with three calls at once."""

    def _keep(self, reply: ModelReply, turn: Turn, work: Work, duration: float) -> Iterator[AgentYield]:
        if len(reply.tool_calls) > 2:
            raise IndexError("list index out of range")
        return super()._keep(reply, turn, work, duration)


class OverflowsInSilence(Thinker):
    """Says nothing of an answer that had begun when the conversation was found too long."""

    async def _ask(self, turn: Turn, work: Work) -> AsyncGenerator[AgentYield, None]:
        async with aclosing(super()._ask(turn, work)) as events:
            async for event in events:
                if not (isinstance(event, ErrorRaised) and "too long" in event.error):
                    yield event


class NeverHangsUp(Thinker):
    """Leaves what the model says to itself when nobody listens any more."""

    def __init__(self, *, model: Model, **given: Any) -> None:  # Any: as Thinker has them
        super().__init__(model=Unattended(model), **given)


class Unattended:
    """A model that is read to its end by a task of its own."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._reading: set[asyncio.Task[None]] = set()

    @property
    def context_tokens(self) -> int | None:
        return self._model.context_tokens

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        said: list[ModelEvent | Exception] = []
        news = asyncio.Event()

        async def read() -> None:
            try:
                async for one in self._model.complete(messages, tools):
                    said.append(one)
                    news.set()
            except Exception as error:  # noqa: BLE001 - it is for who listens
                said.append(error)
            news.set()

        self._reading.add(asyncio.create_task(read()))
        while True:
            await news.wait()
            news.clear()
            while said:
                one = said.pop(0)
                if isinstance(one, Exception):
                    raise one
                yield one
                if isinstance(one, ModelReply):
                    return


class ForgetsTheBudget(Thinker):
    """Asks the model however much was used."""

    def __init__(self, *, budget: Budget, **given: Any) -> None:  # Any: as Thinker has them
        del budget
        super().__init__(budget=Budget(), **given)


# What it knows of its turns.


class CountsTwice(TurnLog):
    """Counts what is on record of models twice."""

    def _replay(self, event: AnyEvent) -> None:
        super()._replay(event)
        if isinstance(event, ThinkComplete):
            self._count(event)


class CountsFromNothing(Staging):
    """Counts anew what a task uses that goes on after a restart."""

    def _add_events(self, task: LiveTask, stamped: tuple[Stamped, ...]) -> LiveTask:
        if stamped and isinstance(stamped[0].event, TaskResumed):
            nothing = msgspec.structs.replace(task.progress, tokens_used=0, cost_usd=0.0)
            task = msgspec.structs.replace(task, progress=nothing)
        return super()._add_events(task, stamped)


class ForgetsTheLast(ReActAgent):
    """Knows all that was said in a session but the last."""

    def __init__(self, *, conversations: Conversations, **given: Any) -> None:  # Any: as ReActAgent has them
        super().__init__(conversations=Forgetful(conversations), **given)


class Forgetful:
    """Conversations without their ends."""

    def __init__(self, whole: Conversations) -> None:
        self._whole = whole

    async def before(self, task: Task) -> Sequence[Message]:
        return (await self._whole.before(task))[:-2]


# Models.


class TriesInSilence(ResilientModel):
    """Says nothing of attempts that failed."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        async with aclosing(super().complete(messages, tools)) as said:
            async for one in said:
                if not isinstance(one, ModelTrouble):
                    yield one


class TriesForEver(ResilientModel):
    """Tries again what would fail again."""

    async def _attempt(
        self, leave: Leave, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        try:
            async with aclosing(super()._attempt(leave, messages, tools)) as said:
                async for one in said:
                    yield one
        except ModelFailure as failure:
            failure.again = True
            raise


class ForgetsTheSpent(ResilientModel):
    """Does not count what attempts took that failed."""

    async def _attempt(
        self, leave: Leave, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        try:
            async with aclosing(super()._attempt(leave, messages, tools)) as said:
                async for one in said:
                    yield one
        except ModelFailure as failure:
            failure.spent = None
            raise


class NeverOpens(Breaker):
    """Lets everybody ask a model that does not work."""

    def failed(self, leave: Leave) -> None:
        self._end_probe()


class ProbeNeverReturns(Breaker):
    """Waits for ever for a probe that somebody gave up."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        super().__init__(now=now, patience=inf)

    def gave_up(self, leave: Leave) -> None:
        pass


class ManyProbes(Breaker):
    """Lets all ask at once when the pause is over."""

    async def admit(self) -> Leave | float:
        left = 0.0 if self._open_until is None else max(0.0, self._open_until - self._now())
        return left or Leave(self._openings)
