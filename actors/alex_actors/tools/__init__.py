"""The tools that agents can call, and the workspace that they work in."""

from __future__ import annotations

from alex_actors.ports import Tool
from alex_actors.tools.calculator import calculator_tool
from alex_actors.tools.files import file_read_tool, file_write_tool, list_files_tool
from alex_actors.tools.limits import Quota, ShellLimits
from alex_actors.tools.sandbox import Sandbox, SandboxError, find_sandbox
from alex_actors.tools.search import search_tool
from alex_actors.tools.shell import ShellCommands, shell_tool
from alex_actors.tools.think import think_tool
from alex_actors.tools.toolbox import Toolbox
from alex_actors.tools.workspace import Workspace

__all__ = [
    "Quota",
    "Sandbox",
    "SandboxError",
    "ShellCommands",
    "ShellLimits",
    "Toolbox",
    "Workspace",
    "built_in_tools",
    "find_sandbox",
]


def built_in_tools(
    *,
    quota: Quota,
    shell_limits: ShellLimits,
    path: str,
    sandbox: Sandbox | None,
    shell_commands: ShellCommands,
) -> dict[str, Tool]:
    """Return the built-in tools by name.

    Of commands: ``path`` is their PATH; without a ``sandbox`` they can do what the server's user can;
    ``shell_commands`` knows those at work, so that whoever ends the process can kill them first.
    """
    tools = (
        think_tool(),
        calculator_tool(),
        list_files_tool(),
        file_read_tool(),
        file_write_tool(quota=quota),
        search_tool(),
        shell_tool(
            limits=shell_limits,
            quota=quota,
            path=path,
            sandbox=sandbox,
            commands=shell_commands,
        ),
    )
    return {tool.spec.name: tool for tool in tools}
