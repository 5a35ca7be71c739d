"""The settings as types: what each may be.

Defaults, units and reasons are in ``default.toml``, and only there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Section(BaseModel):
    # Strict, because a lax model takes `port = true` for 1 and `port = "80"` for 80.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ServerSettings(_Section):
    """The HTTP server."""

    host: Text
    port: Annotated[int, Field(ge=0, le=65535)]
    threads: Annotated[int, Field(ge=1, le=64)]
    max_body_bytes: Annotated[int, Field(ge=1024, le=67_108_864)]
    one_core: bool
    max_connections: Annotated[int, Field(ge=10, le=100_000)]
    loop: Literal["auto", "epoll", "poll"]


class StoreSettings(_Section):
    """The database, and where all files are."""

    data_dir: str
    synchronous: Literal["FULL", "NORMAL", "OFF"]

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


class AgentsSettings(_Section):
    """What agents may take."""

    max_iterations: Annotated[int, Field(ge=1, le=1000)]
    cancel_grace_seconds: Annotated[float, Field(ge=0, le=600)]
    max_events_ahead: Annotated[int, Field(ge=1, le=10_000)]


class ToolsSettings(_Section):
    """Which tools agents have by default, and what those may take."""

    preset: Text
    shell_timeout_seconds: Annotated[float, Field(ge=1, le=3600)]


class LogSettings(_Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"]


class TimeoutsSettings(_Section):
    """How long somebody waits for somebody else."""

    ask_seconds: Annotated[float, Field(ge=0.1, le=60)]
    shutdown_seconds: Annotated[float, Field(ge=0, le=600)]


class Presets(_Section):
    """The presets that a task can name: those that ship with the package and those of the user's file."""

    agents: Annotated[Mapping[str, str], AfterValidator(MappingProxyType)]
    """System prompts by name."""
    tools: Annotated[Mapping[str, tuple[str, ...]], AfterValidator(MappingProxyType)]
    """Names of tools, each once, by name."""


class Settings(_Section):
    """All settings, checked. Immutable."""

    server: ServerSettings
    store: StoreSettings
    limits: LimitsSettings
    agents: AgentsSettings
    tools: ToolsSettings
    log: LogSettings
    timeouts: TimeoutsSettings
    presets: Presets


SECTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "server": ServerSettings,
        "store": StoreSettings,
        "limits": LimitsSettings,
        "agents": AgentsSettings,
        "tools": ToolsSettings,
        "log": LogSettings,
        "timeouts": TimeoutsSettings,
    }
)
"""The model of each section of settings; presets are no settings, and come only from files."""
