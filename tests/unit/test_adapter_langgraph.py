"""Graphs of LangGraph as agents: the real package, with chat models that say what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt

from alex_actors.agents.langgraph import LangGraphAgent
from alex_actors.events import (
    AnyEvent,
    AssistantDelta,
    IterationComplete,
    ThinkComplete,
    ToolCallComplete,
    ToolCallStart,
    Usage,
)
from alex_actors.ports import AgentYield, Answer, Checkpoint, Failed, Message
from alex_actors.redact import Redactor
from tests.unit.actor_fakes import WAIT
from tests.unit.adapted import Said, a_part_of, a_parts, joined_deltas, run_to, steps
from tests.unit.agent_fakes import AgentStage
from tests.unit.fake_agents import Ran, make_task, names, run, run_async

Turn = AIMessage | Exception
USED = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


class SaysInPieces(BaseChatModel):
    """A chat model that says the next of its turns, a word at a time."""

    turns: list[Any]  # of AIMessage and Exception: pydantic would make messages of both
    heard: list[list[BaseMessage]]
    gate: Any = None  # an asyncio.Event that each word waits for; Any: pydantic knows no schema of it

    @property
    def _llm_type(self) -> str:
        return "says-in-pieces"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:  # Any: as its base has them
        raise NotImplementedError

    async def _astream(
        self,
        messages: list[BaseMessage],
        *_: Any,
        **__: Any,  # Any: as its base has them
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.heard.append(messages)
        turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        for word in str(turn.text).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
            if self.gate is not None:
                await self.gate.wait()
        chunks = [
            tool_call_chunk(
                name=call["name"], args=msgspec.json.encode(call["args"]).decode(), id=call["id"], index=n
            )
            for n, call in enumerate(turn.tool_calls)
        ]
        last = AIMessageChunk(content="", tool_call_chunks=chunks, usage_metadata=turn.usage_metadata)
        yield ChatGenerationChunk(message=last)


class SaysAtOnce(SaysInPieces):
    """The same without streaming."""

    _astream = BaseChatModel._astream

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:  # as above
        self.heard.append(messages)
        turn = self.turns.pop(0)
        assert isinstance(turn, AIMessage)
        return ChatResult(generations=[ChatGeneration(message=turn)])


def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


def calls(name: str, *arguments: dict[str, Any], text: str = "Let me see.") -> AIMessage:  # Any: JSON
    """Return a turn that calls a tool, once for each of the arguments."""
    wanted = [tool_call(name=name, args=one, id=f"their-{n}") for n, one in enumerate(arguments)]
    return AIMessage(text, tool_calls=wanted, usage_metadata=USED)


Graph = CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]


def a_graph(
    *turns: Turn,
    tool: Callable[..., object] = add,
    saver: InMemorySaver | None = None,
    kind: type[SaysInPieces] = SaysInPieces,
    model: SaysInPieces | None = None,
) -> Graph:
    """Return the usual loop: a model, the tools that it calls, and the model again."""
    speaker = model or kind(turns=list(turns), heard=[])

    async def say(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [await speaker.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", say)
    graph.add_node("tools", ToolNode([tool], handle_tool_errors=True))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver)


TWO_TURNS = [
    "IterationStart", "AssistantDelta", "ThinkComplete", "ToolCallStart", "ToolCallComplete", "IterationComplete",
    "IterationStart", "AssistantDelta", "ThinkComplete", "IterationComplete",
]  # fmt: skip


@pytest.mark.parametrize("kind", [SaysInPieces, SaysAtOnce])
def test_each_call_of_a_model_is_an_iteration_and_each_tool_message_ends_a_call(kind: type[SaysInPieces]) -> None:
    agent = LangGraphAgent(a_graph(calls("add", {"first": 2, "second": 2}), AIMessage("It is 4."), kind=kind))

    ran = run(agent, make_task("What is 2 + 2?"))

    assert steps(ran.events) == TWO_TURNS
    start, complete = a_part_of(ran.events, "ToolCallStart"), a_part_of(ran.events, "ToolCallComplete")
    assert (start.call_id, start.tool_name, start.arguments) == ("call-1-1", "add", {"first": 2, "second": 2})
    assert (complete.call_id, complete.result, complete.error) == ("call-1-1", "4", None)
    thought = a_part_of(ran.events, "ThinkComplete")
    assert (thought.tool_call_count, thought.usage) == (1, Usage(input_tokens=3, output_tokens=4))
    assert thought.duration is None  # the model had begun before the graph told of it
    assert a_part_of(ran.events, "IterationComplete").tokens_used == 7
    assert joined_deltas(ran.events, 2).strip() == "It is 4."
    assert ran.answer.text.strip() == "It is 4."


def test_what_a_step_told_is_committed_before_the_next_begins() -> None:
    ran_at: list[int] = []
    yielded: list[AgentYield] = []

    def note(first: int) -> int:
        """Note how much was yielded by now."""
        ran_at.append(len(yielded))
        return first

    async def watch() -> None:
        async for item in agent.run(make_task("Go."), ()):
            yielded.append(item)
            await asyncio.sleep(0.01)  # a store that takes its time

    agent = LangGraphAgent(a_graph(calls("note", {"first": 2}), AIMessage("Done."), tool=note))

    asyncio.run(watch())

    (length,) = ran_at
    assert isinstance(yielded[length - 1], Checkpoint)
    assert "ToolCallStart" in names(yielded[:length])


def test_calls_of_one_turn_end_each_with_its_own_result() -> None:
    two = calls("add", {"first": 1, "second": 2}, {"first": 3, "second": 4})
    agent = LangGraphAgent(a_graph(two, AIMessage("Done.")))

    ran = run(agent, make_task("Add them."))

    ends = [event for event in ran.events if isinstance(event, ToolCallComplete)]
    assert sorted((end.call_id, end.result) for end in ends) == [("call-1-1", "3"), ("call-1-2", "7")]
    assert a_part_of(ran.events, "IterationComplete").tools_run == 2


def test_a_tool_that_fails_is_told_to_the_model_and_recorded_as_an_error() -> None:
    def divide(first: int) -> float:
        """Divide by zero."""
        return first / 0

    agent = LangGraphAgent(a_graph(calls("divide", {"first": 1}), AIMessage("I cannot."), tool=divide))

    ran = run(agent, make_task("Divide."))

    end = a_part_of(ran.events, "ToolCallComplete")
    assert end.result is None
    assert "division by zero" in end.error
    assert ran.answer.text.strip() == "I cannot."


def test_a_graph_that_raises_fails_its_task_with_one_line() -> None:
    stage = AgentStage()
    agent = LangGraphAgent(a_graph(RuntimeError("The model\nis gone.")))

    _run, reports = stage.start(agent.run)
    _events, outcome = reports.end()
    stage.stop(timeout=WAIT)

    assert outcome == Failed("RuntimeError: The model is gone.")


def test_a_task_ends_when_its_iterations_are_used_up() -> None:
    turns = [calls("add", {"first": 2, "second": 2}) for _ in range(5)]
    agent = LangGraphAgent(a_graph(*turns))

    ran = run(agent, make_task("Go on.", max_iterations=2))

    assert ran.answer == Answer(
        "Stopped after 2 iterations, the limit of this task, without a final answer.", stop_reason="max_iterations"
    )
    assert names(ran.events).count("IterationStart") == 2
    assert len(turns) == 5  # the graph has a list of its own


def test_a_graph_that_waits_for_a_person_fails_its_task_and_says_so() -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda _state: {"messages": [("ai", interrupt("May I?"))]})
    graph.add_edge(START, "ask")

    ran = run(LangGraphAgent(graph.compile(checkpointer=InMemorySaver())), make_task("Go."))

    assert ran.error == "The graph waits for a person (interrupt), and this adapter asks nobody."


def test_a_cancel_stops_the_model_in_the_middle_of_a_word() -> None:
    async def cancelled() -> bool:
        stopped = asyncio.Event()

        class Watched(SaysInPieces):
            async def _astream(self, *args: Any, **named: Any) -> AsyncIterator[ChatGenerationChunk]:
                try:
                    async for piece in super()._astream(*args, **named):
                        yield piece
                finally:
                    stopped.set()

        never = asyncio.Event()
        agent = LangGraphAgent(a_graph(model=Watched(turns=[AIMessage("Once upon")], heard=[], gate=never)))
        await run_to(agent, make_task("Tell."), (), last=lambda item: isinstance(item, AssistantDelta))
        return stopped.is_set()

    assert asyncio.run(cancelled())


def test_secrets_are_in_no_delta_no_result_and_no_argument() -> None:
    parts = a_parts(redactor=Redactor(["swordfish99"]))
    texts = [calls("tell", {"word": "swordfish99"}, text="I say swordfish99 now"), AIMessage("so swordfish99")]

    def tell(word: str) -> str:
        """Say a word."""
        return f"you said {word}"

    agent = LangGraphAgent(a_graph(*texts, tool=tell)).with_parts(parts)

    ran = run(agent, make_task("Tell."))

    assert "swordfish99" not in msgspec.json.encode(ran.events).decode()
    assert joined_deltas(ran.events, 1) == "I say [redacted] now "


def test_models_that_speak_at_once_have_an_iteration_each_and_split_no_secret() -> None:
    graph = StateGraph(MessagesState)

    def add_speaker(name: str, text: str) -> None:
        model = SaysInPieces(turns=[AIMessage(text)], heard=[])

        async def say(state: MessagesState) -> dict[str, list[BaseMessage]]:
            return {"messages": [await model.ainvoke(state["messages"])]}

        graph.add_node(name, say)
        graph.add_edge(START, name)

    add_speaker("left", "say sword fish99 now")
    add_speaker("right", "nothing to be said here")
    agent = LangGraphAgent(graph.compile()).with_parts(a_parts(redactor=Redactor(["sword fish99"])))

    ran = run(agent, make_task("Speak."))

    thoughts = {event.iteration: event.content for event in ran.events if isinstance(event, ThinkComplete)}
    assert sorted(thoughts.values()) == ["nothing to be said here ", "say [redacted] now "]
    assert {iteration: joined_deltas(ran.events, iteration) for iteration in thoughts} == thoughts
    assert names(ran.events).count("IterationComplete") == 2


def test_a_model_that_has_spoken_is_recorded_before_the_next_in_the_same_node_speaks() -> None:
    model = SaysInPieces(turns=[AIMessage("One."), AIMessage("Two.")], heard=[])

    async def say_twice(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [await model.ainvoke(state["messages"]), await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("say", say_twice)
    graph.add_edge(START, "say")

    ran = run(LangGraphAgent(graph.compile()), make_task("Speak."))

    assert steps(ran.events) == ["IterationStart", "AssistantDelta", "ThinkComplete", "IterationComplete"] * 2


def test_what_was_said_before_in_the_session_comes_before_the_task() -> None:
    model = SaysInPieces(turns=[AIMessage("Ann.")], heard=[])
    earlier = (Message(role="user", content="I am Ann."), Message(role="assistant", content="Hello, Ann."))
    agent = LangGraphAgent(a_graph(model=model)).with_parts(a_parts(conversations=Said(earlier)))

    run(agent, make_task("Who am I?"))

    assert [(message.type, message.text) for message in model.heard[0]] == [
        ("human", "I am Ann."), ("ai", "Hello, Ann."), ("human", "Who am I?"),
    ]  # fmt: skip


def test_a_graph_over_another_state_says_what_it_starts_from_and_what_its_answer_is() -> None:
    class Poem(TypedDict):
        topic: str
        verses: Annotated[list[str], list.__add__]

    graph = StateGraph(Poem)
    graph.add_node("first", lambda state: {"verses": [f"O {state['topic']}!"]})
    graph.add_node("second", lambda _state: {"verses": ["The end."]})
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    agent = LangGraphAgent(
        graph.compile(),
        start=lambda task, _earlier: {"topic": task.task, "verses": []},
        answer=lambda state: "\n".join(state["verses"]),
    )

    ran = run(agent, make_task("night"))

    assert ran.answer.text == "O night!\nThe end."


def test_an_answer_may_be_the_text_of_a_message_as_the_library_has_it() -> None:
    agent = LangGraphAgent(a_graph(AIMessage("Done.")), answer=lambda state: state["messages"][-1].text)

    ran = run(agent, make_task("Go."))

    assert type(ran.answer.text) is str  # a subclass could not be recorded


@pytest.mark.parametrize("cut", ["ThinkComplete", "ToolCallStart", "ToolCallComplete", "IterationComplete"])
def test_an_interrupted_task_goes_on_from_its_last_checkpoint(cut: str) -> None:
    saver, task = InMemorySaver(), make_task("Count.")
    ran_with: list[int] = []

    def count(first: int) -> int:
        """Count its calls."""
        ran_with.append(first)
        return first

    async def twice() -> tuple[list[AnyEvent], Ran]:
        asks, done = calls("count", {"first": 2}), AIMessage("Done.")
        agent = LangGraphAgent(a_graph(asks, done, tool=count, saver=saver), resumes=True)
        recorded = await run_to(agent, task, (), last=lambda item: type(item).__name__ == cut)
        thread = saver.get_tuple({"configurable": {"thread_id": task.task_id}})
        assert thread is not None
        heard = [message.type for message in thread.checkpoint["channel_values"]["messages"]]
        left = {"human": [asks, done], "ai": [done], "tool": [done]}[heard[-1]]  # that no checkpoint has
        again = LangGraphAgent(a_graph(*left, tool=count, saver=saver), resumes=True)
        return recorded, await run_async(again, task, recorded)

    recorded, ran = asyncio.run(twice())

    whole = [*recorded, *ran.events]
    assert ran.answer.text.strip() == "Done."
    assert ran_with in ([2], [2, 2])
    started = [event.call_id for event in whole if isinstance(event, ToolCallStart)]
    ended = [event.call_id for event in whole if isinstance(event, ToolCallComplete)]
    assert sorted(started) == sorted(ended)  # each call has one end
    assert len(set(started)) == len(started)
    assert [event for event in whole if isinstance(event, IterationComplete)][-1].tokens_used == tokens_of(whole)


def tokens_of(events: Sequence[AnyEvent]) -> int:
    return sum(
        event.usage.tokens for event in events if isinstance(event, ThinkComplete) and event.usage is not None
    )


def test_a_graph_without_a_checkpointer_cannot_resume() -> None:
    with pytest.raises(ValueError, match="A graph can resume only with a checkpointer"):
        LangGraphAgent(a_graph(), resumes=True)
