"""What calls of models take and cost: as it is counted, as it is estimated, and by whose price."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alex_actors.events import Usage
from alex_actors.models.conversation import (
    context_with_room_for,
    conversation_room,
    conversation_tokens,
    estimated_tokens,
    tokens_of,
)
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Counted, Price, Rates, added
from alex_actors.ports import Message, ToolCall
from tests.unit.model_fakes import ASKED, CALCULATOR

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GPT = ModelSpec(name="gpt-4o-mini", api_key="k")
COUNTED = Counted(input=1_000, output=100)


def cost(spec: ModelSpec, counted: Counted = COUNTED, prices: dict[str, Price] | None = None) -> float | None:
    return Rates(spec, prices=prices).usage(counted, now=NOW).cost_usd


def test_a_model_that_is_known_has_its_price_and_its_context_without_a_network() -> None:
    rates = Rates(GPT)

    assert rates.context_tokens == 128_000
    assert rates.usage(COUNTED, now=NOW).cost_usd == pytest.approx((1_000 * 0.15 + 100 * 0.60) / 1e6)


def test_input_of_the_cache_is_counted_at_its_own_price() -> None:
    cached = Counted(input=1_000, output=100, cached=400)

    assert cost(GPT, cached) == pytest.approx((600 * 0.15 + 400 * 0.075 + 100 * 0.60) / 1e6)


def test_more_input_of_the_cache_than_input_is_no_more_than_all_of_it() -> None:
    assert cost(GPT, Counted(input=10, output=0, cached=400)) == pytest.approx(10 * 0.075 / 1e6)


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(name="gpt-4o-mini", base_url="http://127.0.0.1:8000/v1"),
        ModelSpec(name="a-model-of-my-own", api_key="k"),
    ],
    ids=["on a server of one's own", "unknown"],
)
def test_what_nobody_knows_has_no_price_and_no_context(spec: ModelSpec) -> None:
    assert cost(spec) is None
    assert Rates(spec).context_tokens is None


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(name="claude-sonnet-4-5", provider="anthropic", api_key="k"),
        ModelSpec(name="gemini-2.5-flash", provider="gemini", api_key="k"),
        ModelSpec(name="gpt-4o", provider="azure", base_url="https://me.openai.azure.com", api_key="k"),
        ModelSpec(name="deepseek-chat", base_url="https://api.deepseek.com", api_key="k"),
        ModelSpec(name="openai/gpt-4o", base_url="https://openrouter.ai/api/v1", api_key="k"),
    ],
    ids=lambda spec: spec.name,
)
def test_other_providers_models_are_known_too(spec: ModelSpec) -> None:
    assert (cost(spec) or 0) > 0
    assert (Rates(spec).context_tokens or 0) > 10_000


def test_ones_own_price_and_context_win() -> None:
    own = {"gpt-4o-mini": Price(input=1, output=2)}
    spec = ModelSpec(name="gpt-4o-mini", api_key="k", context_tokens=8_000)

    assert cost(spec, prices=own) == pytest.approx((1_000 * 1 + 100 * 2) / 1e6)
    assert Rates(spec).context_tokens == 8_000


def test_ones_own_price_of_the_cache_counts_if_there_is_one() -> None:
    cached = Counted(input=1_000, output=0, cached=400)

    dear = cost(GPT, cached, {"gpt-4o-mini": Price(input=1, output=2)})
    cheap = cost(GPT, cached, {"gpt-4o-mini": Price(input=1, output=2, cached_input=0.1)})

    assert dear == pytest.approx(1_000 / 1e6)
    assert cheap == pytest.approx((600 + 40) / 1e6)


def test_what_the_provider_says_that_it_cost_counts_more_than_a_list() -> None:
    assert cost(GPT, Counted(input=1_000, output=100, cost=0.5)) == 0.5


def test_a_count_is_read_as_servers_write_it() -> None:
    details = SimpleNamespace(cached_tokens=4, cache_write_tokens=2)
    openai = SimpleNamespace(prompt_tokens=10, completion_tokens=5, prompt_tokens_details=details)
    deepseek = SimpleNamespace(prompt_tokens=10, completion_tokens=5, prompt_cache_hit_tokens=6)
    openrouter = SimpleNamespace(prompt_tokens=10, completion_tokens=5, cost=0.001)

    assert Counted.of(openai) == Counted(input=10, output=5, cached=4, written=2)
    assert Counted.of(deepseek) == Counted(input=10, output=5, cached=6)
    assert Counted.of(openrouter) == Counted(input=10, output=5, cost=0.001)


@pytest.mark.parametrize(
    "nothing",
    [
        SimpleNamespace(),
        SimpleNamespace(prompt_tokens=0, completion_tokens=0),
        SimpleNamespace(prompt_tokens="many", completion_tokens=True, cost="much"),
    ],
)
def test_a_count_that_says_nothing_is_none(nothing: object) -> None:
    assert Counted.of(nothing) is None


def test_tokens_are_estimated_by_bytes() -> None:
    wish = ToolCall("c", "calculator", {"expression": "1" * 400})
    call = Message(role="assistant", content="", tool_calls=(wish,))

    alone, longer = conversation_tokens(ASKED, ()), conversation_tokens((*ASKED, call), (CALCULATOR,))

    assert [tokens_of(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert [estimated_tokens(text) for text in ("", "abcd", "abcde", "\u732b\u732b")] == [1, 1, 2, 2]
    assert estimated_tokens("", [wish]) > 100
    assert alone == 12
    assert longer > alone + 100


@given(st.integers(2, 2_000_000), st.integers(1, 200_000))
def test_a_context_that_a_model_tells_leaves_room_for_its_whole_reply(context: int, limit: int) -> None:
    limit = min(limit, context - 1)

    room = conversation_room(context_with_room_for(limit, context))

    assert room == min(conversation_room(context), context - limit)


@pytest.mark.parametrize(
    ("spec", "prices", "is_priced"),
    [
        (GPT, {}, True),
        (ModelSpec(name="a-model-of-my-own", api_key="k"), {}, False),
        (ModelSpec(name="a-model-of-my-own", api_key="k"), {"a-model-of-my-own": Price(input=0, output=0)}, True),
        (ModelSpec(name="m", base_url="http://127.0.0.1:8000/v1"), {"n": Price(input=1, output=1)}, False),
        (ModelSpec(name="nobody/knows", base_url="https://openrouter.ai/api/v1", api_key="k"), {}, True),
    ],
    ids=["known", "unknown", "one's own price", "another's price", "says it with each answer"],
)
def test_a_model_says_whether_it_is_known_what_it_costs(
    spec: ModelSpec, prices: dict[str, Price], is_priced: bool
) -> None:
    assert Rates(spec, prices=prices).is_priced(now=NOW) == is_priced


def test_a_sum_costs_what_is_known_of_its_parts() -> None:
    one = Usage(input_tokens=1, output_tokens=2, cost_usd=0.5)
    guess = Usage(input_tokens=10, output_tokens=20, cost_usd=0.25, estimated=True)
    free = Usage(input_tokens=10, output_tokens=20)

    assert added(one, guess) == Usage(input_tokens=11, output_tokens=22, cost_usd=0.75, estimated=True)
    assert added(one, free).cost_usd == added(free, one).cost_usd == 0.5
    assert added(free, free).cost_usd is None
    assert added(one, None) is one
