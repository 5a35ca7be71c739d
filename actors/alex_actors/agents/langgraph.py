"""A LangGraph graph as an agent: needs the extra ``langgraph``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langgraph.pregel import Pregel

from alex_actors.agents.reported import Call, ReportedTurn, ReportedTurns, ReportingAgent
from alex_actors.events import AgentEvent, Usage
from alex_actors.ports import AgentError, AgentYield, Answer, Checkpoint, Message

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from alex_actors.tasks import Task

Graph: TypeAlias = Pregel[Any, Any, Any, Any]  # a graph's state and context are its author's business
State: TypeAlias = dict[str, Any]  # as above


class LangGraphAgent(ReportingAgent):
    """Runs a compiled graph: each call of a chat model in it is an iteration, a ``ToolMessage`` ends a tool call.

    ``start`` makes the graph's first state of a task and of what was said before in its session, ``answer`` the
    task's answer of the last state: without them, all that was said is in ``messages``, the answer last. With
    ``resumes`` an interrupted task goes on from the last checkpoint of the graph's thread, whose ID is the task's:
    for a graph whose checkpointer is on disk. Nodes that were at work then run again from their beginning.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        start: Callable[[Task, Sequence[Message]], State] | None = None,
        answer: Callable[[State], str] = lambda state: str(state["messages"][-1].text),
        resumes: bool = False,
    ) -> None:
        self.resumes = resumes
        self._graph, self._start, self._answer = graph, start or _all_said, answer

    async def report(
        self, task: Task, turns: ReportedTurns, earlier: Sequence[Message]
    ) -> AsyncGenerator[AgentYield, None]:
        """Run the graph. Raises what it raises; AgentError if it stops for an interrupt, which nobody answers."""
        config: RunnableConfig = {"configurable": {"thread_id": task.task_id}}
        state: State = (await self._graph.aget_state(config)).values if turns.go_on else {}
        heard = _Heard(turns)
        for event in turns.resumed(_calls((state.get("messages") or [None])[-1])):
            yield event
        begin, durable = (
            None if state else self._start(task, earlier),
            "sync" if self._graph.checkpointer else None,
        )
        stream = self._graph.astream(begin, config, stream_mode=["messages", "values"], durability=durable)
        async with aclosing(cast("AsyncGenerator[Any, None]", stream)) as news:  # it is one, of pairs
            async for mode, one in news:
                for event in heard.message(one[0]) if mode == "messages" else heard.rest():
                    yield event
                if turns.exceeded:
                    yield turns.out_of_iterations()
                    return
                if mode == "values":  # a step is over, and the next has not begun
                    state = one
                    yield Checkpoint()
        if "__interrupt__" in state:
            raise AgentError("The graph waits for a person (interrupt), and this adapter asks nobody.")
        yield Answer(self._answer(state))


class _Heard:
    """What chat models are saying, by message: several may speak at once."""

    def __init__(self, turns: ReportedTurns) -> None:
        self._turns = turns
        self._saying: dict[str | None, tuple[ReportedTurn, AIMessage]] = {}

    def message(self, new: object) -> Iterator[AgentEvent]:
        """Yield what a message, or a piece of one, adds."""
        if isinstance(new, ToolMessage):
            yield from self._turns.came_of(new.tool_call_id, str(new.text), failed=new.status == "error")
        if not isinstance(new, AIMessage):
            return
        turn, whole = self._saying.get(new.id, (None, None))
        if turn is None:
            turn, events = self._turns.begin()
            yield from events
        self._saying[new.id] = turn, cast("AIMessage", new if whole is None else whole + new)  # of two chunks
        yield from self._turns.says(turn, str(new.text))
        if not isinstance(new, AIMessageChunk) or new.chunk_position == "last":
            yield from self.rest(new.id)

    def rest(self, *names: str | None) -> Iterator[AgentEvent]:
        """Yield the ends of these messages: without names of all whose last piece did not say that it is."""
        for turn, message in [self._saying.pop(name) for name in names or tuple(self._saying)]:
            used = message.usage_metadata
            usage = used and Usage(input_tokens=used["input_tokens"], output_tokens=used["output_tokens"])
            yield from self._turns.said(turn, str(message.text), _calls(message), usage or None)


def _all_said(task: Task, earlier: Sequence[Message]) -> State:
    return {"messages": [*((one.role, one.content) for one in earlier), ("user", task.task)]}


def _calls(message: object) -> list[Call]:
    return [(call["id"] or "", call["name"], call["args"]) for call in getattr(message, "tool_calls", ())]
