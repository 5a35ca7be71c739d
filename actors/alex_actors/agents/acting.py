"""The acting of the ReAct agent: asks people for their word, runs the tools that the model calls, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec

from alex_actors.agents.side_by_side import side_by_side
from alex_actors.agents.telling import recordable, told
from alex_actors.agents.turn_log import CallState, Turn
from alex_actors.events import ApprovalRequested, ErrorRaised, ToolCallComplete, ToolCallStart
from alex_actors.ports import (
    AgentYield,
    AwaitApprovals,
    Checkpoint,
    Clock,
    Decision,
    ToolCall,
    ToolContext,
    ToolError,
)
from alex_actors.redact import REDACTED, Redactor
from alex_actors.tasks import Task
from alex_actors.text import one_line, text_of
from alex_actors.tools.toolbox import Toolbox
from alex_actors.values import timestamp

MAX_ARGUMENTS = 1_000_000
"""Bytes of JSON that a tool call's arguments may be, so that the event that records them is not too large."""

MOST_AT_ONCE = 16
"""Calls of a turn that run side by side; the next waits. As many as there are threads for tools: a turn of
thousands of calls, which a model may ask for, starves neither them nor what the tools talk to."""

_UNKNOWN_OUTCOME = (
    "The task was interrupted while this tool ran. Whether it had its effect is not known, and it was not run "
    "again. Look at what is there before you go on."
)
_ARGUMENTS_LOST = (
    "This call was not run: secrets are taken out of what is recorded of its arguments, and that is all that is "
    "left of them. Make the call again if it is still needed."
)
_DENIED = "This call was not run: it needs a person's approval, and was denied."
_UNDECIDED = Decision(approved=False, reason="Nobody decided.")


