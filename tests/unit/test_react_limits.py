"""What the ReAct agent says as its model speaks, what it remembers, and how it stays within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from alex_actors.agents import ReActAgent
from alex_actors.agents.memory import Conversations, NothingSaid
from alex_actors.agents.thinking import MOST_OVERFLOWS
from alex_actors.agents.turn_log import TurnLog
from alex_actors.events import (
    AssistantDelta,
    ContextCompressed,
    ErrorRaised,
    IterationComplete,
    ThinkComplete,
    Thinking,
    Usage,
)
from alex_actors.models.conversation import conversation_tokens
from alex_actors.ports import (
    ContextOverflow,
    Message,
    Model,
    ModelError,
    ModelEvent,
    ModelReply,
    ModelTrouble,
    TextDelta,
    ToolSpec,
)
from alex_actors.projection import Progress, advance
from alex_actors.redact import NO_SECRETS, Redactor
from alex_actors.tasks import Task
from alex_actors.values import Timestamp
from tests.unit.fake_agents import (
    Ran,
    RecordingTool,
    ScriptedModel,
    TickingClock,
    make_task,
    names,
    reply,
    run,
)
from tests.unit.react_scripts import TASK, StreamedModel, tool_messages, toolbox, upper

SECRET = "correct horse battery"


class Said:
    """Conversations that are known."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    async def before(self, task: Task) -> Sequence[Message]:
        await asyncio.sleep(0)
        return [
            Message(role="assistant" if number % 2 else "user", content=text)
            for number, text in enumerate(self._texts)
        ]


def agent(
    model: Model,
    root: Path,
    *,
    redactor: Redactor = NO_SECRETS,
    conversations: Conversations | None = None,
    max_tokens: int = 0,
    max_cost_usd: float = 0.0,
    tool: RecordingTool | None = None,
) -> ReActAgent:
    return ReActAgent(
        model=model,
        toolbox=toolbox(tool or RecordingTool("upper", upper)),
        persona=lambda _: "You help.",
        workspace=lambda _: root,
        clock=TickingClock(),
        redactor=redactor,
        conversations=conversations or NothingSaid(),
        max_tokens=max_tokens,
        max_cost_usd=max_cost_usd,
    )


def deltas(ran: Ran) -> str:
    """Return the joined pieces since the last trouble."""
    events = ran.events
    begin = max((at + 1 for at, event in enumerate(events) if isinstance(event, ErrorRaised)), default=0)
    return "".join(event.delta for event in events[begin:] if isinstance(event, AssistantDelta))


# Streaming.


@pytest.mark.parametrize("trouble", [False, True])
def test_what_the_model_says_is_told_as_it_comes_and_is_what_it_said_in_the_end(
    tmp_path: Path, trouble: bool
) -> None:
    model = StreamedModel(lambda _: reply(f"I know {SECRET} well"), trouble=trouble)

    ran = run(agent(model, tmp_path, redactor=Redactor([SECRET])), TASK)

    thought = next(event for event in ran.events if isinstance(event, ThinkComplete))
    assert deltas(ran) == thought.content == ran.answer.text == "I know [redacted] well "
    assert names(ran.events)[-1 if trouble else -2 :].count("ErrorRaised") == 0
    assert "correct" not in repr(ran.yielded)


def test_an_attempt_that_failed_is_an_error_that_is_recoverable(tmp_path: Path) -> None:
    ran = run(agent(StreamedModel(lambda _: reply("yes"), trouble=True), tmp_path), TASK)

    error = ErrorRaised(iteration=1, phase="think", error="The model is busy.", recoverable=True)
    assert [event for event in ran.events if isinstance(event, ErrorRaised)] == [error]
    assert ran.answer.text == "yes "


def test_a_model_that_does_not_stream_tells_no_pieces(tmp_path: Path) -> None:
    ran = run(agent(ScriptedModel(lambda _: reply("yes")), tmp_path), TASK)

    assert "AssistantDelta" not in names(ran.events)


