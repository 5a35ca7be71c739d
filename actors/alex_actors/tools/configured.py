"""The tools that the settings make: the built-in ones within their limits, and the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from alex_actors.ports import Tool
from alex_actors.tools import Quota, ShellCommands, ShellLimits, built_in_tools, find_sandbox
from alex_actors.tools.loading import load_tools, merged
from alex_actors.tools.web_fetch import WebLimits

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_config import Settings
    from alex_config.models import ToolsSettings


def configured_tools(
    settings: Settings,
    *,
    data_directory: Path,
    workspaces: Path,
    shell_commands: ShellCommands,
    environ: Mapping[str, str],
    threads: Executor,
    log: FilteringBoundLogger,
) -> dict[str, Tool]:
    """Return all tools that do not come from servers, by name. The user's own ``def`` tools run on ``threads``.

    Commands run in a sandbox where there is one, which does not see ``data_directory``. Raises SandboxError if one
    is asked for and does not work, ToolsError for tools of the user's own that cannot be had.
    """
    tools, path = settings.tools, environ.get("PATH", os.defpath)
    found = find_sandbox(
        tools.sandbox, path=path, hidden=(data_directory,), processes=tools.shell_max_processes,
        directory=workspaces,
    )  # fmt: skip
    if found.sandbox is None:
        log.warning("tools.sandbox", sandbox="none", reason=found.reason)
    else:
        log.info("tools.sandbox", sandbox="bubblewrap")
    built_in = built_in_tools(
        quota=_quota(tools), shell_limits=_shell_limits(tools), path=path, sandbox=found.sandbox,
        shell_commands=shell_commands, web_limits=_web_limits(tools),
    )  # fmt: skip
    presets = settings.presets.tools.values()
    wanted = {name for names in (*presets, tools.always) for name in names}
    return merged(built_in, load_tools(tools.functions, wanted=wanted, threads=threads))


def _quota(settings: ToolsSettings) -> Quota:
    return Quota(
        file_bytes=settings.max_file_bytes,
        workspace_bytes=settings.max_workspace_bytes,
        workspace_files=settings.max_workspace_files,
    )


def _web_limits(settings: ToolsSettings) -> WebLimits:
    return WebLimits(
        seconds=settings.web_timeout_seconds, max_bytes=settings.web_max_bytes, allowed=settings.web_allowed
    )


def _shell_limits(settings: ToolsSettings) -> ShellLimits:
    return ShellLimits(
        seconds=settings.shell_timeout_seconds,
        processes=settings.shell_max_processes,
        memory_bytes=settings.shell_max_memory_bytes,
        cpu_seconds=settings.shell_max_cpu_seconds,
        open_files=settings.shell_max_open_files,
    )
