"""Servers of the Model Context Protocol (https://modelcontextprotocol.io), whose tools agents may call.

Nothing here imports the protocol's SDK, an extra package, until there is a server to talk to.
"""

from __future__ import annotations

from alex_actors.mcp.servers import McpServers
from alex_actors.mcp.spec import McpError, McpServerSpec

__all__ = ["McpError", "McpServerSpec", "McpServers"]
