"""Makes models of what is configured, and says at the start what is wrong with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from alex_actors.models.breaker import Breaker
from alex_actors.models.resilience import ResilientModel
from alex_actors.models.spec import ModelConfigError, ModelSpec, Provider
from alex_actors.models.usage import Price, Rates
from alex_actors.ports import Clock

if TYPE_CHECKING:
    from alex_actors.models.chat_model import ChatModel

_PACKAGES: Mapping[Provider, tuple[str, ...]] = {
    "anthropic": ("any_llm", "anthropic"),
    "gemini": ("any_llm", "google.genai"),
}
"""That are not installed with this one, but with the extra of the provider's name."""

_LOCAL_NAMES = (".local", ".internal", ".lan", ".localhost")


def make_model(
    spec: ModelSpec,
    *,
    prices: Mapping[str, Price] | None = None,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
    random: Callable[[], float],
) -> ResilientModel:
    """Return the model of ``spec``, which is asked for the first time by a task.

    ``prices`` by model, of which the user's own count more than what is known. ``random`` returns numbers from 0
    to 1. Raises ModelConfigError for whatever can be known without the network.
    """
    check(spec)
    rates = Rates(spec, prices=prices)
    _check_room(spec, rates.context_tokens)
    breaker = Breaker(now=clock.monotonic)
    return ResilientModel(model=_chat_model(spec, rates, clock), breaker=breaker, sleep=sleep, random=random)


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without doing so."""
    try:
        return find_spec(package) is not None
    except ImportError:  # of what it is a part of
        return False


def check(spec: ModelSpec, *, is_installed: Callable[[str], bool] = is_installed) -> None:
    """Raise ModelConfigError if a model cannot be used as it is configured."""
    at = spec.section
    if not spec.name.strip():
        raise ModelConfigError(f"{at}.name is empty: give the model's name, as its provider has it.")
    if spec.base_url is not None:
        _check_url(spec.base_url, at)
    if spec.provider == "azure":
        _check_azure(spec)
    if not spec.api_key and (spec.is_providers_own or spec.provider != "openai"):
        where = "this provider" if spec.provider != "openai" else spec.place
        raise ModelConfigError(
            f"{at}.api_key is missing: the model {spec.name} at {where} needs one. {_key_hint(at)}; "
            f"for a server of your own, set {at}.base_url."
        )
    if spec.api_key is not None and not (
        spec.api_key.isascii() and spec.api_key.isprintable() and spec.api_key.strip()
    ):
        raise ModelConfigError(f"{at}.api_key has characters that no key has: look for line breaks and quotes.")
    missing = [name for name in _PACKAGES.get(spec.provider, ()) if not is_installed(name)]
    if missing:
        raise ModelConfigError(
            f"{at}.provider is {spec.provider!r}, and {' and '.join(missing)} is not installed: "
            f"pip install 'alex-runtime[{spec.provider}]'."
        )


def warnings(spec: ModelSpec) -> list[str]:
    """Return what should be looked at, although the model can be used: texts for a log."""
    if (
        spec.api_key is None
        or urlsplit(spec.home).scheme == "https"
        or _is_near(urlsplit(spec.home).hostname or "")
    ):
        return []
    return [
        f"{spec.section}.base_url is {spec.place}: the API key goes there unencrypted; https would protect it."
    ]


def _chat_model(spec: ModelSpec, rates: Rates, clock: Clock) -> ChatModel:
    # Half a second to two seconds, which a server without such a model does not pay.
    if spec.provider in ("openai", "azure"):
        from alex_actors.models.openai_compatible import OpenAICompatible

        return OpenAICompatible(spec=spec, rates=rates, clock=clock)
    from alex_actors.models.any_llm_model import AnyLLMModel

    try:
        return AnyLLMModel(spec=spec, rates=rates, clock=clock)
    except ImportError as error:
        raise ModelConfigError(
            f"{spec.section}.provider is {spec.provider!r}, and its package cannot be loaded: {error}. "
            f"Try pip install --upgrade 'alex-runtime[{spec.provider}]'."
        ) from error


def _check_url(url: str, at: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise ModelConfigError(
            f"{at}.base_url is {url!r}: a URL such as http://127.0.0.1:11434/v1 would be right."
        )
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ModelConfigError(
            f"{at}.base_url has a name, a query or a fragment: give the URL up to its path, "
            f"and the key as {at}.api_key."
        )
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ModelConfigError(f"{at}.base_url ends with /chat/completions: leave that out, it is added.")


def _check_room(spec: ModelSpec, context: int | None) -> None:
    limit = spec.output_limit
    if context is not None and limit is not None and limit >= context:
        raise ModelConfigError(
            f"A reply of the model {spec.name} may have {limit} tokens, of {context} that it takes in all, which "
            f"leaves none for the conversation: lower {spec.section}.max_output_tokens. If the model takes more, "
            f"set {spec.section}.context_tokens."
        )


def _check_azure(spec: ModelSpec) -> None:
    if not spec.base_url:
        raise ModelConfigError(
            f"{spec.section}.base_url is missing: for Azure give the resource's URL, such as "
            "https://my-resource.openai.azure.com."
        )
    if not spec.api_version:
        raise ModelConfigError(
            f"{spec.section}.api_version is missing: for Azure give one, such as 2024-10-21. (For Azure's newer "
            "API, whose URL ends with /openai/v1, set the provider to openai.)"
        )


def _key_hint(at: str) -> str:
    if at == "model":
        return "Set it in the environment, as ALEX_MODEL__API_KEY"
    return f"Have {at}.api_key_variable name a variable of the environment that has it"


def _is_near(host: str) -> bool:
    """Return whether a host is this one, or in a private network."""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_NAMES)
    return address.is_loopback or address.is_private
