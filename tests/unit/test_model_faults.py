"""How providers say that a conversation is too long, and how long they want to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alex_actors.models.faults import retry_after
from alex_actors.models.overflow import says_overflow

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("provider", "status", "said"),
    [
        ("OpenAI", 400, "This model's maximum context length is 8192 tokens. However, your messages resulted in"),
        (
            "Azure",
            400,
            "This model's maximum context length is 128000 tokens, however you requested 130000 tokens",
        ),
        ("vLLM", 400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"),
        ("vLLM", 400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
        ("llama.cpp", 400, "the request exceeds the available context size, try increasing it"),
        ("llama.cpp", 500, "the request exceeds the available context size. try increasing the context size"),
        ("Ollama", 400, "the input length exceeds the context length"),
        ("Ollama", 400, "input length exceeds maximum context length"),
        ("LM Studio", 400, "However, the model is loaded with context length of only 4096 tokens"),
        (
            "LM Studio",
            400,
            "The number of tokens to keep from the initial prompt is greater than the context length",
        ),
        ("Anthropic", 400, "prompt is too long: 213462 tokens > 200000 maximum"),
        ("Anthropic", 400, "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000"),
        ("Anthropic", 413, "Request exceeds the maximum size"),
        ("Gemini", 400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
        ("Groq", 400, "Please reduce the length of the messages or completion."),
        ("Mistral", 400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),
        ("DeepSeek", 400, "This model's maximum context length is 65536 tokens. However, you requested 70000"),
        (
            "OpenRouter",
            400,
            "This endpoint's maximum context length is 32768 tokens. However, you requested about",
        ),
        ("xAI", 400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    ],
)
def test_a_conversation_that_is_too_long_is_recognised_by_its_wording(
    provider: str, status: int, said: str
) -> None:
    assert says_overflow(said, (), status), provider


def test_a_conversation_that_is_too_long_is_recognised_by_its_code() -> None:
    assert says_overflow("", ("context_length_exceeded",), 400)
    assert says_overflow("", ("exceed_context_size_error",), 400)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "max_tokens is too large: 100000. This model supports at most 16384 completion tokens"),
        (400, "Invalid value for 'messages'"),
        (429, "Rate limit reached: reduce the length of the messages or wait"),
        (401, "prompt is too long"),
    ],
)
def test_other_errors_are_not_taken_for_one(status: int, said: str) -> None:
    assert not says_overflow(said, (), status)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds
