"""A process that has imported the server, and is forked for each that is to run: most of a start is its imports.

Run by ``fork_server.py`` as ``python forking.py alex_runtime`` with a socket as its standard input. Each message
there asks for a process; it comes as JSON with four descriptors (standard input, output and error, and a pipe for
its end), and is answered with its ID. When that process has ended, its exit code is written to its pipe. What is
forked goes on as ``python -m alex_runtime`` would: with its own arguments, directory, environment and descriptors.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import selectors
import socket
import sys
from typing import Any

LARGEST = 1 << 20
"""Bytes of a request: an environment is far below that."""


def become(request: dict[str, Any], descriptors: list[int]) -> None:  # Any: JSON
    """Make this process what is asked for: ``{"arguments": [MODULE, …], "directory": …, "environment": {…}}``."""
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    sys.path[0] = request["directory"]


def serve() -> bool:
    """Fork what is asked for until nobody asks any more. Returns whether this is a process that was forked."""
    running: dict[int, tuple[int, int]] = {}  # by the descriptor that tells of its end: a process, and its pipe
    with selectors.DefaultSelector() as ready, socket.socket(fileno=os.dup(0)) as asked:
        ready.register(asked, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fd != asked.fileno():
                    ready.unregister(key.fd)
                    child, pipe = running.pop(key.fd)
                    _, status = os.waitpid(child, 0)
                    os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
                    close(key.fd, pipe)
                    continue
                message, descriptors, _, _ = socket.recv_fds(asked, LARGEST, 4)
                if not message:
                    return False
                child = os.fork()
                if not child:
                    become(json.loads(message), descriptors)
                    close(*descriptors, *running, *(pipe for _, pipe in running.values()))
                    return True
                close(*descriptors[:3])
                ended = os.pidfd_open(child)
                running[ended] = (child, descriptors[3])
                ready.register(ended, selectors.EVENT_READ)
                asked.send(str(child).encode())


def close(*descriptors: int) -> None:
    """Close them."""
    for descriptor in descriptors:
        os.close(descriptor)


if __name__ == "__main__":
    importlib.import_module(sys.argv[1])
    gc.freeze()  # a collection in one of them would copy all of it
    if serve():
        runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