def test_the_model_is_told_what_is_recorded_of_its_own_words(tmp_path: Path) -> None:
    model = ScriptedModel(
        lambda m: reply("done") if tool_messages(m) else reply(f"I use {SECRET}", ("upper", {"text": "a"}))
    )

    run(agent(model, tmp_path, redactor=Redactor([SECRET])), TASK)

    assert [m.content for m in model.seen[1][0] if m.role == "assistant"] == ["I use [redacted]"]


def test_a_model_that_ends_without_a_reply_fails_the_task(tmp_path: Path) -> None:
    class Silent:
        context_tokens = None

        async def complete(self, messages: object, tools: object) -> AsyncGenerator[ModelEvent, None]:
            nothing: tuple[ModelEvent, ...] = ()
            for event in nothing:
                yield event

    assert run(agent(Silent(), tmp_path), TASK).error == "The model ended without a reply."


# Memory.


def test_the_conversation_begins_with_what_was_said_in_the_session(tmp_path: Path) -> None:
    model = ScriptedModel(lambda _: reply("yes"))

    ran = run(agent(model, tmp_path, conversations=Said("Who?", "I.")), TASK)

    assert [(m.role, m.content) for m in model.seen[0][0]] == [
        ("system", "You help."), ("user", "Who?"), ("assistant", "I."), ("user", "Find it")
    ]  # fmt: skip
    assert Thinking(iteration=1, message_count=4) in ran.events


def test_what_a_task_had_at_its_limit_is_not_what_was_said_before_it(tmp_path: Path) -> None:
    model = ScriptedModel(lambda _: reply("", ("upper", {})))
    task = make_task("x", tool_preset="all", max_iterations=1)

    ran = run(agent(model, tmp_path, conversations=Said("Who?", "I.")), task)

    assert "I." not in ran.answer.text


# Budgets.


def spend(messages: Sequence[Message]) -> ModelReply:
    said = reply("again", ("upper", {"text": "x"}))
    usage = Usage(input_tokens=60, output_tokens=40, cost_usd=0.5)
    return ModelReply(content=said.content, tool_calls=said.tool_calls, usage=usage)


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"max_tokens": 250}, "The task has used 300 tokens, and may use 250 (agents.max_tokens)."),
        (
            {"max_cost_usd": 1.5},
            "The task has cost 1.5 US dollars, and may cost 1.5 (agents.max_cost_usd).",
        ),
    ],
)
def test_a_task_that_has_used_what_it_may_fails_before_the_model_is_asked_again(
    tmp_path: Path, limits: dict[str, Any], error: str
) -> None:
    model = ScriptedModel(spend)

    ran = run(agent(model, tmp_path, **limits), TASK)

    assert ran.error == error
    assert len(model.seen) == 3
    assert ran.yielded[-1] == ErrorRaised(iteration=4, phase="think", error=error, recoverable=False)
    assert [e.cost_usd for e in ran.events if isinstance(e, IterationComplete)] == [0.5, 1.0, 1.5]


SPENT = Usage(input_tokens=50, output_tokens=20, cost_usd=1.5, estimated=True)


def counted(ran: Ran) -> Progress:
    """Return what a task is recorded to have used."""
    progress = Progress()
    for event in ran.events:
        progress = advance(progress, Timestamp(""), event)
    return progress


@pytest.mark.parametrize(
    "error", [ModelError("It broke off.", spent=SPENT), ContextOverflow("Too long.", spent=SPENT)]
)
def test_what_a_turn_spent_that_failed_is_recorded_and_counted_once(tmp_path: Path, error: ModelError) -> None:
    class Failing:
        context_tokens = None

        async def complete(self, messages: object, tools: object) -> AsyncGenerator[ModelEvent, None]:
            yield TextDelta("half an ans")
            yield ModelTrouble("It broke off.")
            raise error

    ran = run(agent(Failing(), tmp_path), TASK)

    assert ran.error is not None
    assert [e.usage for e in ran.events if isinstance(e, ErrorRaised)] == [None, SPENT]
    assert (counted(ran).tokens_used, counted(ran).cost_usd) == (70, 1.5)
    assert (TurnLog(ran.events).tokens, TurnLog(ran.events).cost_usd) == (70, 1.5)


