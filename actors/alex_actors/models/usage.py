"""What a call of a model took: as the provider counted it, or as it is estimated; and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from alex_actors.events import Usage
from alex_actors.models.spec import ModelSpec
from alex_actors.models.unchecked import count, field
from alex_actors.values import Value

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

_MILLION = 1_000_000

MOST_TOKENS = 1_000_000_000
MOST_DOLLARS = 1_000_000.0
"""Of one call: a hundred times what any model takes. A server that counts more does not count."""

_SAYS_COSTS = "openrouter.ai"
"""Who says with each answer what it cost."""


class Price(Value, frozen=True, kw_only=True):
    """What a model costs, in US dollars for a million tokens."""

    input: float
    output: float
    cached_input: float | None = None
    """Of input that the provider had in its cache; None: as all input."""


class Counted(Value, frozen=True, kw_only=True):
    """Tokens, as a provider counted them."""

    input: int | None
    """With those of the cache."""
    output: int | None
    cached: int = 0
    written: int = 0
    """Of the input, those that were put into the cache."""
    cost: float | None = None
    """In US dollars, where the provider says it with each answer, as OpenRouter does."""

    @staticmethod
    def of(usage: object) -> Counted | None:
        """Read what an OpenAI-compatible server says; None if it says nothing, or what cannot be."""
        details = field(usage, "prompt_tokens_details")
        cached = count(details, "cached_tokens")
        if cached is None:
            cached = count(usage, "prompt_cache_hit_tokens")  # DeepSeek's
        counted = Counted(
            input=count(usage, "prompt_tokens"),
            output=count(usage, "completion_tokens"),
            cached=cached or 0,
            written=count(details, "cache_write_tokens") or 0,
            cost=_dollars(field(usage, "cost")),
        )
        most = max(counted.input or 0, counted.output or 0, counted.cached, counted.written)
        return counted if 0 < most <= MOST_TOKENS and (counted.input or counted.output) else None


def added(usage: Usage, spent: Usage | None) -> Usage:
    """Return the sum of two usages. Its cost is what is known of theirs: a limit of costs needs each cent."""
    if spent is None:
        return usage
    is_known = usage.cost_usd is not None or spent.cost_usd is not None
    return Usage(
        input_tokens=usage.input_tokens + spent.input_tokens,
        output_tokens=usage.output_tokens + spent.output_tokens,
        cost_usd=(usage.cost_usd or 0.0) + (spent.cost_usd or 0.0) if is_known else None,
        estimated=usage.estimated or spent.estimated,
    )


class Rates:
    """A model's price and limits: what the user says, else the provider, else ``genai-prices``, which asks nobody.

    ``prices`` are by the provider's name of the model (``spec.name``), whatever tasks call it. A price of the
    user's own counts wherever the model is, one of the library only at a provider's own URL: what a server of
    your own costs, nobody knows.
    """

    def __init__(self, spec: ModelSpec, *, prices: Mapping[str, Price] | None = None) -> None:
        self._own = (prices or {}).get(spec.name)
        self._known = _looked_up(spec)
        self._says_costs = spec.host == _SAYS_COSTS
        window = None if self._known is None else self._known[1].context_window
        self.context_tokens: int | None = spec.context_tokens or window

    def usage(self, counted: Counted, *, now: datetime, estimated: bool = False) -> Usage:
        """Return a usage with its cost. The tokens of ``counted`` are all known."""
        return Usage(
            input_tokens=counted.input or 0,
            output_tokens=counted.output or 0,
            cost_usd=self._cost(counted, now),
            estimated=estimated,
        )

    def is_priced(self, *, now: datetime) -> bool:
        """Return whether it is known what the model costs: a limit of costs has something to compare with."""
        return self._says_costs or self._cost(Counted(input=1, output=1), now) is not None

    def _cost(self, counted: Counted, now: datetime) -> float | None:
        cached = min(counted.cached, counted.input or 0)
        fresh = (counted.input or 0) - cached
        if self._own is not None:
            of_cache = self._own.input if self._own.cached_input is None else self._own.cached_input
            output = (counted.output or 0) * self._own.output
            return (fresh * self._own.input + cached * of_cache + output) / _MILLION
        if counted.cost is not None or self._known is None:
            return counted.cost
        from genai_prices.types import Usage as Tokens  # imported with the first model, not with every server

        provider, model = self._known
        tokens = Tokens(
            input_tokens=counted.input or 0,
            output_tokens=counted.output or 0,
            cache_read_tokens=cached,
            cache_write_tokens=min(counted.written, fresh),
        )
        try:
            price = model.calc_price(tokens, provider, genai_request_timestamp=now)
        except (LookupError, ValueError):  # it has no price, or the provider counts in a way that it does not know
            return None
        return float(price.total_price)


def _looked_up(spec: ModelSpec) -> tuple[Provider, ModelInfo] | None:
    from genai_prices.data_snapshot import get_snapshot  # an eighth of a second, which not every server needs

    named = {"anthropic": "anthropic", "gemini": "google", "azure": "azure"}.get(spec.provider)
    by_name = named is not None and (spec.provider == "azure" or spec.is_providers_own)
    try:
        return get_snapshot().find_provider_model(
            spec.name, None, named if by_name else None, None if by_name else spec.home
        )
    except LookupError:
        return None


def _dollars(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MOST_DOLLARS else None