class Hands:
    """Runs the tool calls of a turn.

    They go group by group, in the order of the model's wish: calls next to each other run side by side, one whose
    tool is ``alone`` is a group by itself. Of a group, those that need no person's word run first. Then the others
    are asked for, all at once, and run as far as they may. So what comes before a question is done, and on record,
    while somebody thinks about it, and an interruption changes nothing of the order.
    """

    def __init__(
        self,
        *,
        toolbox: Toolbox,
        workspace: Callable[[Task], Path],
        clock: Clock,
        redactor: Redactor,
        approval_timeout: float | None,
    ) -> None:
        """``approval_timeout`` seconds after it was asked for, an approval counts as denied; None: never."""
        self._toolbox = toolbox
        self._workspace = workspace
        self._clock = clock
        self._redactor = redactor
        self._approval_timeout = approval_timeout

    async def act(self, turn: Turn, task: Task) -> AsyncGenerator[AgentYield, None]:
        """Do what is left to do of a turn's calls, and keep their outcomes in ``turn``."""
        for group in self._groups(turn.calls):
            guarded = [state for state in group if self._needs_word(state, task)]
            free = [state for state in group if state not in guarded]
            async with aclosing(self._act_on(free, turn, task)) as events:
                async for event in events:
                    yield event
            waiting = [state for state in guarded if state.undecided]
            if waiting:
                asked = AwaitApprovals(tuple(self._request(turn, state.call) for state in waiting))
                yield asked
                for state in waiting:
                    state.decide(asked.decisions.get(state.call.call_id, _UNDECIDED))
            async with aclosing(self._act_on(guarded, turn, task)) as events:
                async for event in events:
                    yield event

    async def _act_on(
        self, states: Sequence[CallState], turn: Turn, task: Task
    ) -> AsyncGenerator[AgentYield, None]:
        """Do what is left to do of calls that wait for nobody, side by side."""
        running = []
        for state in states:
            for event in self._begin(turn, state, task):
                yield event
            if state.outcome is None:
                running.append(state)
        if not all(self._repeatable(state.call, task) for state in running):
            yield Checkpoint()
        async with aclosing(self._run(running, turn, task)) as events:
            async for outcome in events:
                yield outcome

    def _needs_word(self, state: CallState, task: Task) -> bool:
        """Whether a call is one for a person to decide on, or was."""
        if state.asked or state.decision is not None:
            return True
        if _size(state.call) > MAX_ARGUMENTS:  # it is not run, and could not be recorded
            return False
        return self._toolbox.needs_approval(state.call.tool_name, task.tool_preset)

    def _request(self, turn: Turn, call: ToolCall) -> ApprovalRequested:
        expires_at = None
        if self._approval_timeout is not None:
            expires_at = timestamp(self._clock.now() + timedelta(seconds=self._approval_timeout))
        return ApprovalRequested(
            iteration=turn.iteration,
            call_id=call.call_id,
            tool_name=call.tool_name,
            arguments=self._redactor.redact(call.arguments),
            expires_at=expires_at,
        )

    def _groups(self, calls: Sequence[CallState]) -> Iterator[list[CallState]]:
        """Yield the calls that may run side by side, group by group."""
        group: list[CallState] = []
        for state in calls:
            if self._toolbox.alone(state.call.tool_name):
                yield group
                yield [state]
                group = []
            else:
                group.append(state)
        yield group

    def _begin(self, turn: Turn, state: CallState, task: Task) -> Iterator[AgentYield]:
        """Yield the start of a call, or else its outcome, if it is not to be run."""
        call, size = state.call, _size(state.call)
        if state.outcome is not None:
            return
        refusal = self._refusal(state, task)
        if refusal is None and not state.begun:
            yield ToolCallStart(
                iteration=turn.iteration,
                call_id=call.call_id,
                tool_name=call.tool_name,
                arguments=self._redactor.redact(call.arguments) if size <= MAX_ARGUMENTS else {},
            )
        if refusal is None and size > MAX_ARGUMENTS:
            # The call could not be recorded whole, and a resumed task would repeat another.
            refusal = f"The arguments are {size} bytes of JSON; {MAX_ARGUMENTS} may be."
        if refusal is not None:
            state.outcome = _outcome(call, error=refusal)
            yield state.outcome

    def _refusal(self, state: CallState, task: Task) -> str | None:
        """Return why a call is not run, for the model; None if it is."""
        decision = state.decision
        if decision is not None and not decision.approved:
            reason = one_line(decision.reason or "", redactor=self._redactor)
            return f"{_DENIED} The reason: {reason}" if reason else _DENIED
        whole = not state.from_record or REDACTED.encode() not in msgspec.json.encode(state.call.arguments)
        if state.begun:
            return None if whole and self._repeatable(state.call, task) else _UNKNOWN_OUTCOME
        return None if whole else _ARGUMENTS_LOST

    def _repeatable(self, call: ToolCall, task: Task) -> bool:
        return self._toolbox.repeatable(call.tool_name, task.tool_preset)

    async def _run(self, running: Sequence[CallState], turn: Turn, task: Task) -> AsyncGenerator[AgentYield, None]:
        """Run tools side by side, and yield their outcomes as they come."""
        work = [partial(self._run_tool, state, task) for state in running]
        async with aclosing(side_by_side(work, most=MOST_AT_ONCE)) as ended:
            async for state, outcome, unexpected in ended:
                state.outcome = outcome
                yield outcome
                if unexpected is not None:
                    yield ErrorRaised(
                        iteration=turn.iteration, phase="execute", error=unexpected, recoverable=True
                    )

    async def _run_tool(self, state: CallState, task: Task) -> tuple[CallState, ToolCallComplete, str | None]:
        """Return what came of a tool, and the error if it was one that no tool should raise."""
        call = state.call
        began = self._clock.monotonic()
        result = error = unexpected = None
        try:
            context = ToolContext(task.task_id, self._workspace(task), call.call_id, task)
            said = await self._toolbox.call(call.tool_name, call.arguments, context, task.tool_preset)
            result = recordable(said, self._redactor)
        except ToolError as refusal:
            error = recordable(text_of(refusal), self._redactor)
        except asyncio.CancelledError as failure:
            running = asyncio.current_task()
            if running is None or running.cancelling():
                raise
            # Nobody cancelled the call: the tool awaited something that was cancelled, and that is its own error.
            error = unexpected = told(failure, self._redactor)
        except Exception as failure:  # noqa: BLE001 - a broken tool ends its call, not the task
            error = unexpected = told(failure, self._redactor)
        duration = (self._clock.monotonic() - began) * 1000
        return state, _outcome(call, result=result, error=error, duration=duration), unexpected


def _outcome(
    call: ToolCall, *, result: str | None = None, error: str | None = None, duration: float = 0.0
) -> ToolCallComplete:
    return ToolCallComplete(
        call_id=call.call_id, tool_name=call.tool_name, result=result, error=error, duration=duration
    )


def _size(call: ToolCall) -> int:
    return len(msgspec.json.encode(call.arguments))
