"""How far a task's agent has come: rebuilt from the recorded events, so that an interrupted task goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from alex_actors.events import (
    AnyEvent,
    IterationComplete,
    IterationStart,
    TaskAnalysis,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    ToolCallStart,
)
from alex_actors.ports import ToolCall


@dataclass(slots=True)
class CallState:
    """A tool call of a turn."""

    call: ToolCall
    begun: bool = False
    """Its start is recorded: it may have run, wholly or in part."""
    outcome: ToolCallComplete | None = None


@dataclass(slots=True)
class Turn:
    """An iteration, and how much of it is done. All false and empty: nothing yet."""

    iteration: int
    begun: bool = False
    asked: bool = False
    """The model was, or was about to be, asked."""
    thought: ThinkComplete | None = None
    calls: list[CallState] = field(default_factory=list)
    tokens: int | None = None
    """What the model says that it used; None if it was not asked in this run."""
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

    Several agents may take turns from one log, one agent after the other: counters go on.
    """

    def __init__(self, history: Iterable[AnyEvent]) -> None:
        self.analysed = False
        """The task's analysis is recorded."""
        self.iteration = 0
        """Of the turn that was handed out last."""
        self.tokens = 0
        """Used by all turns that are completed."""
        self._recorded: deque[Turn] = deque()
        for event in history:
            self._replay(event)

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

    def complete(self, turn: Turn, *, tokens: int) -> IterationComplete:
        """Complete a turn that used this many tokens, and return the event that says so."""
        turn.completed = True
        self.tokens += tokens
        return IterationComplete(iteration=turn.iteration, tokens_used=self.tokens, tools_run=len(turn.calls))

    def _replay(self, event: AnyEvent) -> None:
        match event:
            case TaskAnalysis():
                self.analysed = True
            case IterationStart(iteration=iteration):
                self._recorded.append(Turn(iteration, begun=True))
            case IterationComplete(tokens_used=tokens):
                self._recorded[-1].completed = True
                self.tokens = tokens
            case Thinking():
                self._recorded[-1].asked = True
            case ThinkComplete():
                self._recorded[-1].thought = event
            case ToolCallStart():
                call = ToolCall(event.call_id, event.tool_name, event.arguments)
                self._recorded[-1].calls.append(CallState(call, begun=True))
            case ToolCallComplete():
                self._replay_outcome(event)
            case _:
                pass  # the rest says nothing of where to go on

    def _replay_outcome(self, event: ToolCallComplete) -> None:
        for state in self._recorded[-1].calls:
            if state.call.call_id == event.call_id:
                state.outcome = event
