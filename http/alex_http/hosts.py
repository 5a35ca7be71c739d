"""Which addresses the server may listen on."""

from __future__ import annotations

import ipaddress


class CannotExpose(Exception):
    """The server would be reachable from other machines; the text says why it is not started, and what to do."""


def check_host(host: str) -> None:
    """Raise CannotExpose unless ``host`` is of this machine alone.

    There is no authentication yet: whoever reaches the server can run tools on this machine.
    """
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host.lower() == "localhost"
    if not loopback:
        msg = (
            f"The server does not listen on {host}: other machines would reach it, and it does not ask who they "
            "are. Use --host 127.0.0.1, and a reverse proxy or an SSH tunnel that does ask."
        )
        raise CannotExpose(msg)
