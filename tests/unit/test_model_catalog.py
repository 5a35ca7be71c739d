"""Models as they are configured: what is wrong is said at the start, with what would be right."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys

import pytest

from alex_actors.models.catalog import check, is_installed, make_model, warnings
from alex_actors.models.conversation import conversation_room
from alex_actors.models.resilience import ResilientModel
from alex_actors.models.spec import ModelConfigError, ModelSpec
from alex_actors.models.usage import Price
from tests.unit.actor_fakes import OwnedClock

GOOD = (
    ModelSpec(name="gpt-4o-mini", api_key="k"),
    ModelSpec(name="llama", base_url="http://127.0.0.1:11434/v1"),
    ModelSpec(name="gpt", provider="azure", base_url="https://me.openai.azure.com", api_key="k", api_version="1"),
    ModelSpec(name="claude-sonnet-4-5", provider="anthropic", api_key="k"),
    ModelSpec(name="gemini-2.5-flash", provider="gemini", api_key="k"),
)


@pytest.mark.parametrize("spec", GOOD, ids=lambda spec: spec.provider)
def test_a_model_is_made_without_asking_anybody(spec: ModelSpec) -> None:
    model = make_model(
        spec,
        prices={"llama": Price(input=0, output=0)},
        clock=OwnedClock(),
        sleep=asyncio.sleep,
        random=random.random,
    )

    assert model.context_tokens is None or model.context_tokens > 100_000
    asyncio.run(model.aclose())


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (ModelSpec(name=" "), "model.name is empty"),
        (ModelSpec(name="m"), "model.api_key is missing: the model m at https://api.openai.com needs one."),
        (ModelSpec(name="m", api_key=""), "as ALEX_MODEL__API_KEY"),
        (ModelSpec(name="m", section="models.small"), "Have models.small.api_key_variable name"),
        (ModelSpec(name="m", provider="anthropic", base_url="http://h"), "model.api_key is missing"),
        (ModelSpec(name="m", api_key="k\n"), "model.api_key has characters that no key has"),
        (ModelSpec(name="m", api_key="k\u00e9"), "model.api_key has characters that no key has"),
        (ModelSpec(name="m", base_url="localhost:11434"), "model.base_url is 'localhost:11434': a URL such as"),
        (ModelSpec(name="m", base_url="http://"), "a URL such as"),
        (ModelSpec(name="m", base_url="http://[::1"), "a URL such as"),
        (ModelSpec(name="m", base_url="http://me:secret@h/v1"), "model.base_url has a name, a query"),
        (ModelSpec(name="m", base_url="http://h/v1?key=k"), "give the URL up to its path"),
        (ModelSpec(name="m", base_url="http://h/v1/chat/completions"), "ends with /chat/completions"),
        (ModelSpec(name="m", provider="azure", api_key="k", api_version="1"), "model.base_url is missing"),
        (ModelSpec(name="m", provider="azure", api_key="k", base_url="https://h"), "model.api_version is missing"),
    ],
)
def test_what_cannot_work_stops_the_start(spec: ModelSpec, what: str) -> None:
    with pytest.raises(ModelConfigError) as raised:
        check(spec)

    assert what in str(raised.value)
    assert "secret" not in str(raised.value)


def made(spec: ModelSpec, **prices: Price) -> ResilientModel:
    return make_model(spec, prices=prices, clock=OwnedClock(), sleep=asyncio.sleep, random=random.random)


@pytest.mark.parametrize(
    ("limit", "context", "room"),
    [
        (None, 100_000, 100_000 - 4_096),
        (1_000, 100_000, 100_000 - 4_096),
        (64_000, 100_000, 36_000),
        (6_000, 8_000, 2_000),
    ],
)
def test_what_a_reply_may_have_is_left_free_of_the_context(limit: int | None, context: int, room: int) -> None:
    spec = ModelSpec(name="m", base_url="http://h/v1", context_tokens=context, max_output_tokens=limit)

    told = made(spec).context_tokens

    assert told is not None
    assert conversation_room(told) == room


def test_a_reply_that_may_take_the_whole_context_stops_the_start() -> None:
    spec = ModelSpec(name="m", base_url="http://h/v1", context_tokens=8_000, max_output_tokens=8_000)

    with pytest.raises(ModelConfigError, match=r"may have 8000 tokens, of 8000 .* lower model\.max_output_tokens"):
        made(spec)


def test_a_model_that_was_made_says_whether_it_is_known_what_it_costs() -> None:
    spec = ModelSpec(name="llama", base_url="http://127.0.0.1:11434/v1")

    assert not made(spec).is_priced
    assert made(spec, llama=Price(input=0, output=0)).is_priced


def test_a_server_without_such_a_model_loads_none_of_their_packages() -> None:
    program = (
        "import sys, alex_actors.models.catalog, alex_actors.models.configured; "
        "print([name for name in ('openai', 'httpx2', 'any_llm', 'genai_prices') if name in sys.modules])"
    )

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_provider_whose_package_is_missing_says_what_to_install(provider: str) -> None:
    spec = next(spec for spec in GOOD if spec.provider == provider)

    with pytest.raises(ModelConfigError) as raised:
        check(spec, is_installed=lambda name: name != "any_llm")

    assert f"any_llm is not installed: pip install 'alex-runtime[{provider}]'." in str(raised.value)


def test_a_package_that_is_not_there_is_not_installed() -> None:
    assert is_installed("json")
    assert not is_installed("no_such_package")
    assert not is_installed("no_such_package.part")


@pytest.mark.parametrize(
    ("base_url", "count"),
    [
        ("https://models.example.com/v1", 0),
        ("http://models.example.com/v1", 1),
        ("http://8.8.8.8/v1", 1),
        ("http://127.0.0.1:8000/v1", 0),
        ("http://192.168.1.7:8000/v1", 0),
        ("http://gpu-box:8000/v1", 0),
        ("http://gpu.local:8000/v1", 0),
    ],
)
def test_a_key_that_would_go_far_unencrypted_is_warned_of(base_url: str, count: int) -> None:
    assert len(warnings(ModelSpec(name="m", base_url=base_url, api_key="k"))) == count
    assert warnings(ModelSpec(name="m", base_url=base_url)) == []
