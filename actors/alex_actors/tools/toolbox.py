"""The toolbox: which tools a task's preset offers, and the one door through which they are called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from alex_actors.ports import AgentError, Tool, ToolContext, ToolError, ToolSpec


class Toolbox:
    """Tools by name, and for each preset the names of those that it allows.

    A preset may name tools that are not there: then they are not offered.
    """

    def __init__(self, *, tools: Mapping[str, Tool], presets: Mapping[str, Collection[str]]) -> None:
        self._tools = dict(tools)
        self._allowed = {preset: frozenset(names) for preset, names in presets.items()}
        self._offered = {
            preset: tuple(tool.spec for name, tool in self._tools.items() if name in names)
            for preset, names in self._allowed.items()
        }

    def offered(self, preset: str) -> tuple[ToolSpec, ...]:
        """Return the tools of a preset. Raises AgentError if there is no such preset."""
        specs = self._offered.get(preset)
        if specs is None:
            raise AgentError(f"There is no tool preset {preset!r}; there are: {', '.join(sorted(self._offered))}.")
        return specs

    def repeatable(self, name: str, preset: str) -> bool:
        """Return whether calling a tool again changes nothing more; calling one that is refused never does."""
        tool = self._tools.get(name)
        return tool is None or tool.spec.repeatable or name not in self._allowed.get(preset, ())

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],  # JSON, as the model wrote it
        context: ToolContext,
        preset: str,
    ) -> str:
        """Run a tool.

        Raises ToolError if there is no such tool, the preset does not allow it, or the tool says so (it checks
        its arguments itself); AgentError if there is no such preset.
        """
        offered = self.offered(preset)
        tool = self._tools.get(name)
        if tool is None:
            names = ", ".join(spec.name for spec in offered) or "none"
            raise ToolError(f"There is no tool {name!r}. The tools are: {names}.")
        if name not in self._allowed[preset]:
            raise ToolError(f"The tool preset {preset!r} does not allow {name!r}; {self._who_would(name)}.")
        return await tool(arguments, context)

    def _who_would(self, name: str) -> str:
        presets = [repr(preset) for preset, names in self._allowed.items() if name in names]
        return f"{' and '.join(presets)} would" if presets else "no preset of this server does"
