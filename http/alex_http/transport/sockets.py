"""Sockets of the system: one that listens, and as many descriptors as connections need."""

from __future__ import annotations

import errno
import resource
import socket

HIGHEST_PORT = 65_535
BACKLOG = 1024
"""Connections that wait to be accepted. The kernel caps it (4096 on Linux)."""
RESERVE = 200
"""Descriptors for all that is no connection of a client. The database takes two for each thread, of which there
are at most 64; the rest is for the logs, and for what tools open."""


class CannotListen(Exception):
    """The server cannot be reached as the settings want it; the text says why, and what would be right."""


def allow_descriptors(connections: int) -> None:
    """Raise this process's soft limit of descriptors as far as ``connections`` need.

    Raises CannotListen if the hard limit is lower: connections would be refused long before their limit, and
    commands and files of tools would fail with them.
    """
    needed = connections + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError) as error:
        raise CannotListen(
            f"Cannot serve {connections} connections: they and the rest need {needed} open files, and this"
            f" process may have {hard if hard != resource.RLIM_INFINITY else soft}. Lower server.max_connections"
            " in the settings, or raise the limit (ulimit -n, LimitNOFILE= of systemd)."
        ) from error


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
