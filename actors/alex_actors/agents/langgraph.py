"""A LangGraph graph as an agent: needs the extra ``langgraph``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Literal, TypeAlias, cast

from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

from alex_actors.agents.reported import Call, ReportedTurn, ReportedTurns, ReportingAgent, Reports
from alex_actors.events import Usage
from alex_actors.ports import AgentError, AgentYield, Answer, Checkpoint, Message
from alex_actors.tasks import Task

State: TypeAlias = dict[str, Any]  # a graph's state is its author's business


class LangGraphAgent(ReportingAgent):
    """Runs a compiled graph: each call of a chat model in it is an iteration, a ``ToolMessage`` ends a tool call.

    ``start`` makes the first state of a task and of what was said before in its session, ``answer`` the answer of
    the last: else both are in ``messages``. With ``resumes``, an interrupted task takes its last step again.
    """

    def __init__(
        self,
        graph: Pregel[Any, Any, Any, Any],  # as above
        *,
        start: Callable[[Task, Sequence[Message]], State] = lambda task, earlier: _all_said(task, earlier),
        answer: Callable[[State], str] = lambda state: state["messages"][-1].text,
        resumes: bool = False,
    ) -> None:
        if resumes and not graph.checkpointer:
            raise ValueError("A graph can resume only with a checkpointer.")
        self.resumes, self._graph, self._start, self._answer = resumes, graph, start, answer

    async def report(self, task: Task, turns: ReportedTurns, earlier: Sequence[Message]) -> Reports:
        """Run the graph. Raises what it raises; AgentError if it stops for an interrupt, which nobody answers."""
        config: RunnableConfig = {"configurable": {"thread_id": task.task_id}}
        state: State = {}
        if turns.go_on:  # from the checkpoint itself: what nodes wrote after it that were cut off may not be whole
            config = (await self._graph.aget_state(config)).config
            state = (await self._graph.aget_state(config)).values
        heard = _Heard(turns)
        for event in turns.resumed(_calls((state.get("messages") or [None])[-1])):
            yield event
        begin = None if state else self._start(task, earlier)
        durable: Literal["sync"] | None = "sync" if self._graph.checkpointer else None  # it warns of one too many
        stream = self._graph.astream(begin, config, stream_mode=["messages", "values"], durability=durable)
        async with aclosing(cast("AsyncGenerator[Any, None]", stream)) as news:  # it is one, of pairs
            async for mode, one in news:
                for event in heard.message(one[0]) if mode == "messages" else heard.rest():
                    yield event
                if mode == "values":  # a step is over, and the next has not begun
                    state = one
                    yield Checkpoint()
        if "__interrupt__" in state:
            raise AgentError("The graph waits for a person (interrupt), and this adapter asks nobody.")
        yield Answer(str(self._answer(state)))  # the text of their messages is of a class of its own


class _Heard:
    """What chat models are saying, by message: several may speak at once."""

    def __init__(self, turns: ReportedTurns) -> None:
        self._turns, self._saying = turns, dict[str | None, tuple[ReportedTurn, AIMessage]]()

    def message(self, new: object) -> Iterator[AgentYield]:
        """Yield what a message, or a piece of one, adds."""
        if isinstance(new, ToolMessage):
            yield from self._turns.came_of(new.tool_call_id, str(new.text), failed=new.status == "error")
        if not isinstance(new, AIMessage):
            return
        turn, whole = self._saying.get(new.id, (None, None))
        if turn is None:
            turn, begins = self._turns.begin()
            yield begins
        self._saying[new.id] = turn, cast("AIMessage", new if whole is None else whole + new)  # of two chunks
        yield from self._turns.says(turn, str(new.text))
        if not isinstance(new, AIMessageChunk) or new.chunk_position == "last":
            yield from self.rest(new.id)

    def rest(self, *names: str | None) -> Iterator[AgentYield]:
        """Yield the ends of these messages; without names, of all whose last piece did not say that it is."""
        for turn, message in [self._saying.pop(name) for name in names or tuple(self._saying)]:
            used = message.usage_metadata
            usage = used and Usage(input_tokens=used["input_tokens"], output_tokens=used["output_tokens"])
            yield from self._turns.said(turn, str(message.text), _calls(message), usage or None)


def _all_said(task: Task, earlier: Sequence[Message]) -> State:
    return {"messages": [*((one.role, one.content) for one in earlier), ("user", task.task)]}


def _calls(message: object) -> list[Call]:
    return [(call["id"] or "", call["name"], call["args"]) for call in getattr(message, "tool_calls", ())]
