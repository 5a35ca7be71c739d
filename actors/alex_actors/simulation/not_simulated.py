"""What a simulation does not have: the part of asyncio's event loops that deals with the world outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn


class NotSimulated(RuntimeError):
    """An agent asked the event loop for something that a simulation does not have."""


def _without(what: str) -> Callable[..., NoReturn]:  # ...: in place of methods of any signature
    def refuse(*_args: object, **_options: object) -> NoReturn:
        msg = f"A simulation has no {what}: give the agent a fake instead."
        raise NotSimulated(msg)

    return refuse


def _driven(*_args: object, **_options: object) -> NoReturn:
    msg = "The event loop of a simulation is run and stopped by its scheduler: await, where you would run it."
    raise NotSimulated(msg)


class UnconnectedEventLoop(asyncio.AbstractEventLoop):
    """Refuses with NotSimulated, at the call, whatever needs a system below, or is not for an agent to do."""

    run_forever = run_until_complete = stop = _driven

    getaddrinfo = getnameinfo = _without("network")
    create_connection = create_server = create_datagram_endpoint = _without("network")
    create_unix_connection = create_unix_server = connect_accepted_socket = _without("network")
    start_tls = sendfile = sock_sendfile = _without("network")
    sock_recv = sock_recv_into = sock_recvfrom = sock_recvfrom_into = _without("network")
    sock_sendall = sock_sendto = sock_connect = sock_accept = _without("network")
    remove_reader = remove_writer = _without("file descriptors")
    connect_read_pipe = connect_write_pipe = _without("pipes")
    subprocess_exec = subprocess_shell = _without("subprocesses")
    remove_signal_handler = _without("signals")

    # Written out: type checkers take no Callable[...] in place of what takes a callback and its arguments.

    def add_reader(self, *_args: object) -> NoReturn:
        """Refuse."""
        _without("file descriptors")()

    def add_writer(self, *_args: object) -> NoReturn:
        """Refuse."""
        _without("file descriptors")()

    def add_signal_handler(self, *_args: object) -> NoReturn:
        """Refuse."""
        _without("signals")()
