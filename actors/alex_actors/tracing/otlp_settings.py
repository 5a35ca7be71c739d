"""What the environment says of sending traces: OpenTelemetry's own variables, with its own meanings.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and, of the exporter,
https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from alex_actors.redact import Redactor
from alex_actors.tracing.spans_values import AskedModel

if TYPE_CHECKING:
    from alex_actors.models.spec import ModelSpec, Provider

INSTALL = "pip install 'alex-runtime[otel]'"

_PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_PROVIDERS: Mapping[Provider, str] = {
    "openai": "openai",
    "azure": "azure.ai.openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
}
"""By their protocols: whoever speaks OpenAI's counts as that, as the semantic conventions have it."""

TIMEOUT = 10.0
"""Seconds, the specification's default."""

_OFFLINE = "offline"
_SPOKEN = "http/protobuf"
_SHORTEST_SECRET = 4
"""Characters; a shorter value would be found in other words."""


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Return whether traces are to be sent: an endpoint is named, and nothing says that they are not."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").lower().replace(",", " ").split()
    if exporters and "otlp" not in exporters:
        return False
    return any(environ.get(name, "").strip() for name in _ENDPOINTS)


def is_installed() -> bool:
    """Return whether the packages are there, without importing what takes long."""
    try:
        return all(find_spec(package) is not None for package in _PACKAGES)
    except ImportError:  # of what they are parts of
        return False


def unspoken_protocol(environ: Mapping[str, str]) -> str | None:
    """Return the protocol that is asked for, if it is not the one that is spoken."""
    protocol = _first(environ, _PROTOCOLS)
    return None if protocol in ("", _SPOKEN) else protocol


def traces_url(endpoint: str) -> str:
    """Return where traces go, of an endpoint for everything (``OTEL_EXPORTER_OTLP_ENDPOINT``) or for them alone.

    Raises ValueError if it is no URL of HTTP.
    """
    try:
        parts = urlsplit(endpoint)
        _ = parts.port  # raises if it is none
    except ValueError as error:
        raise ValueError(f"{endpoint!r} is no URL such as http://localhost:4318 ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{endpoint!r} is no URL such as http://localhost:4318")
    return endpoint if parts.path.endswith("/v1/traces") else f"{endpoint.removesuffix('/')}/v1/traces"


def shown(url: str) -> str:
    """Return an endpoint as a log may have it: without a password, and without parameters."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # of a port that is none, or an address that is half an IPv6 one
        return "what is no URL"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def endpoint_of(environ: Mapping[str, str]) -> str:
    """Return the endpoint that the environment names, as it names it."""
    return _first(environ, _ENDPOINTS)


def timeout_of(environ: Mapping[str, str]) -> float:
    """Return how many seconds a request may take, with its repeats; the default for what is no time.

    The exporter reads the same, and says what is no number.
    """
    try:
        seconds = float(_first(environ, _TIMEOUTS) or TIMEOUT)
    except ValueError:
        return TIMEOUT
    return seconds if 0 < seconds <= TIMEOUT_MAX else TIMEOUT


def redactor_of(environ: Mapping[str, str], *endpoints: str) -> Redactor:
    """Return a redactor that knows what the headers and the endpoints have of secrets."""
    return Redactor({secret for secret in _secrets(environ, endpoints) if len(secret) >= _SHORTEST_SECRET})


def asked_models(specs: Mapping[str, ModelSpec]) -> dict[str, AskedModel]:
    """Return what the configured models are called where they are asked, by the names that tasks have for them."""
    configured = {name: AskedModel(spec.name, _PROVIDERS[spec.provider]) for name, spec in specs.items()}
    return {_OFFLINE: AskedModel(_OFFLINE, "alex-runtime"), **configured}


def _secrets(environ: Mapping[str, str], endpoints: tuple[str, ...]) -> Iterator[str]:
    for name in _HEADERS:
        for header in environ.get(name, "").split(","):
            value = header.partition("=")[2].strip()
            yield header.strip()
            yield from (value, unquote(value))
    for endpoint in (*endpoints, *(environ.get(name, "") for name in _ENDPOINTS)):
        with suppress(ValueError):  # what is no URL is not asked either
            parts = urlsplit(endpoint)
            yield from (parts.query, parts.password or "")


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := environ.get(name, "").strip())), "")
