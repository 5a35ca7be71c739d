"""What tools may take, as the settings have it."""

from __future__ import annotations

from alex_actors.values import Value


class Quota(Value, frozen=True, kw_only=True):
    """What a session's workspace may hold."""

    file_bytes: int
    """Of one file that a file tool writes."""
    workspace_bytes: int
    """On the disk, all files and directories together; also the most that one file of a command may be."""
    workspace_files: int
    """Files, directories and links."""


class ShellLimits(Value, frozen=True, kw_only=True):
    """What one command of the shell tool may take, besides the workspace's quota."""

    seconds: float
    processes: int
    """With their threads."""
    memory_bytes: int
    """All of its processes together; also what each may reserve of its own."""
    cpu_seconds: int
    """Each of its processes."""
    open_files: int
    """Each of its processes."""
