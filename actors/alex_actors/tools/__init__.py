"""The tools that agents can call, and the workspace that they work in."""

from __future__ import annotations

from alex_actors.ports import Tool
from alex_actors.tools.calculator import calculator_tool
from alex_actors.tools.edit import file_edit_tool
from alex_actors.tools.files import file_read_tool, file_write_tool, list_files_tool
from alex_actors.tools.functions import NotATool, ToolFunction, as_tool, tool
from alex_actors.tools.limits import Quota, ShellLimits
from alex_actors.tools.loading import ToolsError, load_tools, merged
from alex_actors.tools.sandbox import Sandbox, SandboxError, find_sandbox
from alex_actors.tools.search import search_tool
from alex_actors.tools.shell import ShellCommands, shell_tool
from alex_actors.tools.think import think_tool
from alex_actors.tools.todo import todo_tool
from alex_actors.tools.toolbox import Toolbox
from alex_actors.tools.web_addresses import Resolve
from alex_actors.tools.web_fetch import WebLimits, web_fetch_tool
from alex_actors.tools.workspace import Workspace

__all__ = [
    "NotATool",
    "Quota",
    "Sandbox",
    "SandboxError",
    "ShellCommands",
    "ShellLimits",
    "ToolFunction",
    "Toolbox",
    "ToolsError",
    "WebLimits",
    "Workspace",
    "as_tool",
    "built_in_tools",
    "find_sandbox",
    "load_tools",
    "merged",
    "tool",
]


def built_in_tools(
    *,
    quota: Quota,
    shell_limits: ShellLimits,
    path: str,
    sandbox: Sandbox | None,
    shell_commands: ShellCommands,
    web_limits: WebLimits | None = None,
    resolve: Resolve | None = None,
) -> dict[str, Tool]:
    """Return the built-in tools by name.

    Of commands: ``path`` is their PATH; without a ``sandbox`` they can do what the server's user can;
    ``shell_commands`` knows those at work, so that whoever ends the process can kill them first.
    ``resolve`` finds the addresses of hosts for ``web_fetch``: as the system does, unless given. Raises ValueError
    if ``web_limits.allowed`` has what is neither a host nor a network.
    """
    tools: tuple[Tool, ...] = (
        think_tool(),
        calculator_tool(),
        list_files_tool(),
        file_read_tool(),
        search_tool(),
        file_write_tool(quota=quota),
        file_edit_tool(quota=quota),
        web_fetch_tool(limits=web_limits or WebLimits(), resolve=resolve),
        shell_tool(
            limits=shell_limits,
            quota=quota,
            path=path,
            sandbox=sandbox,
            commands=shell_commands,
        ),
        todo_tool(),
    )
    return merged(*({made.spec.name: made} for made in tools))
