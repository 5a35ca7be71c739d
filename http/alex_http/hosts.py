"""Which addresses the server may listen on, and which names of it a request may use."""

from __future__ import annotations

import re
from collections.abc import Sequence


class CannotExpose(Exception):
    """The server would be reachable from other machines; the text says why it is not started, and what to do."""


LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""The names of this machine alone, which nobody else can point elsewhere."""

_ADDRESSES = (r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", r"\[[0-9a-f:.]{2,45}\]")


def is_exposed(host: str) -> bool:
    """Return whether other machines may reach a server that listens on ``host``."""
    return host.lower() not in LOOPBACK


def check_host(host: str, *, has_token: bool) -> None:
    """Raise CannotExpose for an address that others reach unless there is a token to ask them for."""
    if is_exposed(host) and not has_token:
        msg = (
            f"The server does not listen on {host} without a token: other machines might reach it, and whoever "
            "does can have tools run on this one. Make a token with 'alex token create --name NAME', with the "
            f"same --data-dir or --config; or use --host 127.0.0.1 (or {' or '.join(LOOPBACK[1:])})."
        )
        raise CannotExpose(msg)


class Hosts:
    """The names that a request's ``Host`` may have, each with any port.

    Those of this machine, the one that the server listens on, and the ``allowed`` ones. Where other machines reach
    it, IP addresses too: a page is read by its name, and who points that at this server (DNS rebinding) cannot
    make a browser send an address in its place.
    """

    def __init__(self, *, listening: str, allowed: Sequence[str]) -> None:
        names = dict.fromkeys([*map(_in_header, (*LOOPBACK, listening)), *allowed])
        patterns = [*map(re.escape, names), *(_ADDRESSES if is_exposed(listening) else ())]
        self._pattern = re.compile(rf"(?:{'|'.join(patterns)})(?::[0-9]{{0,5}})?", re.IGNORECASE)
        self.names = (*names, "any IP address") if is_exposed(listening) else tuple(names)
        """For people."""

    def has(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        return self._pattern.fullmatch(host) is not None


def _in_header(name: str) -> str:
    return f"[{name}]" if ":" in name else name
