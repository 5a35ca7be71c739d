"""The ReAct agent: think, act, observe, until the model gives a final answer.

The loop of Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models" (ICLR 2023), over a model and
a toolbox, with every step an event and every event enough to go on from.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec

from alex_actors.agents.turn_log import CallState, Turn, TurnLog
from alex_actors.events import (
    AnyEvent,
    ErrorRaised,
    IterationStart,
    TaskAnalysis,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    ToolCallStart,
)
from alex_actors.models.conversation import estimated_tokens, tool_message, whole_reply
from alex_actors.ports import (
    AgentError,
    AgentYield,
    Answer,
    Checkpoint,
    Clock,
    Message,
    Model,
    ToolCall,
    ToolContext,
    ToolError,
)
from alex_actors.redact import NO_SECRETS, REDACTED, Redactor
from alex_actors.tasks import Task
from alex_actors.text import failure_line, one_line, shortened, text_of
from alex_actors.tools.toolbox import Toolbox

_UNKNOWN_OUTCOME = (
    "The task was interrupted while this tool ran. Whether it had its effect is not known, and it was not run "
    "again. Look at what is there before you go on."
)
_CALLS_LOST = (
    "The task was interrupted before all of these tool calls had begun: {} of them were not run, and what they "
    "were is not on record. Ask for them again if they are still needed."
)
MAX_ARGUMENTS = 1_000_000
"""Bytes of JSON that a tool call's arguments may be, so that the event that records them is not too large."""

_LONGEST_EXCERPT = 1000
"""Characters of what a task had when it used up its iterations."""


