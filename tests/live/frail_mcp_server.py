"""An MCP server on stdio for tests: it can be killed from within, and told not to mind anything.

python frail_mcp_server.py [--stubborn]

With ``--stubborn`` it does not end when its input does, nor when it is asked to.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("frail")


@server.tool()
def crash() -> str:
    """Kill this process in the middle of the call."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def cores() -> str:
    """Return how many cores this process may run on."""
    return str(len(os.sched_getaffinity(0)))


@server.tool()
async def wait() -> str:
    """Wait for ever, and tell on standard error that the call was cancelled."""
    import anyio

    sys.stderr.write("waiting\n")
    try:
        await anyio.sleep_forever()
    finally:
        sys.stderr.write("cancelled\n")
    return "never"


if __name__ == "__main__":
    sys.stderr.write(f"pid {os.getpid()} of key {os.environ.get('FRAIL_API_KEY', 'none')}\n")
    if "--stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=threading.Event().wait).start()  # which the interpreter waits for at its end
    server.run()
