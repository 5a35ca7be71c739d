"""Agents of pydantic-ai as agents of this runtime: the real package, with models that say what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, RunContext
from pydantic_ai.messages import ModelMessage, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.models.test import TestModel as SaysAnything

from alex_actors.agents.pydantic_ai import PydanticAgent
from alex_actors.events import AssistantDelta, ThinkComplete, ToolCallComplete
from alex_actors.ports import AgentYield, Answer, Checkpoint, Failed, Message
from alex_actors.redact import Redactor
from tests.unit.actor_fakes import WAIT
from tests.unit.adapted import Said, a_part_of, a_parts, joined_deltas, run_to, steps
from tests.unit.agent_fakes import AgentStage
from tests.unit.fake_agents import make_task, names, run

Says = str | list[tuple[str, str]] | Exception
"""A text, calls of tools with their arguments, or what the model raises."""

TWO_TURNS = [
    "IterationStart", "ThinkComplete", "ToolCallStart", "ToolCallComplete", "IterationComplete",
    "IterationStart", "AssistantDelta", "ThinkComplete", "IterationComplete",
]  # fmt: skip


def a_model(*turns: Says, heard: list[list[ModelMessage]] | None = None) -> FunctionModel:
    """Return a model that says these turns, texts a word at a time."""
    left = list(turns)

    async def say(messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        if heard is not None:
            heard.append(messages)
        turn = left.pop(0)
        if isinstance(turn, Exception):
            raise turn
        if isinstance(turn, str):
            for word in turn.split(" "):
                yield f"{word} "
        else:
            yield {
                number: DeltaToolCall(name=name, json_args=arguments, tool_call_id=f"their-{number}")
                for number, (name, arguments) in enumerate(turn)
            }

    return FunctionModel(stream_function=say)


def an_agent(*turns: Says) -> Agent[None, str]:
    """Return an agent with a tool that adds."""
    agent = Agent(a_model(*turns))

    @agent.tool_plain
    def add(first: int, second: int) -> int:
        """Add two numbers."""
        return first + second

    return agent


def test_each_request_is_an_iteration_with_its_tool_calls() -> None:
    agent = PydanticAgent(an_agent([("add", '{"first": 2, "second": 2}')], "It is 4."))

    ran = run(agent, make_task("What is 2 + 2?"))

    assert steps(ran.events) == TWO_TURNS
    start, complete = a_part_of(ran.events, "ToolCallStart"), a_part_of(ran.events, "ToolCallComplete")
    assert (start.call_id, start.tool_name, start.arguments) == ("call-1-1", "add", {"first": 2, "second": 2})
    assert (complete.call_id, complete.result, complete.error) == ("call-1-1", "4", None)
    assert joined_deltas(ran.events, 2) == "It is 4. "
    assert ran.answer == Answer("It is 4. ")


def test_what_the_requests_took_is_counted() -> None:
    ran = run(PydanticAgent(Agent(SaysAnything(custom_output_text="Hello."))), make_task("Say hello."))

    thought = a_part_of(ran.events, "ThinkComplete")
    assert thought.usage.input_tokens > 0
    assert thought.usage.cost_usd is None  # nobody has a price for the model
    assert thought.duration > 0
    assert a_part_of(ran.events, "IterationComplete").tokens_used == thought.usage.tokens


def test_before_the_model_is_asked_and_before_tools_run_all_is_committed() -> None:
    ran_at: list[int] = []
    yielded: list[AgentYield] = []
    agent = Agent(a_model([("note", "{}")], "Done."))

    @agent.tool_plain
    def note() -> str:
        """Note how much was yielded by now."""
        ran_at.append(len(yielded))
        return "noted"

    async def watch() -> None:
        async for item in PydanticAgent(agent).run(make_task("Go."), ()):
            yielded.append(item)
            await asyncio.sleep(0.01)  # a store that takes its time

    asyncio.run(watch())

    (length,) = ran_at
    assert isinstance(yielded[length - 1], Checkpoint)
    assert "ToolCallStart" in names(yielded[:length])


def test_calls_of_one_turn_end_each_with_its_own_result() -> None:
    two = [("add", '{"first": 1, "second": 2}'), ("add", '{"first": 3, "second": 4}')]

    ran = run(PydanticAgent(an_agent(two, "Done.")), make_task("Add them."))

    ends = [event for event in ran.events if isinstance(event, ToolCallComplete)]
    assert sorted((end.call_id, end.result) for end in ends) == [("call-1-1", "3"), ("call-1-2", "7")]
    assert a_part_of(ran.events, "IterationComplete").tools_run == 2


def test_arguments_that_do_not_fit_are_an_error_of_the_call_and_the_model_tries_again() -> None:
    agent = PydanticAgent(an_agent([("add", '{"first": "two"}')], "I cannot."))

    ran = run(agent, make_task("Add."))

    end = a_part_of(ran.events, "ToolCallComplete")
    assert end.result is None
    assert "second" in end.error
    assert ran.answer.text == "I cannot. "


def test_an_output_that_is_no_text_is_answered_as_json() -> None:
    class City(BaseModel):
        name: str
        people: int

    model = a_model([("final_result", '{"name": "Ulm", "people": 126000}')])

    ran = run(PydanticAgent(Agent(model, output_type=City)), make_task("A city."))

    assert msgspec.json.decode(ran.answer.text) == {"name": "Ulm", "people": 126000}
    assert steps(ran.events)[-2:] == ["ToolCallComplete", "IterationComplete"]


def test_what_an_agent_depends_on_is_made_of_its_task() -> None:
    agent = Agent(a_model([("session", "{}")], "Done."), deps_type=str)

    @agent.tool
    def session(context: RunContext[str]) -> str:
        """Tell the session."""
        return context.deps

    ran = run(PydanticAgent(agent, deps=lambda task: task.session_id), make_task("Which session?"))

    assert a_part_of(ran.events, "ToolCallComplete").result == "session-1"


def test_a_model_that_raises_fails_the_task_with_one_line() -> None:
    stage = AgentStage()

    running, reports = stage.start(PydanticAgent(Agent(a_model(RuntimeError("The model\nis gone.")))).run)
    running.committed(1)
    _events, outcome = reports.end()
    stage.stop(timeout=WAIT)

    assert outcome == Failed("RuntimeError: The model is gone.")


def test_a_task_ends_when_its_iterations_are_used_up() -> None:
    again = [("add", '{"first": 2, "second": 2}')]

    ran = run(PydanticAgent(an_agent(again, again, again)), make_task("Go on.", max_iterations=2))

    assert ran.answer.stop_reason == "max_iterations"
    assert names(ran.events).count("ThinkComplete") == 2


def test_an_agent_that_ends_for_a_persons_word_fails_its_task_and_says_so() -> None:
    agent = Agent(a_model([("pay", "{}")]), output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def pay() -> str:
        """Pay."""
        return "paid"

    ran = run(PydanticAgent(agent), make_task("Pay."))

    assert ran.error == "The agent asks for a person's word or for calls to be made elsewhere: nobody answers."


def test_a_cancel_stops_the_model_in_the_middle_of_its_text() -> None:
    async def cancelled() -> bool:
        stopped = asyncio.Event()

        async def say(_messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str]:
            try:
                yield "Once "
                await asyncio.Event().wait()
            finally:
                stopped.set()

        agent = PydanticAgent(Agent(FunctionModel(stream_function=say)))
        await run_to(agent, make_task("Tell."), (), last=lambda item: isinstance(item, AssistantDelta))
        return stopped.is_set()

    assert asyncio.run(cancelled())


def test_secrets_are_in_no_delta_no_result_and_no_argument() -> None:
    agent = Agent(a_model([("tell", '{"word": "swordfish99"}')], "so swordfish99 it is"))

    @agent.tool_plain
    def tell(word: str) -> str:
        """Say a word."""
        return f"you said {word}"

    ran = run(PydanticAgent(agent).with_parts(a_parts(redactor=Redactor(["swordfish99"]))), make_task("Tell."))

    assert "swordfish99" not in msgspec.json.encode(ran.events).decode()
    assert (
        joined_deltas(ran.events, 2)
        == a_part_of(
            [event for event in ran.events if isinstance(event, ThinkComplete)][1:], "ThinkComplete"
        ).content
    )


def test_what_was_said_before_in_the_session_comes_before_the_task() -> None:
    heard: list[list[ModelMessage]] = []
    earlier = (Message(role="user", content="I am Ann."), Message(role="assistant", content="Hello, Ann."))
    agent = PydanticAgent(Agent(a_model("Ann.", heard=heard))).with_parts(a_parts(conversations=Said(earlier)))

    run(agent, make_task("Who am I?"))

    said = [
        (type(part), part.content) for message in heard[0] for part in message.parts if hasattr(part, "content")
    ]
    assert said == [(UserPromptPart, "I am Ann."), (TextPart, "Hello, Ann."), (UserPromptPart, "Who am I?")]


def test_it_does_not_resume() -> None:
    assert PydanticAgent(an_agent()).resumes is False
