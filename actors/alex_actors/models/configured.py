"""The models that the settings name, as they are to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from alex_actors.models import OFFLINE
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Price

if TYPE_CHECKING:
    from alex_config import Settings
    from alex_config.tables import ModelTable


def configured_models(settings: Settings) -> dict[str, ModelSpec]:
    """Return the models by the name that a task has for them; the offline one is none of them."""
    model, defined = settings.model, settings.defined
    first = ModelSpec(
        name=model.name,
        provider=model.provider,
        base_url=model.base_url or None,
        api_key=model.api_key or None,
        api_version=model.api_version or None,
        context_tokens=model.context_tokens or None,
        max_output_tokens=model.max_output_tokens or None,
        timeout_seconds=model.timeout_seconds,
        attempts=model.attempts,
    )
    same_place = {
        name: structs.replace(first, name=name) for name in (model.name, *model.choices) if name != OFFLINE
    }
    return same_place | {name: _of_table(name, table, settings) for name, table in defined.models.items()}


def _of_table(name: str, table: ModelTable, settings: Settings) -> ModelSpec:
    return ModelSpec(
        name=table.name or name,
        provider=table.provider,
        base_url=table.base_url or None,
        api_key=table.api_key or None,
        api_version=table.api_version or None,
        context_tokens=table.context_tokens or None,
        max_output_tokens=table.max_output_tokens or settings.model.max_output_tokens or None,
        timeout_seconds=table.timeout_seconds or settings.model.timeout_seconds,
        attempts=table.attempts or settings.model.attempts,
        section=f"models.{name}",
    )


def configured_prices(settings: Settings) -> dict[str, Price]:
    """Return what the user says that models cost."""
    return {
        name: Price(
            input=price.input,
            output=price.output,
            cached_input=None if price.cached_input < 0 else price.cached_input,
        )
        for name, price in settings.defined.prices.items()
    }
