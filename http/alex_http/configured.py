"""What the settings make of the HTTP layer: who may come in, what there is to choose from, how much is taken."""

from __future__ import annotations

from pathlib import Path

from alex_actors.ports import Clock
from alex_config import Settings
from alex_http.access import Access
from alex_http.catalog import Catalog
from alex_http.refusals import BodyLimits
from alex_http.transport import Limits

LARGE_AT_ONCE = 2
"""Imports of the largest size that may be received at the same time; more that are smaller."""


def access_of(settings: Settings, *, tokens: Path, clock: Clock) -> Access:
    """Return who may come in; ``tokens`` is their file."""
    http = settings.server
    return Access(
        tokens=tokens,
        host=http.host,
        allowed_hosts=http.allowed_hosts,
        cors_origins=http.cors_origins,
        requests_per_minute=settings.limits.requests_per_minute,
        clock=clock,
    )


def limits_of(settings: Settings, access: Access) -> Limits:
    """Return how large requests may be, of those who may send large ones, and how long they may take."""
    http, timeouts = settings.server, settings.timeouts
    return Limits(
        header_bytes=http.max_header_bytes,
        url_bytes=http.max_url_bytes,
        body_of=BodyLimits(usual=http.max_body_bytes, of_import=http.max_import_bytes, may_write=access.may_write),
        memory_bytes=http.max_request_memory_bytes,
        large_memory_bytes=LARGE_AT_ONCE * http.max_import_bytes,
        header_seconds=timeouts.request_headers_seconds,
        body_seconds=timeouts.request_body_seconds,
        connections_per_address=settings.limits.max_connections_per_client,
        trusted_proxies=http.trusted_proxies,
    )


def catalog_of(settings: Settings) -> Catalog:
    """Return the presets, agents and models that there are."""
    presets, defined, model = settings.presets, settings.defined, settings.model
    return Catalog(
        agent_presets=tuple(dict.fromkeys((*presets.agents, *defined.own_agents))),
        tool_presets=tuple(presets.tools),
        models=tuple(dict.fromkeys((model.name, *model.choices, *defined.models))),
        tool_preset=settings.tools.preset,
        model=model.name,
        models_of_presets=presets.models,
        max_iterations=settings.agents.max_iterations,
        timeout_seconds=settings.agents.task_timeout_seconds or None,
    )
