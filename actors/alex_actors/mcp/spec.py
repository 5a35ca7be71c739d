"""What is known of an MCP server before it runs: how to start it, or where it is."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from alex_actors.redact import Redactor

SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
"""Without an underscore, so that a tool's name tells whose it is, and no two servers' tools have the same."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")
"""As RFC 9110 has them (5.1 and 5.5), the values without what is no ASCII: clients do not send it."""

_INHERITED = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""The variables that a server gets besides its own: those that the SDK takes for harmless."""


class McpError(Exception):
    """An MCP server cannot be started as it is configured; the text tells a person why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServerSpec:
    """An MCP server: a ``command`` to start, or a ``url`` to call (streamable HTTP).

    ``args``, ``env`` and ``cwd`` go with a command, ``headers`` with a URL. What is in ``args``, ``env``, ``url``
    and ``headers`` may be secret: it is in no ``repr``, log or error. A command gets ``env``, and of the server's
    own environment a few variables that are harmless (PATH, HOME and the like).

    Raises McpError for a name or a combination that is none, and for what cannot be passed on.
    """

    name: str
    command: str = ""
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str = ""
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 60.0
    """That a call of a tool may take."""
    start_timeout_seconds: float = 30.0
    """From the start of the server until its tools are known: the first time a package may have to be loaded."""

    def __post_init__(self) -> None:
        """Check what can be checked without starting anything."""
        if not SERVER_NAME.fullmatch(self.name):
            msg = f"The name of the MCP server {self.name!r} has to be 1 to 32 letters, digits and hyphens."
            raise McpError(msg)
        if bool(self.command) == bool(self.url):
            both = "has a command and a url" if self.command else "has neither a command nor a url"
            raise McpError(f"The MCP server {self.name!r} {both}: it needs one of them.")
        fault = next(self._faults(), None)
        if fault:
            raise McpError(f"The MCP server {self.name!r} cannot work: {fault}.")

    def _faults(self) -> Iterator[str]:
        """Yield what no system and no HTTP client takes; without values, which may be secret."""
        if any("\0" in text for text in (self.command, self.cwd, *self.args, *self.env.values())):
            yield "its command, args, env and cwd cannot have the character NUL in them"
        for name in self.env:
            if not name or "=" in name or "\0" in name:
                yield f"{name!r} cannot be the name of a variable in env"
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name):
                yield f"{name!r} cannot be the name of a header"
            if not _HEADER_VALUE.fullmatch(value):
                yield (
                    f"the value of its header {name!r} has a line break, a space at an end, "
                    "or what is no printable ASCII"
                )
        if self.url and not _is_http(self.url):
            yield "its url is none that begins with http:// or https://, a host, and perhaps a port"

    @property
    def exposed(self) -> bool:
        """Return whether headers go to another machine unencrypted."""
        url = urlsplit(self.url)
        near = url.hostname in ("localhost", "::1") or (url.hostname or "").startswith("127.")
        return bool(self.headers) and url.scheme != "https" and not near

    def secrets(self) -> dict[str, str]:
        """Return the secrets that this server is given, named as ``Redactor.of_environment`` finds them."""
        headers = [key for value in self.headers.values() for key in (value, value.rpartition(" ")[2])]
        return dict(self.env) | {f"{self.name}_{number}_SECRET": value for number, value in enumerate(headers)}

    def redactor(self) -> Redactor:
        """Return what takes them out of texts."""
        return Redactor.of_environment(self.secrets())

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that the command gets, of a process that has those ``inherited``."""
        return {name: inherited[name] for name in _INHERITED if name in inherited} | dict(self.env)

    def program(self, inherited: Mapping[str, str]) -> str:
        """Return the path of the command. Raises McpError if there is none, or no directory to run it in."""
        if self.cwd and not os.path.isdir(self.cwd):  # noqa: PTH112 - a text, as it is passed on
            raise McpError(f"The MCP server {self.name!r} is to run in {self.cwd!r}, which is no directory.")
        command = self.command
        if "/" in command:  # relative to where it runs, as a shell there would take it
            command = os.path.abspath(os.path.join(self.cwd, os.path.expanduser(command)))  # noqa: PTH100, PTH111, PTH118 - as above
        found = shutil.which(command, path=self.environment(inherited).get("PATH", os.defpath))
        if found is None:
            msg = (
                f"The MCP server {self.name!r} cannot be started: there is no program {self.command!r}. "
                "Install it, or give its whole path."
            )
            raise McpError(msg)
        return found


def _is_http(url: str) -> bool:
    if re.search(r"[\x00-\x20\x7f]", url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets, or a port, that are none
        return False
