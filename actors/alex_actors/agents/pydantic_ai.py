"""An agent of pydantic-ai as an agent of this runtime: needs the extra ``pydantic-ai``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pydantic_core
from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai import messages as theirs

from alex_actors.agents.reported import ReportedTurn, ReportedTurns, ReportingAgent, Reports
from alex_actors.events import AgentEvent, Usage
from alex_actors.ports import AgentError, Answer, Checkpoint, Message

if TYPE_CHECKING:
    from alex_actors.tasks import Task

Wrapped: TypeAlias = Agent[Any, Any]  # what an agent depends on and puts out is its author's business


class PydanticAgent(ReportingAgent):
    """Runs an agent of pydantic-ai: each request to its model is an iteration.

    ``deps`` makes what the agent depends on, of the task. An output that is no text is answered as JSON. It does
    not go on after an interruption: the library records nothing of a run that is not over.
    """

    resumes = False

    def __init__(self, agent: Wrapped, *, deps: Callable[[Task], object] = lambda _task: None) -> None:
        self._agent, self._deps = agent, deps

    async def report(self, task: Task, turns: ReportedTurns, earlier: Sequence[Message]) -> Reports:
        """Run the agent. Raises what it raises; AgentError if it ends for a person's word, which nobody gives."""
        before = [_as_theirs(message) for message in earlier]
        async with self._agent.iter(task.task, deps=self._deps(task), message_history=before) as run:
            node = run.next_node
            while not Agent.is_end_node(node):
                if Agent.is_model_request_node(node):
                    turn, begins = turns.begin(asking=True)
                    yield begins
                    yield Checkpoint()
                    async with node.stream(run.ctx) as pieces:
                        async for piece in pieces:
                            for event in turns.says(turn, _text_of(piece)):
                                yield event
                elif Agent.is_call_tools_node(node):
                    for event in _said(turns, turn, node.model_response):
                        yield event
                    yield Checkpoint()
                    async with node.stream(run.ctx) as news:
                        async for one in news:
                            if isinstance(one, theirs.ToolResultEvent):
                                text, failed = one.part.model_response_str(), one.part.outcome != "success"
                                for event in turns.came_of(one.tool_call_id, text, failed=failed):
                                    yield event
                node = await run.next(node)
        yield Answer(_answer(node.data.output))


def _as_theirs(message: Message) -> theirs.ModelMessage:
    if message.role == "user":
        return theirs.ModelRequest.user_text_prompt(message.content)
    return theirs.ModelResponse(parts=[theirs.TextPart(message.content)])


def _text_of(piece: object) -> str:
    match piece:
        case (
            theirs.PartStartEvent(part=theirs.TextPart(content=text))
            | theirs.PartDeltaEvent(delta=theirs.TextPartDelta(content_delta=text))
        ):
            return text
    return ""


def _said(turns: ReportedTurns, turn: ReportedTurn, response: theirs.ModelResponse) -> Iterator[AgentEvent]:
    calls = [(call.tool_call_id, call.tool_name, call.args_as_dict()) for call in response.tool_calls]
    used, cost = response.usage, response.usage.cost
    paid = None if cost is None else float(cost)
    usage = Usage(input_tokens=used.input_tokens, output_tokens=used.output_tokens, cost_usd=paid)
    yield from turns.said(turn, response.text or "", calls, None if used.unmeasured_requests else usage)


def _answer(output: object) -> str:
    if isinstance(output, DeferredToolRequests):
        raise AgentError("The agent asks for a person's word or for calls to be made elsewhere: nobody answers.")
    return str(output) if isinstance(output, str) else pydantic_core.to_json(output).decode()
