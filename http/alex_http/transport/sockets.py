"""Sockets of the system: one that listens; options by which vanished clients are noticed; open files for all."""

from __future__ import annotations

import errno
import math
import socket
import sys
from typing import NamedTuple

if sys.platform != "win32":  # which limits sockets in other ways
    import resource

HIGHEST_PORT = 65_535
BACKLOG = 1024
"""Connections that wait to be accepted. The kernel caps it (4096 on Linux)."""
RESERVE = 200
"""Descriptors for all that is no connection of a client. The database takes two for each thread, of which there
are at most 64; the rest is for the logs, and for what tools open."""
LEAST = 100
"""Connections, streams among them, below which a server is not worth starting: a browser opens six of them."""
STEPS = 16
"""How many limits are tried, evenly down from what is needed: macOS does not say what it allows."""


class CannotListen(Exception):
    """The server cannot be reached as the settings want it; the text says why, and what would be right."""


class KeepAlive(NamedTuple):
    """How soon a client is noticed that vanished without a word: a cable, a sleeping laptop, a forgetful router.

    Seconds of silence until it is probed, whole seconds between two probes, and how many of them it may leave
    unanswered; seconds that it may leave unacknowledged what was sent (``TCP_USER_TIMEOUT``, RFC 5482; Linux cuts
    off with it who takes nothing for so long, too: without a word, so streams cut these off long before).
    As far as the system has them.
    """

    idle: int = 30
    interval: int = 10
    probes: int = 3
    unacknowledged: float = 90.0

    def options(self) -> list[tuple[int, int, int]]:
        """Return what to set on each connection: level, option, value."""
        named = {
            "TCP_KEEPIDLE": self.idle,
            "TCP_KEEPALIVE": self.idle,  # as macOS calls it
            "TCP_KEEPINTVL": self.interval,
            "TCP_KEEPCNT": self.probes,
            "TCP_USER_TIMEOUT": round(self.unacknowledged * 1000),
        }
        found = [(getattr(socket, name, None), value) for name, value in named.items()]
        return [
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            *((socket.IPPROTO_TCP, option, value) for option, value in found if option is not None),
        ]


KEEP_ALIVE = KeepAlive()


class OpenFiles:
    """How many files this process may have open. Tests have systems of their own."""

    def limits(self) -> tuple[float, float]:
        """Return the soft and the hard limit; infinite if there is none."""
        if sys.platform == "win32":
            return math.inf, math.inf
        soft, hard = (
            math.inf if limit == resource.RLIM_INFINITY else limit
            for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
        )
        return soft, hard

    def allow(self, soft: int) -> bool:
        """Set the soft limit; return whether the system lets it be so high."""
        if sys.platform != "win32":
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            except (ValueError, OSError):
                return False
        return True


class Room(NamedTuple):
    """How many connections and how many streams there may be at once."""

    connections: int
    streams: int


def make_room(wanted: Room, files: OpenFiles) -> Room:
    """Raise the limit of open files as far as ``wanted`` needs; return what there is room for, in proportion.

    Raises CannotListen if that is next to nothing.
    """
    total = sum(wanted)
    possible = min(total, _allow(total + RESERVE, files) - RESERVE)
    if possible < min(total, LEAST):
        raise CannotListen(
            f"Cannot serve: this process may have {possible + RESERVE} open files, and {LEAST} connections and the"
            f" rest need {LEAST + RESERVE}. Raise the limit (ulimit -n, LimitNOFILE= of systemd)."
        )
    if possible == total:
        return wanted
    connections = min(wanted.connections, max(LEAST // 10, wanted.connections * possible // total))
    return Room(connections, possible - connections)


def _allow(needed: int, files: OpenFiles) -> int:
    """Return how many files may be open, at least ``needed`` if that can be had."""
    soft, hard = files.limits()
    if soft >= needed:
        return needed
    highest, lowest = int(min(needed, hard)), int(soft)
    for step in range(STEPS):
        limit = highest - (highest - lowest) * step // STEPS
        if files.allow(limit):
            return limit
    return lowest


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that an address in use is found before anything is said of it."""
    where = f"{host}:{port}"
    if not 0 <= port <= HIGHEST_PORT:  # getaddrinfo would take it modulo 65536
        raise CannotListen(f"Cannot listen on {where}: a port is a number from 0 to {HIGHEST_PORT}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Where a name has both, as localhost does, every client finds IPv4.
        family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise CannotListen(
            f"Cannot listen on {where}: {host!r} is not the name or address of a network interface"
            f" ({error.strerror}). 127.0.0.1 is this machine."
        ) from error
    except OSError as error:
        raise CannotListen(f"Cannot listen on {where}: {_advice(error)}") from error


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another program does. Stop it, or choose another port; 0 takes any that is free."
        case errno.EACCES:
            return "this user may not. Choose a port above 1023."
        case errno.EADDRNOTAVAIL:
            return "that address is not one of this machine. 127.0.0.1 always is."
        case _:
            return f"{error.strerror}."