class ReActAgent:
    """Works on tasks with a model and tools.

    ``persona`` gives the system prompt of an agent preset, ``workspace`` the directory of a task's session, which
    need not exist yet. ``redactor`` takes secrets out of what is recorded of tools, and out of what the model is
    told of their results: it is told what is recorded, so that a resumed task goes on from the same conversation.
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
    ) -> None:
        self._model = model
        self._toolbox = toolbox
        self._persona = persona
        self._workspace = workspace
        self._clock = clock
        self._redactor = redactor

    def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
        """Work on a task from where its recorded events leave off. Raises AgentError if the model cannot."""
        return self.pursue(task, task.task, TurnLog(history))

    async def pursue(self, task: Task, goal: str, turns: TurnLog) -> AsyncGenerator[AgentYield, None]:
        """Work on a part of a task until there is an answer to it, with turns from ``turns``."""
        if not turns.analysed:
            turns.analysed = True
            yield _analysis(task)
        conversation = [
            Message(role="system", content=self._persona(task.agent_preset)),
            Message(role="user", content=goal),
        ]
        while (turn := turns.next_turn(task.max_iterations)) is not None:
            async with aclosing(self._take(turn, task, conversation, turns)) as events:
                async for event in events:
                    yield event
            if turn.answer is not None:
                yield Answer(turn.answer)
                return
        yield Answer(_out_of_iterations(task, conversation), stop_reason="max_iterations")

    async def _take(
        self, turn: Turn, task: Task, conversation: list[Message], turns: TurnLog
    ) -> AsyncGenerator[AgentYield, None]:
        """Do what is left to do of a turn, and add it to the conversation."""
        if not turn.begun:
            yield IterationStart(iteration=turn.iteration, total_iters=task.max_iterations)
        if turn.must_think:
            async with aclosing(self._think(turn, task, conversation)) as events:
                async for event in events:
                    yield event
        calls = tuple(state.call for state in turn.calls)
        content = turn.thought.content if turn.thought is not None else ""
        conversation.append(Message(role="assistant", content=content, tool_calls=calls))
        for state in turn.calls:
            if state.outcome is None:
                async with aclosing(self._act(turn, state, task)) as events:
                    async for event in events:
                        yield event
            if state.outcome is not None:
                conversation.append(tool_message(state.outcome))
        if turn.lost_calls:
            conversation.append(Message(role="user", content=_CALLS_LOST.format(turn.lost_calls)))
        if not turn.completed:
            tokens = estimated_tokens(content, calls) if turn.tokens is None else turn.tokens
            yield turns.complete(turn, tokens=tokens)

    async def _think(
        self, turn: Turn, task: Task, conversation: Sequence[Message]
    ) -> AsyncGenerator[AgentYield, None]:
        """Ask the model, and keep its reply in ``turn``."""
        if not turn.asked:
            yield Thinking(iteration=turn.iteration, message_count=len(conversation))
        yield Checkpoint()
        try:
            reply = await whole_reply(self._model, conversation, self._toolbox.offered(task.tool_preset))
        except Exception as error:
            reason = self._told(error)
            yield ErrorRaised(iteration=turn.iteration, phase="think", error=reason, recoverable=False)
            raise AgentError(reason) from error
        thought = ThinkComplete(
            iteration=turn.iteration, content=reply.content, tool_call_count=len(reply.tool_calls)
        )
        # Asked again after an interruption, a model may say the very thing that is on record.
        if thought != turn.thought:
            yield thought
        turn.thought = thought
        # Names of our own: those of a model need not be unique over a task, nor fit into a URL.
        turn.calls = [
            CallState(ToolCall(f"call-{turn.iteration}-{number}", call.tool_name, call.arguments))
            for number, call in enumerate(reply.tool_calls, start=1)
        ]
        turn.tokens = None if reply.usage is None else reply.usage.tokens

    async def _act(self, turn: Turn, state: CallState, task: Task) -> AsyncGenerator[AgentYield, None]:
        """Run a tool, and keep its outcome in ``state``."""
        call = state.call
        repeatable = self._toolbox.repeatable(call.tool_name, task.tool_preset)
        if state.begun and not (repeatable and _is_whole(call)):
            state.outcome = _outcome(call, error=_UNKNOWN_OUTCOME)
            yield state.outcome
            return
        size = len(msgspec.json.encode(call.arguments))
        if not state.begun:
            yield ToolCallStart(
                iteration=turn.iteration,
                call_id=call.call_id,
                tool_name=call.tool_name,
                arguments=self._redactor.redact(call.arguments) if size <= MAX_ARGUMENTS else {},
            )
        if size > MAX_ARGUMENTS:  # the call could not be recorded whole, and a resumed task would repeat another
            state.outcome = _outcome(
                call, error=f"The arguments are {size} bytes of JSON; {MAX_ARGUMENTS} may be."
            )
            yield state.outcome
            return
        if not repeatable:
            yield Checkpoint()
        state.outcome, unexpected = await self._run_tool(call, task)
        yield state.outcome
        if unexpected is not None:
            yield ErrorRaised(iteration=turn.iteration, phase="execute", error=unexpected, recoverable=True)

    async def _run_tool(self, call: ToolCall, task: Task) -> tuple[ToolCallComplete, str | None]:
        """Return what came of a tool, and the error if it was one that no tool should raise."""
        began = self._clock.monotonic()
        result = error = unexpected = None
        try:
            result = self._recordable(
                await self._toolbox.call(
                    call.tool_name,
                    call.arguments,
                    ToolContext(task.task_id, self._workspace(task)),
                    task.tool_preset,
                )
            )
        except ToolError as refusal:
            error = self._recordable(text_of(refusal))
        except Exception as failure:  # noqa: BLE001 - a broken tool ends its call, not the task
            error = unexpected = self._told(failure)
        duration = (self._clock.monotonic() - began) * 1000
        return _outcome(call, result=result, error=error, duration=duration), unexpected

    def _recordable(self, text: str) -> str:
        """Return a text without secrets, and as JSON can have it: half of a surrogate pair is replaced."""
        return self._redactor.text(text.encode("utf-8", "replace").decode())

    def _told(self, error: Exception) -> str:
        """Return an error's text in one line; of one that was not written for people, with its type."""
        text = one_line(text_of(error), redactor=self._redactor) if isinstance(error, AgentError) else ""
        return text or failure_line(error, redactor=self._redactor)


def _outcome(
    call: ToolCall, *, result: str | None = None, error: str | None = None, duration: float = 0.0
) -> ToolCallComplete:
    return ToolCallComplete(
        call_id=call.call_id, tool_name=call.tool_name, result=result, error=error, duration=duration
    )


def _is_whole(call: ToolCall) -> bool:
    """Return whether a recorded call has all of its arguments: what was redacted is lost."""
    return REDACTED.encode() not in msgspec.json.encode(call.arguments)


def _analysis(task: Task) -> TaskAnalysis:
    first_line = task.task.strip().splitlines()[0] if task.task.strip() else ""
    return TaskAnalysis(
        action_name=shortened(" ".join(first_line.split()), 60), goal=shortened(task.task.strip(), 500)
    )


def _out_of_iterations(task: Task, conversation: Sequence[Message]) -> str:
    limit = task.max_iterations
    count = f"{limit} iteration{'' if limit == 1 else 's'}"
    text = f"Stopped after {count}, the limit of this task, without a final answer."
    said = next((m.content for m in reversed(conversation) if m.role == "assistant" and m.content), None)
    seen = next((m.content for m in reversed(conversation) if m.role == "tool" and m.content), None)
    if said is not None:
        text += f"\nThe model said last: {shortened(said, _LONGEST_EXCERPT)}"
    if seen is not None:
        text += f"\nThe last tool call came to: {shortened(seen, _LONGEST_EXCERPT)}"
    return text
