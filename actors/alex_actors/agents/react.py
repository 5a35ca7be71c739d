"""The ReAct agent: think, act, observe, until the model gives a final answer.

The loop of Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models" (ICLR 2023), over a model and
a toolbox, with every step an event and every event enough to go on from.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from alex_actors.agents.acting import Hands
from alex_actors.agents.memory import Conversations, NothingSaid
from alex_actors.agents.shortening import Conversation
from alex_actors.agents.telling import out_of_iterations
from alex_actors.agents.thinking import Thinker
from alex_actors.agents.turn_log import Turn, TurnLog
from alex_actors.agents.work import Budget, Work
from alex_actors.events import AnyEvent, IterationStart, TaskAnalysis
from alex_actors.models.conversation import estimated_tokens, tool_message
from alex_actors.ports import AgentYield, Answer, Clock, Message, Model
from alex_actors.redact import NO_SECRETS, Redactor
from alex_actors.tasks import Task
from alex_actors.text import shortened
from alex_actors.tools.toolbox import Toolbox

_CALLS_LOST = (
    "The task was interrupted before all of these tool calls had begun: {} of them were not run, and what they "
    "were is not on record. Ask for them again if they are still needed."
)
_NOTHING_SAID = NothingSaid()

_LONGEST_EXCERPT = 1000
"""Characters of what a task had when it used up its iterations."""


class ReActAgent:
    """Works on tasks with a model and tools.

    ``persona`` gives the system prompt of an agent preset, ``workspace`` the directory of a task's session, which
    need not exist yet, ``conversations`` what was said in a session before a task. ``redactor`` takes secrets out
    of what is recorded of the model's texts and of tools, and out of what the model is told of them afterwards: it
    is told what is recorded, so that a resumed task goes on from the same conversation. ``max_tokens`` and
    ``max_cost_usd`` are what a task may use (0: no limit), ``approval_timeout_seconds`` is how long a person has
    to decide on a call (None: for ever).
    """

    resumes = True

    def __init__(
        self,
        *,
        model: Model,
        toolbox: Toolbox,
        persona: Callable[[str], str],
        workspace: Callable[[Task], Path],
        clock: Clock,
        redactor: Redactor = NO_SECRETS,
        conversations: Conversations = _NOTHING_SAID,
        max_tokens: int = 0,
        max_cost_usd: float = 0.0,
        approval_timeout_seconds: float | None = None,
    ) -> None:
        self._persona = persona
        self._conversations = conversations
        budget = Budget(max_tokens=max_tokens, max_cost_usd=max_cost_usd)
        self._thinker = Thinker(model=model, toolbox=toolbox, clock=clock, redactor=redactor, budget=budget)
        self._hands = Hands(
            toolbox=toolbox,
            workspace=workspace,
            clock=clock,
            redactor=redactor,
            approval_timeout=approval_timeout_seconds,
        )

    def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
        """Work on a task from where its recorded events leave off. Raises AgentError if the model cannot."""
        return self.pursue(task, task.task, TurnLog(history))

    async def pursue(self, task: Task, goal: str, turns: TurnLog) -> AsyncGenerator[AgentYield, None]:
        """Work on a part of a task until there is an answer to it, with turns from ``turns``."""
        if not turns.analysed:
            turns.analysed = True
            yield _analysis(task)
        earlier = await self._conversations.before(task)
        conversation = Conversation(system=self._persona(task.agent_preset), earlier=earlier, goal=goal)
        work = Work(task=task, conversation=conversation, turns=turns)
        while (turn := turns.next_turn(task.max_iterations)) is not None:
            async with aclosing(self._take(turn, work)) as events:
                async for event in events:
                    yield event
            if turn.answer is not None:
                yield Answer(turn.answer)
                return
        yield Answer(_what_it_had(task, conversation.of_task), stop_reason="max_iterations")

    async def _take(self, turn: Turn, work: Work) -> AsyncGenerator[AgentYield, None]:
        """Do what is left to do of a turn, and add it to the conversation."""
        if not turn.begun:
            yield IterationStart(iteration=turn.iteration, total_iters=work.task.max_iterations)
        if turn.compressions:
            self._thinker.shorten_again(turn, work)
        if turn.must_think:
            async with aclosing(self._thinker.think(turn, work)) as events:
                async for event in events:
                    yield event
        async with aclosing(self._hands.act(turn, work.task)) as events:
            async for event in events:
                yield event
        work.conversation.add_turn(_told_of(turn))
        if not turn.completed:
            content = turn.thought.content if turn.thought is not None else ""
            tokens = estimated_tokens(content, [state.call for state in turn.calls])
            yield work.turns.complete(turn, tokens=tokens)


def _told_of(turn: Turn) -> list[Message]:
    """Return what the model is told of a turn: its own words and calls, and what came of them in their order."""
    content = turn.thought.content if turn.thought is not None else ""
    calls = tuple(state.call for state in turn.calls)
    messages = [Message(role="assistant", content=content, tool_calls=calls)]
    messages += [tool_message(state.outcome) for state in turn.calls if state.outcome is not None]
    if turn.lost_calls:
        messages.append(Message(role="user", content=_CALLS_LOST.format(turn.lost_calls)))
    return messages


def _analysis(task: Task) -> TaskAnalysis:
    first_line = task.task.strip().splitlines()[0] if task.task.strip() else ""
    return TaskAnalysis(
        action_name=shortened(" ".join(first_line.split()), 60), goal=shortened(task.task.strip(), 500)
    )


def _what_it_had(task: Task, conversation: Sequence[Message]) -> str:
    text = out_of_iterations(task.max_iterations)
    said = next((m.content for m in reversed(conversation) if m.role == "assistant" and m.content), None)
    seen = next((m.content for m in reversed(conversation) if m.role == "tool" and m.content), None)
    if said is not None:
        text += f"\nThe model said last: {shortened(said, _LONGEST_EXCERPT)}"
    if seen is not None:
        text += f"\nThe last tool call came to: {shortened(seen, _LONGEST_EXCERPT)}"
    return text
