"""A process that has imported the server, and is forked for each that is to run: most of a start is its imports.

Run by ``fork_server.py`` as ``python forking.py alex_runtime`` with a socket as its standard input. Each message there
asks for a process; it comes as JSON with four descriptors (standard input, output and error, and a pipe for its end),
and is answered with its ID. When that process has ended, its exit code is written to its pipe. What is forked goes
on as ``python -m alex_runtime`` would: with its own arguments, directory, environment and descriptors.
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

WITH_THE_SERVER = ("alex_runtime", "sqlalchemy.dialects.sqlite", "alex_http.transport", "encodings.idna")


def forked(request: dict[str, Any], descriptors: list[int]) -> int | None:  # Any: JSON
    """Fork, and return the child's ID; in the child, make it as it is wanted, and return None."""
    child = os.fork()
    if child:
        return child
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, max(descriptors) + 100)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    sys.path[0] = request["directory"]
    return None


def serve() -> bool:
    """Fork what is asked for until nobody asks any more. Returns whether this is a process that was forked."""
    running: dict[int, tuple[int, int]] = {}  # by the descriptor that tells of its end: a process and its pipe
    with selectors.DefaultSelector() as ready, socket.socket(fileno=os.dup(0)) as asked:
        ready.register(asked, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fd != asked.fileno():
                    ready.unregister(key.fd)
                    child, pipe = running.pop(key.fd)
                    _, status = os.waitpid(child, 0)
                    os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
                    os.close(pipe)
                    os.close(key.fd)
                    continue
                message, descriptors, _, _ = socket.recv_fds(asked, LARGEST, 4)
                if not message:
                    return False
                new = forked(json.loads(message), descriptors)
                if new is None:
                    return True
                for descriptor in descriptors[:3]:
                    os.close(descriptor)
                ended = os.pidfd_open(new)
                running[ended] = (new, descriptors[3])
                ready.register(ended, selectors.EVENT_READ)
                asked.send(str(new).encode())


if __name__ == "__main__":
    for name in WITH_THE_SERVER:
        importlib.import_module(name)
    gc.freeze()
    if serve():
        runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
