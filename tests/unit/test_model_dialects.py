"""Servers that differ in what they take: Azure, no count of tokens, another name for the limit of output."""

from __future__ import annotations

import pytest

from alex_actors.models.spec import ModelSpec
from alex_actors.ports import AgentError
from tests.unit.model_fakes import KEY, Provider, chunk, heard, model_at, refused, reply_of, streamed

STOP = chunk(finish="stop")


def test_azure_is_asked_by_deployment_and_version() -> None:
    spec = ModelSpec(
        name="my-gpt",
        provider="azure",
        base_url="https://me.openai.azure.com",
        api_key=KEY,
        api_version="2024-10-21",
        max_output_tokens=99,
    )
    provider = Provider(streamed(chunk("4"), STOP))

    heard(model_at(provider, spec))

    (request,) = provider.requests
    home = "https://me.openai.azure.com/openai/deployments/my-gpt"
    assert request.url == f"{home}/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == KEY
    assert provider.bodies[0]["max_completion_tokens"] == 99


def test_a_server_that_knows_no_count_of_tokens_is_asked_without_for_ever_after() -> None:
    provider = Provider(
        refused(422, "extra_forbidden: stream_options"), streamed(chunk("4"), STOP), streamed(chunk("5"), STOP)
    )
    model = model_at(provider)

    heard(model)
    second = reply_of(heard(model))

    assert ["stream_options" in body for body in provider.bodies] == [True, False, False]
    assert second.usage is not None
    assert second.usage.estimated


def test_the_limit_of_output_tokens_goes_by_the_name_that_a_server_knows() -> None:
    spec = ModelSpec(name="m", base_url="http://models.test/v1", max_output_tokens=50)
    unknown = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    provider = Provider(refused(400, unknown, code="unsupported_parameter"), streamed(chunk("4"), STOP))

    heard(model_at(provider, spec))

    first, second = provider.bodies
    assert first["max_tokens"] == 50
    assert second["max_completion_tokens"] == 50
    assert "max_tokens" not in second


def test_a_server_that_takes_neither_name_is_not_asked_for_ever() -> None:
    spec = ModelSpec(name="m", base_url="http://models.test/v1", max_output_tokens=50)
    unknown = "unsupported: max_tokens, max_completion_tokens"

    with pytest.raises(AgentError, match=r"refuses the request \(400\): unsupported"):
        heard(model_at(Provider(refused(400, unknown), refused(400, unknown)), spec))
