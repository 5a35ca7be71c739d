"""Which addresses the server may listen on."""

from __future__ import annotations


class CannotExpose(Exception):
    """The server would be reachable from other machines; the text says why it is not started, and what to do."""


LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""The names of this machine alone: the server listens on no others, and the ``Host`` check lets in no others."""


def check_host(host: str) -> None:
    """Raise CannotExpose unless ``host`` is of this machine alone.

    There is no authentication yet: whoever reaches the server can run tools on this machine.
    """
    if host.lower() not in LOOPBACK:
        msg = (
            f"The server does not listen on {host}: other machines might reach it, and it does not ask who they "
            f"are. Use --host 127.0.0.1 (or one of {', '.join(LOOPBACK[1:])}), and to be reached from elsewhere "
            "an SSH tunnel or a reverse proxy that does ask."
        )
        raise CannotExpose(msg)
