"""How providers say that a conversation is too long: there is no common code for it, only wordings."""

from __future__ import annotations

import re
from collections.abc import Collection

_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "request_too_large"})
"""OpenAI's, Azure's and Groq's; llama.cpp's; Anthropic's, of a request of too many bytes."""

_WORDINGS = re.compile(
    "|".join(
        (
            r"maximum context length",  # OpenAI, Azure, DeepSeek, OpenRouter, vLLM, Mistral
            r"maximum prompt length",  # xAI
            r"longer than the maximum model length",  # vLLM
            r"exceeds? the (?:available|maximum|model'?s?) context",  # llama.cpp, Ollama
            r"exceeds? the context (?:length|size|window|limit)",  # Ollama, LM Studio, llama.cpp
            r"exceeds? context limit",  # Anthropic, of prompt and max_tokens together
            r"prompt is too long",  # Anthropic
            r"input token count .{0,40}exceeds the maximum",  # Gemini
            r"loaded with context length of only",  # LM Studio
            r"tokens to keep from the initial prompt is greater than the context",  # LM Studio
            r"context (?:length|window|size)(?: \S+)? (?:is |was |has been )?exceeded",  # gateways
            r"reduce the length of the (?:messages|prompt|input)",  # Groq, and OpenAI once
            r"too many (?:input )?tokens in (?:the )?(?:prompt|request)",  # Together, Fireworks
        )
    ),
    re.IGNORECASE,
)

_ABOUT_SOMETHING_ELSE = frozenset({401, 402, 403, 404, 408, 409, 429})
"""Statuses that mean something else, whatever the text says: a 429 may speak of tokens, too, those of a minute."""


def says_overflow(said: str, codes: Collection[str], status: int | None) -> bool:
    """Return whether a provider's error means that the conversation is longer than the model takes."""
    if status in _ABOUT_SOMETHING_ELSE:
        return False
    return status == 413 or not _CODES.isdisjoint(codes) or _WORDINGS.search(said) is not None