# The model's context.


LONG = "x" * 4000
"""A thousand tokens."""


def reading(turns: int) -> Any:  # a script
    """Return a script that calls a tool in so many turns."""

    def script(messages: Sequence[Message]) -> ModelReply:
        seen = tool_messages(messages)
        return reply("read") if len(seen) >= turns else reply(f"turn {len(seen) + 1}", ("read", {}))

    return script


def contents(messages: Sequence[Message]) -> list[str]:
    """Return what was said, long texts by their first letters."""
    return [message.content[:20] for message in messages]


def test_what_was_said_earlier_goes_first_the_oldest_before_the_others(tmp_path: Path) -> None:
    model = StreamedModel(lambda _: reply("yes"), context_tokens=2000)
    said = Said("first", LONG, "second", LONG)

    ran = run(agent(model, tmp_path, conversations=said), TASK)

    assert contents(model.seen[0]) == ["You help.", "second", LONG[:20], "Find it"]
    assert ContextCompressed(original_count=6, compressed_count=4) in ran.events
    assert names(ran.events).index("ContextCompressed") < names(ran.events).index("Thinking")


def test_then_the_oldest_results_of_tools_and_never_the_last_turn(tmp_path: Path) -> None:
    model = StreamedModel(reading(3), context_tokens=2900)

    ran = run(agent(model, tmp_path, tool=RecordingTool("read", lambda _: LONG)), TASK)

    assert ran.answer.text == "read "
    assert [m.content == LONG for m in model.seen[2] if m.role == "tool"] == [True, True]
    assert [m.content == LONG for m in model.seen[3] if m.role == "tool"] == [False, True, True]
    assert contents(model.seen[3])[3] == "[This result was lef"
    assert ContextCompressed(original_count=8, compressed_count=8) in ran.events


def test_then_whole_turns_a_call_with_its_result(tmp_path: Path) -> None:
    def talkative(messages: Sequence[Message]) -> ModelReply:
        turn = sum(message.role == "assistant" for message in messages)
        return reply("yes") if len(model.seen) > 3 else reply(f"{turn}{LONG}", ("read", {}))

    model = StreamedModel(talkative, context_tokens=3000)

    ran = run(agent(model, tmp_path, tool=RecordingTool("read", lambda _: "r")), TASK)

    last = model.seen[3]
    assert [message.role for message in last] == ["system", "user", "assistant", "tool", "assistant", "tool"]
    assert [len(m.tool_calls) for m in last if m.role == "assistant"] == [1, 1]
    assert ran.answer.text == "yes "


def test_a_task_that_does_not_fit_the_model_fails_and_says_so(tmp_path: Path) -> None:
    model = StreamedModel(lambda _: reply("yes"), context_tokens=10)

    ran = run(agent(model, tmp_path, conversations=Said("Who?", "I.")), TASK)

    assert model.seen == []
    assert ran.error is not None
    assert ran.error.startswith(
        "The conversation does not fit the model: what may not be left out of it has about"
    )


class Narrow(ScriptedModel):
    """A model that finds longer conversations too long than anybody knew."""

    def __init__(self, script: Any, most: int) -> None:
        super().__init__(script)
        self._most = most
        self.sizes: list[int] = []

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        self.sizes.append(conversation_tokens(messages, tools))
        if self.sizes[-1] > self._most:
            raise ContextOverflow("That is too long.")
        async for event in super().complete(messages, tools):
            yield event


def test_a_conversation_that_the_model_finds_too_long_is_halved_until_it_fits(tmp_path: Path) -> None:
    model = Narrow(lambda _: reply("yes"), 450)
    said = Said(*(text for number in range(16) for text in (f"{number}", LONG[:1000])))

    ran = run(agent(model, tmp_path, conversations=said), TASK)

    assert ran.answer.text == "yes"
    assert len(model.sizes) == 4
    assert all(after <= before / 2 for before, after in zip(model.sizes, model.sizes[1:], strict=False))
    assert names(ran.yielded)[2:9] == [
        "Thinking", "Checkpoint", "ContextCompressed", "Checkpoint", "ContextCompressed", "Checkpoint",
        "ContextCompressed",
    ]  # fmt: skip


