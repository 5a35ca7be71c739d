"""What belongs to one task at work: its task, its conversation, its turns."""

from __future__ import annotations

from dataclasses import dataclass, field

from alex_actors.agents.deltas import Pace
from alex_actors.agents.shortening import Conversation
from alex_actors.agents.turn_log import TurnLog
from alex_actors.ports import AgentError
from alex_actors.tasks import Task
from alex_actors.values import Value


@dataclass(slots=True, kw_only=True)
class Work:
    """A task at work."""

    task: Task
    conversation: Conversation
    turns: TurnLog
    pace: Pace = field(default_factory=Pace)


class Budget(Value, frozen=True, kw_only=True):
    """What a task may use. The model is not asked again by one that has used as much; 0: no limit."""

    max_tokens: int = 0
    max_cost_usd: float = 0.0

    def check(self, turns: TurnLog) -> None:
        """Raise AgentError for a task that has used up what it may."""
        if 0 < self.max_tokens <= turns.tokens:
            raise AgentError(
                f"The task has used {turns.tokens} tokens, and may use {self.max_tokens} (agents.max_tokens)."
            )
        if 0 < self.max_cost_usd <= turns.cost_usd:
            raise AgentError(
                f"The task has cost {turns.cost_usd:.6g} US dollars, and may cost {self.max_cost_usd:.6g} "
                "(agents.max_cost_usd)."
            )
