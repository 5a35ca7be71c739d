"""How far a task's agent has come: rebuilt from the recorded events, so that an interrupted task goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from alex_actors.events import (
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    ContextCompressed,
    ErrorRaised,
    IterationComplete,
    IterationStart,
    TaskAnalysis,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    ToolCallStart,
    Usage,
)
from alex_actors.ports import Decision, ToolCall
from alex_actors.projection import MOST_COUNTED, Progress, advance
from alex_actors.values import Timestamp

_ANY_TIME = Timestamp("")
"""Counters do not depend on when something was."""


@dataclass(slots=True)
class CallState:
    """A tool call of a turn."""

    call: ToolCall
    """With the arguments that it is run with: what a person put in place of the model's counts."""
    from_record: bool = False
    """The arguments are those on record: what was redacted in them is lost."""
    asked: bool = False
    """That it waits for a person's word is on record, or about to be."""
    decision: Decision | None = None
    begun: bool = False
    """Its start is recorded: it may have run, wholly or in part."""
    outcome: ToolCallComplete | None = None

    @property
    def undecided(self) -> bool:
        """Return whether nothing came of it yet, and nobody decided on it."""
        return not self.begun and self.outcome is None and self.decision is None

    def decide(self, decision: Decision) -> None:
        """Note a person's word. It may have other arguments."""
        self.decision = decision
        if decision.arguments is not None:
            self.call = ToolCall(self.call.call_id, self.call.tool_name, decision.arguments)
            self.from_record = True  # a person was only shown what is recorded, and sends that back


@dataclass(slots=True)
class Turn:
    """An iteration, and how much of it is done. All false and empty: nothing yet."""

    iteration: int
    begun: bool = False
    asked: bool = False
    """The model was, or was about to be, asked."""
    compressions: int = 0
    """How often the conversation was shortened before the model was asked, by what is recorded."""
    thought: ThinkComplete | None = None
    counted: bool = False
    """What it used is counted already: the model said it."""
    calls: list[CallState] = field(default_factory=list)
    completed: bool = False

    @property
    def must_think(self) -> bool:
        """Return whether the model has to be asked, again if the calls that it wanted were not recorded."""
        return self.thought is None or (self.thought.tool_call_count > 0 and not self.calls)

    @property
    def lost_calls(self) -> int:
        """Return how many calls the model wanted that were neither run nor recorded before an interruption."""
        return 0 if self.thought is None else max(0, self.thought.tool_call_count - len(self.calls))

    @property
    def answer(self) -> str | None:
        """Return the final answer, if this turn gave one."""
        if self.thought is None or self.thought.tool_call_count > 0:
            return None
        return self.thought.content


class TurnLog:
    """A task's turns: first those on record, as they were left, then new ones.

    Several agents may take turns from one log, one agent after the other: counters go on. They are those of the
    task's record, since the same function makes them of the same events.
    """

    def __init__(self, history: Iterable[AnyEvent]) -> None:
        self.analysed = False
        """The task's analysis is recorded."""
        self.iteration = 0
        """Of the turn that was handed out last."""
        self._progress = Progress()
        self._recorded: deque[Turn] = deque()
        for event in history:
            self._replay(event)

    @property
    def tokens(self) -> int:
        """Return how many tokens the task has used: those that models counted, and those of completed turns."""
        return self._progress.tokens_used

    @property
    def cost_usd(self) -> float:
        """Return what the task has cost so far, in US dollars, as far as prices are known."""
        return self._progress.cost_usd

    def next_turn(self, limit: int) -> Turn | None:
        """Return the next turn; None if the task has had as many as ``limit`` allows."""
        if self._recorded:
            turn = self._recorded.popleft()
        elif self.iteration < limit:
            turn = Turn(self.iteration + 1)
        else:
            return None
        self.iteration = turn.iteration
        return turn

    def note_thought(self, turn: Turn, thought: ThinkComplete) -> bool:
        """Keep what the model said in a turn, and count it. Return whether it has to be recorded.

        Asked again after an interruption, a model may say the very thing that is on record; but what it took
        this time comes on top. How long it took is no part of what it said.
        """
        before = turn.thought and msgspec.structs.replace(turn.thought, duration=thought.duration)
        new = thought != before or thought.usage is not None
        turn.thought = thought
        turn.counted = turn.counted or thought.usage is not None
        if new:
            self._count(thought)
        return new

    def note_spent(self, error: ErrorRaised) -> ErrorRaised:
        """Count what a model used up that has no reply, and return the event that says so."""
        self._count(error)
        return error

    def complete(self, turn: Turn, *, tokens: int) -> IterationComplete:
        """Complete a turn, and return the event that says so. ``tokens`` count if nobody counted what it used."""
        turn.completed = True
        used = self.tokens if turn.counted else min(self.tokens + tokens, MOST_COUNTED)
        event = IterationComplete(
            iteration=turn.iteration, tokens_used=used, tools_run=len(turn.calls), cost_usd=self.cost_usd or None
        )
        self._count(event)
        return event

    def _count(self, event: AnyEvent) -> None:
        self._progress = advance(self._progress, _ANY_TIME, event)

    def _replay(self, event: AnyEvent) -> None:
        match event:
            case TaskAnalysis():
                self.analysed = True
            case IterationStart(iteration=iteration):
                self._recorded.append(Turn(iteration, begun=True))
            case IterationComplete():
                self._recorded[-1].completed = True
                self._count(event)
            case ErrorRaised():
                self._count(event)
            case ContextCompressed():
                self._recorded[-1].compressions += 1
            case Thinking():
                self._recorded[-1].asked = True
            case ThinkComplete(usage=usage):
                turn = self._recorded[-1]
                turn.thought = event
                turn.counted = turn.counted or isinstance(usage, Usage)
                self._count(event)
            case ApprovalRequested() | ApprovalResolved() | ToolCallStart() | ToolCallComplete():
                _replay_call(self._recorded[-1].calls, event)
            case _:
                pass  # the rest says nothing of where to go on


def _replay_call(
    calls: list[CallState],
    event: ApprovalRequested | ApprovalResolved | ToolCallStart | ToolCallComplete,
) -> None:
    state = next((one for one in calls if one.call.call_id == event.call_id), None)
    match event:
        case ApprovalRequested() | ToolCallStart():
            call = ToolCall(event.call_id, event.tool_name, event.arguments)
            if state is None:
                state = CallState(call)
                calls.append(state)
                # In the order in which the model wanted them: those that need nobody's word come first on record.
                calls.sort(key=lambda one: (len(one.call.call_id), one.call.call_id))
            state.call, state.from_record = call, True
            state.asked = state.asked or isinstance(event, ApprovalRequested)
            state.begun = state.begun or isinstance(event, ToolCallStart)
        case ApprovalResolved() if state is not None:
            state.decide(Decision(approved=event.approved, reason=event.reason, arguments=event.arguments))
        case ToolCallComplete() if state is not None:
            state.outcome = event
        case _:
            pass  # of a call that is not on record