class NarrowInTheMiddle(Narrow):
    """Finds so when it has begun to answer, as servers do whose answer no longer fits."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        yield TextDelta("y")
        async for event in super().complete(messages, tools):
            yield event


def test_what_a_model_said_before_it_found_the_conversation_too_long_counts_for_nothing(tmp_path: Path) -> None:
    model = NarrowInTheMiddle(lambda _: reply("es"), 450)

    ran = run(agent(model, tmp_path, conversations=Said("Who?", LONG[:2000])), TASK)

    assert names(ran.events)[2:8] == [
        "Thinking", "AssistantDelta", "ErrorRaised", "ContextCompressed", "AssistantDelta", "ThinkComplete",
    ]  # fmt: skip
    assert ErrorRaised(iteration=1, phase="think", error="That is too long.", recoverable=True) in ran.events


class Costly(Narrow):
    """Was asked in vain before it found so, which cost something."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        try:
            async for event in super().complete(messages, tools):
                yield event
        except ContextOverflow as error:
            raise ContextOverflow(str(error), spent=SPENT) from error


def test_what_was_spent_before_the_conversation_was_found_too_long_counts_once(tmp_path: Path) -> None:
    model = Costly(lambda _: reply("yes", tokens=10), 450)

    ran = run(agent(model, tmp_path, conversations=Said("Who?", LONG[:2000])), TASK)

    error = ErrorRaised(iteration=1, phase="think", error="That is too long.", recoverable=True, usage=SPENT)
    assert [event for event in ran.events if isinstance(event, ErrorRaised)] == [error]
    completed = next(event for event in ran.events if isinstance(event, IterationComplete))
    assert (completed.tokens_used, completed.cost_usd) == (80, 1.5)
    assert (counted(ran).tokens_used, counted(ran).cost_usd) == (80, 1.5)


def test_what_it_cost_to_find_the_conversation_too_long_may_be_all_that_a_task_may_cost(tmp_path: Path) -> None:
    model = Costly(lambda _: reply("yes"), 450)

    ran = run(agent(model, tmp_path, max_cost_usd=1.0, conversations=Said("Who?", LONG[:2000])), TASK)

    assert ran.error == "The task has cost 1.5 US dollars, and may cost 1 (agents.max_cost_usd)."
    assert len(model.sizes) == 1


@pytest.mark.parametrize(("said", "asked"), [(Said("Who?", "I."), 2), (NothingSaid(), 1)])
def test_a_conversation_that_cannot_be_made_to_fit_fails_the_task(
    tmp_path: Path, said: Conversations, asked: int
) -> None:
    model = Narrow(lambda _: reply("yes"), 1)

    ran = run(agent(model, tmp_path, conversations=said), TASK)

    assert len(model.sizes) == asked <= MOST_OVERFLOWS + 1
    assert counted(ran).tokens_used == 0
    assert ran.error == (
        "The conversation is too long for the model, and nothing more can be left out of it. That is too long."
    )


def test_a_run_that_is_cut_anywhere_shortens_again_what_it_had_shortened(tmp_path: Path) -> None:
    tool = RecordingTool("read", lambda _: LONG)
    said = Said("first", LONG, "second", LONG)

    def model() -> Narrow:
        return Narrow(lambda messages: reading(3)(messages), 2300)

    first = model()
    whole = run(agent(first, tmp_path, conversations=said, tool=tool), TASK)

    assert names(whole.events).count("ContextCompressed") > 1
    for cut in range(len(whole.events)):
        resumed = model()
        history = whole.events[:cut]
        run(agent(resumed, tmp_path, conversations=said, tool=tool), TASK, history)
        left = [messages for messages, _ in first.seen[names(history).count("ThinkComplete") :]]
        # Asked again, first of all, if its calls were not recorded.
        assert [messages for messages, _ in resumed.seen][-len(left) or len(resumed.seen) :] == left, cut
