"""Limits of tools, for tests: those of the default settings, or smaller ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alex_actors.ports import Tool
from alex_actors.tools import Quota, Sandbox, ShellCommands, ShellLimits, built_in_tools, find_sandbox

MIB = 1024 * 1024

QUOTA = Quota(file_bytes=MIB, workspace_bytes=256 * MIB, workspace_files=10_000)


def limits(
    *, seconds: float = 30, processes: int = 256, memory_bytes: int = 1024 * MIB, cpu_seconds: int = 120
) -> ShellLimits:
    """Return what a command may take."""
    return ShellLimits(
        seconds=seconds,
        processes=processes,
        memory_bytes=memory_bytes,
        cpu_seconds=cpu_seconds,
        open_files=1024,
    )


def tools_without_a_sandbox() -> dict[str, Tool]:
    """Return the built-in tools."""
    return built_in_tools(
        quota=QUOTA, shell_limits=limits(), path=os.defpath, sandbox=None, shell_commands=ShellCommands()
    )


def sandbox_of_this_machine(directory: Path) -> Sandbox:
    """Return the sandbox that commands have here; a test that lacks it is skipped, or fails where CI is true."""
    found = find_sandbox("auto", path=os.environ["PATH"], hidden=(), processes=256, directory=directory)
    if found.sandbox is None:
        if os.environ.get("CI") == "true":
            pytest.fail(found.reason)
        pytest.skip(found.reason)
    return found.sandbox
