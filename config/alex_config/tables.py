"""The named tables of a configuration file as types: presets, model endpoints, prices, MCP servers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def as_tuple(value: object) -> object:
    """Take a list, as TOML has it, for the tuple that nobody can change."""
    return tuple(value) if isinstance(value, list) else value


Texts: TypeAlias = Annotated[tuple[Text, ...], BeforeValidator(as_tuple)]
"""A list of texts; in the environment with commas between them."""

ToolPattern: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A[A-Za-z0-9_*?\[\]!-]{1,64}\z"),
    Field(description="the name of a tool, or a pattern of names such as 'github__*'"),
]
ToolPatterns: TypeAlias = Annotated[tuple[ToolPattern, ...], BeforeValidator(as_tuple)]

Provider: TypeAlias = Literal["openai", "azure", "anthropic", "gemini"]
TextsByName: TypeAlias = Annotated[Mapping[str, str], AfterValidator(MappingProxyType)]


class Table(BaseModel):
    """One named table."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class AgentPreset(Table):
    """``[presets.agents.NAME]``: who an agent is."""

    system_prompt: Text
    model: str = ""
    """The model of tasks that name none; empty: that of the server."""


class ToolPreset(Table):
    """``[presets.tools.NAME]``: what an agent may call."""

    tools: ToolPatterns
    approve: ToolPatterns = ()
    """Those of them that wait for a person's word."""


class ModelTable(Table):
    """``[models.NAME]``: one more model that a task may choose.

    Limits that are 0 are as in ``[model]``, but for ``context_tokens``, which is the model's own.
    """

    name: str = ""
    """What the provider calls it; empty: NAME."""
    provider: Provider = "openai"
    base_url: str = ""
    api_key: Annotated[str, Field(repr=False)] = ""
    api_key_variable: str = ""
    """The environment variable that has the key."""
    api_version: str = ""
    context_tokens: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    max_output_tokens: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    timeout_seconds: Annotated[float, Field(ge=0, le=3600)] = 0
    attempts: Annotated[int, Field(ge=0, le=20)] = 0


class Price(Table):
    """``[prices."MODEL"]``: US dollars for a million tokens."""

    input: Annotated[float, Field(ge=0, le=1_000_000)]
    output: Annotated[float, Field(ge=0, le=1_000_000)]
    cached_input: Annotated[float, Field(ge=-1, le=1_000_000)] = -1
    """Of input that the provider had in its cache; -1: as all input."""


class McpTable(Table):
    """``[mcp.NAME]``: a server whose tools agents may call: started (``command``) or called (``url``)."""

    command: str = ""
    args: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    env: Annotated[TextsByName, Field(repr=False, default_factory=dict)]
    pass_env: Texts = ()
    """Variables of the server's own environment that the command gets too."""
    cwd: str = ""
    url: str = ""
    headers: Annotated[TextsByName, Field(repr=False, default_factory=dict)]
    header_variables: Annotated[TextsByName, Field(default_factory=dict)]
    """Headers whose values are in environment variables: the name of the variable by the name of the header."""
    timeout_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    start_timeout_seconds: Annotated[float, Field(ge=1, le=600)] = 30.0
