"""The sandbox of shell commands: bubblewrap, which gives them namespaces of their own.

https://github.com/containers/bubblewrap. What a command sees there: the system's programs and libraries,
read-only; the workspace, at ``/workspace``, which alone it can write, with a ``/tmp`` of its own; its own
processes; no network. The home directories, the data directory and most of ``/etc`` are not there.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from alex_actors.values import Value

Choice: TypeAlias = Literal["auto", "bubblewrap", "off"]

WORKSPACE = "/workspace"
"""Where a command finds it: the same in each session, so that what a model noted holds in a fork, too."""

_TEMPORARY = 128 * 1024 * 1024
"""Bytes of ``/tmp``, and of ``/dev/shm``: they are memory, and go with the command."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_ETC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime")
"""What programs cannot do without, and no more: whoever is root could read private keys in the rest."""

_HIDDEN = ("/usr/src",)
"""Below the system's directories, but not of it: images of Docker have applications there, with their settings."""

_COUNTS_BY_NAMESPACE = (5, 14)
"""The version of Linux from which on a limit of processes counts those of the namespace, not of the whole user."""

_PROBE_SECONDS = 10.0


class SandboxError(Exception):
    """The settings ask for a sandbox that cannot be had; the text says why, and what to do."""


class Sandbox(Value, frozen=True):
    """How a command is run in the sandbox, in place of without."""

    prefix: tuple[str, ...]
    """What comes before the command. The workspace is the working directory."""


class Found(Value, frozen=True):
    """What a look for the sandbox came to."""

    sandbox: Sandbox | None
    reason: str
    """Why there is none; nothing if there is one."""


def find_sandbox(choice: Choice, *, path: str, hidden: Sequence[Path], processes: int, directory: Path) -> Found:
    """Look whether commands can run in a sandbox, by running one in ``directory``.

    ``path`` is the PATH to find programs in; of ``hidden`` directories commands see nothing, also if they are
    below the system's; ``processes`` is how many a command may have. Raises SandboxError if ``choice`` asks for a
    sandbox and it does not work.
    """
    if choice == "off":
        return Found(None, 'the setting tools.sandbox is "off"')
    program = shutil.which("bwrap", path=path)
    if program is None:
        reason = "the program bwrap is not installed (Debian's package bubblewrap)"
    else:
        sandbox = Sandbox((*_arguments(program, hidden), *_process_limit(processes)))
        reason = _failure(sandbox, directory)
        if not reason:
            return Found(sandbox, "")
    if choice == "bubblewrap":
        msg = (
            f'tools.sandbox is "bubblewrap", but {reason}. Make it work, or set tools.sandbox to "auto" to have '
            "commands run without a sandbox."
        )
        raise SandboxError(msg)
    return Found(None, reason)


def _arguments(program: str, hidden: Sequence[Path]) -> list[str]:
    """Return the command line of bubblewrap."""
    size = str(_TEMPORARY)
    return [
        program,
        # --disable-userns: most holes of the kernel's that let a process out begin with a namespace of its own.
        *("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"),
        # A number of its own: a root without rights confuses programs such as tar.
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
        *("--die-with-parent", "--new-session"),
        *_system(),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", size, "--tmpfs", "/tmp"),  # noqa: S108 - the sandbox's own
        *("--perms", "1777", "--size", size, "--tmpfs", "/dev/shm"),  # noqa: S108 - as above
        *(word for at in _below_system(hidden) for word in ("--tmpfs", at, "--remount-ro", at)),
        *("--bind", ".", WORKSPACE, "--chdir", WORKSPACE),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        "--",
    ]


def _system() -> list[str]:
    words: list[str] = []
    for name in _SYSTEM:
        if os.path.islink(name):  # noqa: PTH114 - beside readlink, as below
            words += ["--symlink", os.readlink(name), name]  # noqa: PTH115 - pathlib would take the dots out
        else:
            words += ["--ro-bind-try", name, name]
    for name in _ETC:
        words += ["--ro-bind-try", name, name]
    return words


def _below_system(hidden: Sequence[Path]) -> list[str]:
    directories = [*(Path(name) for name in _HIDDEN), *(path.resolve() for path in hidden)]
    return [str(at) for at in directories if at.is_dir() and any(at.is_relative_to(system) for system in _SYSTEM)]


def _process_limit(processes: int) -> list[str]:
    """Return what sets a limit of processes that holds in the sandbox alone; it does not hold for root.

    Set outside, it would count all that the server's user runs.
    """
    program = shutil.which("prlimit", path="/usr/bin:/bin")  # one that is there in the sandbox, too
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    if program is None or release is None or (int(release[1]), int(release[2])) < _COUNTS_BY_NAMESPACE:
        return []
    return [program, f"--nproc={processes}", "--"]


def _failure(sandbox: Sandbox, directory: Path) -> str:
    """Return why a command cannot run in the sandbox; nothing if it can."""
    try:
        done = subprocess.run(  # noqa: S603 - nothing of it comes from outside
            (*sandbox.prefix, "/bin/sh", "-c", "test -w . && true"),
            cwd=directory, env={"PATH": os.defpath}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_PROBE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap cannot be run ({error})"
    if done.returncode == 0:
        return ""
    said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
    return f"bwrap does not work here ({said}); the system may forbid user namespaces"
