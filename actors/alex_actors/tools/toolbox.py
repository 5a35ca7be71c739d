"""The toolbox: which tools a task may call, by its preset, and which of them need a person's word."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

from alex_actors.models.unreadable import unreadable
from alex_actors.ports import AgentError, Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tools.names import Names, may_fit

Source: TypeAlias = Callable[[], Mapping[str, Tool]]
"""Returns the tools that are there at the moment, by name: those of servers, which come and go."""


class Toolbox:
    """Tools by name, and for each preset the names of those that it allows, exact or as patterns (``github__*``).

    Every preset has ``always`` besides its own. ``tools`` are there for good; ``sources`` are asked at each look.
    A name that a fixed tool has is its own whatever a source says, and among sources the first one's: so no
    server can take the place of a tool. ``approve`` has, by preset, the names of tools whose calls wait for a
    person's word, and ``approve_always`` those that do under every preset.

    A preset may name tools that are not there: then they are not offered. ``misnamed`` tells of them.
    """

    def __init__(
        self,
        *,
        tools: Mapping[str, Tool],
        presets: Mapping[str, Collection[str]],
        always: Collection[str] = (),
        sources: Sequence[Source] = (),
        approve: Mapping[str, Collection[str]] | None = None,
        approve_always: Collection[str] = (),
    ) -> None:
        self._tools = dict(tools)
        self._sources = tuple(sources)
        self._always = Names(always)
        self._given = {preset: Names(names) for preset, names in presets.items()}
        self._allowed = {preset: Names((*names, *always)) for preset, names in presets.items()}
        self._approve_always = Names(approve_always)
        self._approve_given = {preset: Names(names) for preset, names in (approve or {}).items()}
        self._approve = {
            preset: Names((*(approve or {}).get(preset, ()), *approve_always)) for preset in self._allowed
        }
        self._fixed = {
            preset: tuple(tool.spec for name, tool in self._tools.items() if name in names)
            for preset, names in self._allowed.items()
        }

    @property
    def fixed(self) -> frozenset[str]:
        """The names of the tools that are there for good."""
        return frozenset(self._tools)

    def offered(self, preset: str) -> tuple[ToolSpec, ...]:
        """Return the tools of a preset: fixed ones in their order, then the sources' by name.

        Raises AgentError if there is no such preset.
        """
        fixed = self._fixed.get(preset)
        if fixed is None:
            raise AgentError(f"There is no tool preset {preset!r}; there are: {', '.join(sorted(self._allowed))}.")
        if not self._sources:
            return fixed
        allowed, coming = self._allowed[preset], self._coming()
        return (*fixed, *(coming[name].spec for name in sorted(coming) if name in allowed))

    def repeatable(self, name: str, preset: str) -> bool:
        """Return whether calling a tool again changes nothing more; calling one that is refused never does.

        One that is not there, but may be in a moment, is taken for one that changes something.
        """
        if name not in self._allowed.get(preset, ()):
            return True
        tool = self._find(name)
        return not self._sources if tool is None else tool.spec.repeatable

    def alone(self, name: str) -> bool:
        """Return whether a tool's calls run beside no others of the same turn."""
        tool = self._find(name)
        return tool is not None and tool.spec.alone

    def needs_approval(self, name: str, preset: str) -> bool:
        """Return whether a call waits for a person's word. One that is refused anyhow does not.

        One that is not there, but may be in a moment, does if its name says so.
        """
        if name not in self._allowed.get(preset, ()) or (name not in self._tools and not self._sources):
            return False
        return name in self._approve[preset]

    def within(self, inner: str, outer: str) -> bool:
        """Return whether a preset allows nothing that another does not, and asks a person wherever that does.

        So that a task can hand on what it may do, and no more. False if there is no such preset.
        """
        if inner not in self._allowed or outer not in self._allowed:
            return False
        allowed, asked = self._allowed[inner], self._approve[inner]
        unasked = Names(one for one in self._approve[outer].given if not asked.covers_one(one))
        return self._allowed[outer].covers(allowed) and not allowed.may_share(unasked)

    def misnamed(self, *, coming: Collection[str] = ()) -> tuple[str, ...]:
        """Return a line for each name in presets and lists that no tool has, or ever can have.

        Also for each such pattern in what needs a person's word, where it would leave a door open; in what is
        offered it does no harm: a preset may be for servers that are not there today. ``coming`` are names and
        patterns of tools that may come later, such as ``github__*``.
        """
        known = {*self._tools, *self._coming()}
        return tuple(
            f"{where}: there is no tool {name!r}{_meant(name, known)}"
            for where, names in self._lists()
            for name in (names.given if where.endswith("approve") else names.exact)
            if name not in known and not may_fit(name, (*known, *coming))
        )

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
        tool, allowed = self._find(name), self._allowed.get(preset)
        if tool is None or allowed is None:
            names = ", ".join(spec.name for spec in self.offered(preset)) or "none"
            raise ToolError(f"There is no tool {name!r}. The tools are: {names}.")
        if name not in allowed:
            raise ToolError(f"The tool preset {preset!r} does not allow {name!r}; {self._who_would(name)}.")
        if problem := unreadable(arguments):
            raise ToolError(problem)
        return await tool(arguments, context)

    def _find(self, name: str) -> Tool | None:
        return self._tools[name] if name in self._tools else self._coming().get(name)

    def _coming(self) -> dict[str, Tool]:
        """Return the tools of the sources at this moment, but for those whose names are taken."""
        found: dict[str, Tool] = {}
        for source in self._sources:
            for name, tool in source().items():
                if name not in self._tools:
                    found.setdefault(name, tool)
        return found

    def _lists(self) -> Iterator[tuple[str, Names]]:
        for preset, names in self._given.items():
            yield f"presets.tools.{preset}.tools", names
        for preset, names in self._approve_given.items():
            yield f"presets.tools.{preset}.approve", names
        yield "tools.always", self._always
        yield "tools.approve", self._approve_always

    def _who_would(self, name: str) -> str:
        presets = [repr(preset) for preset, names in self._allowed.items() if name in names]
        return f"{' and '.join(presets)} would" if presets else "no preset of this server does"


def _meant(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(sorted(known)) or 'none'}"
