"""The tools that agents can call, and the workspace that they work in."""

from __future__ import annotations

import os

from alex_actors.ports import Tool
from alex_actors.tools.calculator import calculator_tool
from alex_actors.tools.files import file_read_tool, file_write_tool, list_files_tool
from alex_actors.tools.search import search_tool
from alex_actors.tools.shell import ShellCommands, shell_tool
from alex_actors.tools.think import think_tool
from alex_actors.tools.toolbox import Toolbox
from alex_actors.tools.workspace import Workspace

__all__ = ["ShellCommands", "Toolbox", "Workspace", "built_in_tools"]


def built_in_tools(*, shell_timeout: float, shell_commands: ShellCommands) -> dict[str, Tool]:
    """Return the built-in tools by name.

    ``shell_timeout`` in seconds; commands get the server's own PATH. ``shell_commands`` knows those at work, so
    that whoever ends the process can kill them first.
    """
    tools = (
        think_tool(),
        calculator_tool(),
        list_files_tool(),
        file_read_tool(),
        file_write_tool(),
        search_tool(),
        shell_tool(
            timeout=shell_timeout,
            path=os.environ.get("PATH", os.defpath),
            commands=shell_commands,
        ),
    )
    return {tool.spec.name: tool for tool in tools}
