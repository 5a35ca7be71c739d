"""A model that is asked again when it fails, with a time that the test owns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from openai.types.chat import ChatCompletionChunk

from alex_actors.events import Usage
from alex_actors.models.breaker import FAILURES, Breaker
from alex_actors.models.chat_messages import Json
from alex_actors.models.chat_model import ChatModel
from alex_actors.models.faults import Fault
from alex_actors.models.resilience import ResilientModel
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Rates
from alex_actors.ports import AgentError, ContextOverflow, ModelEvent, ModelTrouble, TextDelta
from tests.unit.actor_fakes import OwnedClock
from tests.unit.model_fakes import ASKED, KEY, chunk, heard, reply_of, usage

HALF = 0.5
"""What chance says: the first wait is 0.75 seconds then, the second 1.5."""
Attempt = Sequence[Json | Fault | asyncio.Event]
GOOD: Attempt = (chunk("4"), chunk(finish="stop"), usage(10, 1))
DOWN = Fault("status", "down", status=503)


class ScriptedChat(ChatModel):
    """Makes one attempt after the other, as the test says: chunks, a fault, or a wait."""

    def __init__(self, clock: OwnedClock, *attempts: Attempt, tries: int = 5) -> None:
        spec = ModelSpec(name="m", base_url="http://models.test/v1", api_key=KEY, attempts=tries)
        super().__init__(spec=spec, rates=Rates(spec), clock=clock)
        self._attempts = list(attempts)
        self.asked = 0

    async def chunks(self, messages: list[Json], tools: list[Json]) -> AsyncGenerator[ChatCompletionChunk, None]:
        self.asked += 1
        for step in self._attempts.pop(0):
            if isinstance(step, Fault):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield ChatCompletionChunk.model_validate(step)

    async def aclose(self) -> None:
        self.asked = -1


class Scene:
    """A resilient model, its clock, and how long it waited."""

    def __init__(self, *attempts: Attempt, tries: int = 5, failures: int = FAILURES) -> None:
        self.clock = OwnedClock()
        self.waits: list[float] = []
        self.chat = ScriptedChat(self.clock, *attempts, tries=tries)
        self.breaker = Breaker(now=self.clock.monotonic, failures=failures)
        self.model = ResilientModel(model=self.chat, breaker=self.breaker, sleep=self._sleep, random=lambda: HALF)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.seconds += seconds
        await asyncio.sleep(0)

    def heard(self) -> list[ModelEvent]:
        return heard(self.model)

    def failure(self) -> AgentError:
        with pytest.raises(AgentError) as raised:
            self.heard()
        return raised.value


def test_what_works_is_asked_once() -> None:
    scene = Scene(GOOD)

    reply = reply_of(scene.heard())

    assert reply.usage == Usage(input_tokens=10, output_tokens=1)
    assert scene.chat.asked == 1


def test_each_failure_is_told_before_the_wait_which_grows() -> None:
    scene = Scene((DOWN,), (Fault("timeout"),), GOOD)

    first, second, *_ = scene.heard()

    assert first == ModelTrouble(
        "The model m at http://models.test has trouble (503): down (attempt 1 of 5); next try in 0.8 seconds."
    )
    assert second == ModelTrouble(
        "The model m at http://models.test did not answer within 120 seconds (attempt 2 of 5); "
        "next try in 1.5 seconds."
    )
    assert scene.waits == [0.75, 1.5]


def test_the_last_failure_is_raised_and_not_told() -> None:
    scene = Scene((DOWN,), (DOWN,), tries=2)

    error = scene.failure()

    assert str(error).endswith("has trouble (503): down (attempt 2 of 2); it is not asked again.")
    assert scene.waits == [0.75]


def test_what_no_trying_mends_is_raised_at_once() -> None:
    scene = Scene((Fault("status", "bad key", status=401),))

    error = scene.failure()

    assert "check model.api_key" in str(error)
    assert scene.waits == []


def test_a_conversation_that_is_too_long_is_not_sent_again() -> None:
    scene = Scene((Fault("status", "prompt is too long: 9 tokens", status=400),))

    error = scene.failure()

    assert isinstance(error, ContextOverflow)
    assert scene.chat.asked == 1


def test_a_provider_that_asks_to_wait_is_left_alone_for_at_least_that_long() -> None:
    scene = Scene((Fault("status", "slowly", status=429, headers={"retry-after": "20"}),), GOOD)

    trouble, *_ = scene.heard()

    assert scene.waits == [pytest.approx(22.5)]
    assert "is asked too often (429): slowly (attempt 1 of 5); next try in 22 seconds." in str(trouble)


def test_a_provider_that_asks_to_wait_for_an_hour_ends_the_task() -> None:
    scene = Scene((Fault("status", "slowly", status=429, headers={"retry-after": "3600"}),))

    error = scene.failure()

    assert "it wants to be left alone for 60 minutes." in str(error)
    assert scene.waits == []


def test_whether_a_provider_asks_to_wait_for_too_long_is_not_left_to_chance() -> None:
    scene = Scene((Fault("status", "slowly", status=429, headers={"retry-after": "590"}),), GOOD)

    events = scene.heard()

    assert reply_of(events).content == "4"
    assert scene.waits == [pytest.approx(590 * 1.125)]


def test_answers_that_are_cut_again_and_again_have_the_model_left_alone() -> None:
    scene = Scene(*[(chunk("12345678"), Fault("cut"))] * 2, failures=2, tries=3)

    error = scene.failure()

    assert "is not asked, since 2 calls in a row failed" in str(error)


def test_what_attempts_cost_before_a_conversation_was_found_too_long_is_told() -> None:
    scene = Scene((chunk("12345678"), Fault("cut")), (Fault("status", "prompt is too long", status=400),))

    error = scene.failure()

    assert isinstance(error, ContextOverflow)
    assert error.spent is not None
    assert error.spent.output_tokens == 2


def test_what_a_cut_attempt_said_counts_for_nothing_but_is_paid_for() -> None:
    scene = Scene((chunk("12345678"), Fault("cut")), GOOD)

    events = scene.heard()

    assert isinstance(events[1], ModelTrouble)
    reply = reply_of(events[2:])
    assert reply.usage is not None
    assert reply.usage.output_tokens == 2 + 1
    assert reply.usage.estimated


def test_a_model_that_fails_often_is_left_alone_for_longer_and_longer() -> None:
    scene = Scene((DOWN,), (DOWN,), (DOWN,), GOOD, failures=2, tries=6)

    events = scene.heard()

    troubles = [event.error for event in events if isinstance(event, ModelTrouble)]
    assert [
        text.partition(" (attempt")[0].removeprefix("The model m at http://models.test ") for text in troubles
    ] == [
        "has trouble (503): down",
        "has trouble (503): down",
        "is not asked, since 2 calls in a row failed",
        "has trouble (503): down",
        "is not asked, since 3 calls in a row failed",
    ]
    assert scene.waits == [0.75, 1.5, 3.5, 6.0, 4.0]
    assert reply_of(events).content == "4"


def test_one_probe_goes_first_and_all_others_wait_for_it() -> None:
    answered = asyncio.Event()
    scene = Scene((DOWN,), (answered, *GOOD), GOOD, GOOD, failures=1, tries=2)

    async def scenario() -> int:
        async def listen() -> None:
            async for _ in scene.model.complete(ASKED, ()):
                pass

        first = [asyncio.ensure_future(listen()) for _ in range(3)]
        for _ in range(20):
            await asyncio.sleep(0)
        asked = scene.chat.asked
        answered.set()
        await asyncio.gather(*first)
        return asked

    # The first finds it down, and waits; of all, one asks as a probe, and the rest once it has answered.
    scene.clock.seconds = 100.0

    assert asyncio.run(scenario()) == 2
    assert scene.chat.asked == 4


def test_a_probe_that_nobody_waits_for_any_more_makes_room_for_the_next() -> None:
    scene = Scene((DOWN,), (asyncio.Event(),), GOOD, failures=1, tries=1)

    async def scenario() -> str:
        with pytest.raises(AgentError):
            await anext(scene.model.complete(ASKED, ()))
        scene.clock.seconds += 10
        probe = asyncio.ensure_future(anext(scene.model.complete(ASKED, ())))
        other = asyncio.ensure_future(anext(scene.model.complete(ASKED, ())))
        await asyncio.sleep(0)
        probe.cancel()
        said = await other
        return said.text if isinstance(said, TextDelta) else ""

    assert asyncio.run(scenario()) == "4"


def test_closing_it_closes_the_model_below() -> None:
    scene = Scene()

    asyncio.run(scene.model.aclose())

    assert scene.chat.asked == -1
