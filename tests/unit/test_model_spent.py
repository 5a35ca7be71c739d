"""What calls of a model took that came to no answer, or that nobody counted."""

from __future__ import annotations

import httpx2
import pytest

from alex_actors.events import Usage
from alex_actors.models.conversation import conversation_tokens, estimated_tokens
from alex_actors.models.faults import ModelFailure
from alex_actors.models.usage import Price
from alex_actors.ports import Message, ModelError
from tests.unit.model_fakes import (
    CALCULATOR,
    BrokenStream,
    Provider,
    broken,
    chunk,
    heard,
    model_at,
    reply_of,
    streamed,
    usage,
)

STOP = chunk(finish="stop")


def test_an_attempt_that_was_cut_tells_what_it_used_up() -> None:
    price = {"a-model": Price(input=1.0, output=1_000_000)}
    provider = Provider(broken(BrokenStream([chunk("12345678")], httpx2.ReadError("gone"))))

    with pytest.raises(ModelFailure) as raised:
        heard(model_at(provider, prices=price))

    spent = raised.value.spent
    assert spent is not None
    assert spent.output_tokens == 2
    assert spent.estimated
    assert spent.cost_usd == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    "reply",
    [
        streamed(chunk(reasoning="Hm."), chunk(finish="length"), usage(10, 500)),
        streamed(chunk("Well, "), chunk(finish="content_filter"), usage(10, 500)),
        streamed(STOP, usage(10, 500)),
        streamed(chunk("Hm."), usage(10, 500), {"error": {"message": "prompt is too long", "code": 400}}),
    ],
    ids=["all reasoning", "filtered", "empty", "too long"],
)
def test_whatever_is_no_answer_tells_what_it_used_up(reply: httpx2.Response) -> None:
    with pytest.raises(ModelError) as raised:
        heard(model_at(Provider(reply)))

    assert raised.value.spent == Usage(input_tokens=10, output_tokens=500)


def test_what_nobody_counted_is_estimated_as_the_agent_estimates_it() -> None:
    asked = (Message(role="user", content="Wie viele \u732b gibt es? " * 20),)
    answer = "\u732b\u732b\u732b sind es."

    reply = reply_of(heard(model_at(Provider(streamed(chunk(answer), STOP))), asked))

    assert reply.usage == Usage(
        input_tokens=conversation_tokens(asked, (CALCULATOR,)),
        output_tokens=estimated_tokens(answer),
        estimated=True,
    )
