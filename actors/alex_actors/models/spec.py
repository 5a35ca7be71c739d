"""Which model is to be asked, where, and within which limits: plain data, as the settings give it."""

from __future__ import annotations

from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from alex_actors.ports import AgentError
from alex_actors.values import Value

Provider: TypeAlias = Literal["openai", "azure", "anthropic", "gemini"]

HOMES: dict[Provider, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
}
"""Where the providers' own APIs are. Azure has no single one."""

TIMEOUT_SECONDS = 120.0
"""Some models think for a minute before they say anything."""

ATTEMPTS = 5
"""With the waits between them they last for about ten seconds, or a minute while the model is not asked at all."""

ANTHROPIC_OUTPUT_TOKENS = 8_192
"""Anthropic's API wants a limit. All of its models write as many."""


class ModelConfigError(AgentError):
    """Raised at the start for a model that cannot be used as it is configured; says what would be right."""


class ModelSpec(Value, frozen=True, kw_only=True):
    """A model, and how to ask it."""

    name: str
    """As the provider knows it; for Azure, the deployment's."""
    provider: Provider = "openai"
    """The protocol that is spoken there."""
    base_url: str | None = None
    """None: the provider's own."""
    api_key: str | None = None
    api_version: str | None = None
    """Of Azure, which wants one, and of Google."""
    context_tokens: int | None = None
    """How many a conversation may have, with the reply. None: what the catalogue of models says, if it knows."""
    max_output_tokens: int | None = None
    """None: the provider's own limit."""
    timeout_seconds: float = TIMEOUT_SECONDS
    """Between two pieces of an answer, and for the first."""
    attempts: int = ATTEMPTS
    section: str = "model"
    """Of the settings in which it stands, for errors."""

    @property
    def home(self) -> str:
        """Return the URL under which the provider is asked."""
        return self.base_url or HOMES.get(self.provider, "")

    @property
    def host(self) -> str | None:
        """Return the host of that URL."""
        return _host(self.home)

    @property
    def output_limit(self) -> int | None:
        """Return how many tokens a reply may have, as the provider is told; None: it is not told."""
        return self.max_output_tokens or (ANTHROPIC_OUTPUT_TOKENS if self.provider == "anthropic" else None)

    @property
    def is_providers_own(self) -> bool:
        """Return whether it is asked at the provider's own URL, not at a compatible server."""
        return self.host == _host(HOMES.get(self.provider, ""))

    @property
    def place(self) -> str:
        """Return where it is, for people: a URL without a name, a password or a query in it."""
        parts = urlsplit(self.home)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def without_key(self, text: str) -> str:
        """Return a text in which the API key, should it be there, is blotted out."""
        return text.replace(self.api_key, "[API key]") if self.api_key else text


def _host(url: str) -> str | None:
    return urlsplit(url).hostname
