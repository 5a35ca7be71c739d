"""The settings as types: what each may be.

Defaults, units and reasons are in ``default.toml``, and only there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
)

from alex_actors.tools.web_addresses import AllowedAddresses
from alex_config.tables import McpTable, ModelTable, Price, Provider, Text, Texts, ToolPatterns

_HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://(?:{_HOST_NAME.pattern})(?::([0-9]{{1,5}}))?")
_DEFAULT_PORTS = frozenset({("http", "80"), ("https", "443")})


def _host_names(values: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(value.lower() for value in values)
    if not all(map(_HOST_NAME.fullmatch, names)):
        raise ValueError('a list of names as a Host header has them, without a port, such as ["alex.example.com"]')
    return names


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    origins = tuple(value.lower() for value in values)
    matches = map(_ORIGIN.fullmatch, origins)
    if not all(match and match.groups() not in _DEFAULT_PORTS for match in matches):
        raise ValueError(
            "a list of origins as browsers send them, without a path, without a port that is the scheme's own"
            ' and without "*", such as ["https://app.example.com", "http://localhost:3000"]'
        )
    return origins


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(value)) for value in values)
    except ValueError:
        raise ValueError('a list of addresses and networks, such as ["192.0.2.7", "10.0.0.0/8"]') from None


def _web_addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    try:
        AllowedAddresses(values)
    except ValueError:
        raise ValueError('a list of hosts and networks, such as ["wiki.internal", "10.1.0.0/16"]') from None
    return values


class _Section(BaseModel):
    # Strict, because a lax model takes `port = true` for 1 and `port = "80"` for 80.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ServerSettings(_Section):
    """The HTTP server."""

    host: Text
    port: Annotated[int, Field(ge=0, le=65535)]
    allowed_hosts: Annotated[Texts, AfterValidator(_host_names)]
    cors_origins: Annotated[Texts, AfterValidator(_origins)]
    threads: Annotated[int, Field(ge=1, le=64)]
    trusted_proxies: Annotated[Texts, AfterValidator(_networks)]
    max_body_bytes: Annotated[int, Field(ge=1024, le=67_108_864)]
    max_import_bytes: Annotated[int, Field(ge=1024, le=1_073_741_824)]
    max_header_bytes: Annotated[int, Field(ge=8192, le=1_048_576)]
    max_url_bytes: Annotated[int, Field(ge=1024, le=65_536)]
    max_request_memory_bytes: Annotated[int, Field(ge=1_048_576, le=17_179_869_184)]
    one_core: bool
    max_connections: Annotated[int, Field(ge=10, le=100_000)]
    loop: Literal["auto", "epoll", "poll"]


class StoreSettings(_Section):
    """The database, and where all files are."""

    data_dir: str
    synchronous: Literal["FULL", "NORMAL", "OFF"]
    keep_ended_days: Annotated[int, Field(ge=0, le=36_500)]

    @field_validator("data_dir")
    @classmethod
    def _can_be_a_path(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("a path without a null character")
        try:
            Path(value).expanduser()
        except RuntimeError:
            raise ValueError('a path whose "~" stands for the home of a user who exists') from None
        return value

    def resolved_data_dir(self) -> Path:
        """Return the absolute path of the data directory; it may not exist yet."""
        if not self.data_dir:
            return platformdirs.user_data_path("alex-runtime", appauthor=False)
        return Path(self.data_dir).expanduser().absolute()


class LimitsSettings(_Section):
    """How much is taken on at once."""

    max_unfinished_tasks: Annotated[int, Field(ge=1, le=1_000_000)]
    max_running_tasks: Annotated[int, Field(ge=1, le=1_000_000)]
    max_streams: Annotated[int, Field(ge=1, le=1_000_000)]
    max_streams_per_client: Annotated[int, Field(ge=1, le=1_000_000)]
    max_connections_per_client: Annotated[int, Field(ge=1, le=100_000)]
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)]


class AgentsSettings(_Section):
    """What agents may take."""

    max_iterations: Annotated[int, Field(ge=1, le=1000)]
    max_tokens: Annotated[int, Field(ge=0, le=1_000_000_000)]
    max_cost_usd: Annotated[float, Field(ge=0, le=1_000_000)]
    task_timeout_seconds: Annotated[float, Field(ge=0, le=604_800)]
    max_depth: Annotated[int, Field(ge=0, le=10)]
    max_sub_agents: Annotated[int, Field(ge=1, le=1000)]
    cancel_grace_seconds: Annotated[float, Field(ge=0, le=600)]
    max_events_ahead: Annotated[int, Field(ge=1, le=10_000)]
    recovery: Literal["resume", "fail"]


class ModelSettings(_Section):
    """The model of tasks that name none, and what all models have in common."""

    name: Text
    provider: Provider
    base_url: str
    api_key: Annotated[str, Field(repr=False)]
    api_version: str
    choices: Texts
    context_tokens: Annotated[int, Field(ge=0, le=100_000_000)]
    max_output_tokens: Annotated[int, Field(ge=0, le=100_000_000)]
    timeout_seconds: Annotated[float, Field(ge=1, le=3600)]
    attempts: Annotated[int, Field(ge=1, le=20)]


class ToolsSettings(_Section):
    """Which tools agents have by default, and what those may take."""

    preset: Text
    always: ToolPatterns
    approve: ToolPatterns
    approval_timeout_seconds: Annotated[float, Field(ge=0, le=31_536_000)]
    functions: Texts
    web_timeout_seconds: Annotated[float, Field(ge=1, le=600)]
    web_max_bytes: Annotated[int, Field(ge=1024, le=67_108_864)]
    web_allowed: Annotated[Texts, AfterValidator(_web_addresses)]
    max_file_bytes: Annotated[int, Field(ge=1024, le=1_048_576)]
    max_workspace_bytes: Annotated[int, Field(ge=1_048_576, le=1_099_511_627_776)]
    max_workspace_files: Annotated[int, Field(ge=10, le=1_000_000)]
    sandbox: Literal["auto", "bubblewrap", "off"]
    shell_timeout_seconds: Annotated[float, Field(ge=1, le=3600)]
    shell_max_processes: Annotated[int, Field(ge=8, le=100_000)]
    shell_max_memory_bytes: Annotated[int, Field(ge=67_108_864, le=1_099_511_627_776)]
    shell_max_cpu_seconds: Annotated[int, Field(ge=1, le=86_400)]
    shell_max_open_files: Annotated[int, Field(ge=16, le=1_000_000)]


class LogSettings(_Section):
    """What is logged, and how much of it is kept."""

    level: Literal["debug", "info", "warning", "error"]
    max_file_bytes: Annotated[int, Field(ge=0, le=1_099_511_627_776)]
    keep_files: Annotated[int, Field(ge=0, le=100)]


class TimeoutsSettings(_Section):
    """How long somebody waits for somebody else."""

    ask_seconds: Annotated[float, Field(ge=0.1, le=60)]
    request_headers_seconds: Annotated[float, Field(ge=1, le=600)]
    request_body_seconds: Annotated[float, Field(ge=1, le=3600)]
    shutdown_seconds: Annotated[float, Field(ge=0, le=600)]


class Presets(_Section):
    """The presets that a task can name: those that ship with the package and those of the user's file."""

    agents: Annotated[Mapping[str, str], AfterValidator(MappingProxyType)]
    """System prompts by name."""
    tools: Annotated[Mapping[str, tuple[str, ...]], AfterValidator(MappingProxyType)]
    """Names of tools and patterns of names, each once, by name."""
    models: Mapping[str, str]
    """Of agent presets that have one of their own: the model of their tasks."""
    approve: Mapping[str, tuple[str, ...]]
    """Of tool presets: the tools that wait for a person's word."""


class Definitions(_Section):
    """What files define by name. ``own_agents`` has agents as ``package.module:Name``."""

    presets: Presets
    models: Mapping[str, ModelTable]
    prices: Mapping[str, Price]
    mcp: Mapping[str, McpTable]
    own_agents: Mapping[str, str]
    directory: Path
    """Where the user's file is, or would be: modules of agents and tools may be there."""


class Settings(_Section):
    """All settings, checked. Immutable."""

    model: ModelSettings

    server: ServerSettings
    store: StoreSettings
    limits: LimitsSettings
    agents: AgentsSettings
    tools: ToolsSettings
    log: LogSettings
    timeouts: TimeoutsSettings
    defined: Definitions

    @property
    def presets(self) -> Presets:
        """Return the presets that a task can name."""
        return self.defined.presets


SECTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "server": ServerSettings,
        "store": StoreSettings,
        "limits": LimitsSettings,
        "model": ModelSettings,
        "agents": AgentsSettings,
        "tools": ToolsSettings,
        "log": LogSettings,
        "timeouts": TimeoutsSettings,
    }
)
"""The model of each section of settings; presets are no settings, and come only from files."""
