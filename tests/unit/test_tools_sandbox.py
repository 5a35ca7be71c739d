"""The sandbox of shell commands: what is there, what is not, and when there is none."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from alex_actors.ports import ToolContext
from alex_actors.tools import Sandbox, SandboxError, ShellCommands, find_sandbox
from alex_actors.tools.sandbox import Choice, Found
from alex_actors.tools.shell import shell_tool
from alex_actors.values import TaskId
from tests.unit.tool_limits import QUOTA, limits, sandbox_of_this_machine

SECRET = "hunter2hunter2"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return sandbox_of_this_machine(tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace beside which there is another session's."""
    (tmp_path / "workspaces" / "2").mkdir(parents=True)
    (tmp_path / "workspaces" / "2" / "secret.txt").write_text(SECRET)
    root = tmp_path / "workspaces" / "1"
    root.mkdir()
    return root


def run(sandbox: Sandbox, root: Path, command: str) -> str:
    tool = shell_tool(
        limits=limits(), quota=QUOTA, path="/usr/bin:/bin", sandbox=sandbox, commands=ShellCommands()
    )
    return asyncio.run(tool({"command": command}, ToolContext(TaskId("task-1"), root)))


# What is there, and what is not.


def test_the_workspace_alone_can_be_written(sandbox: Sandbox, root: Path) -> None:
    command = "for d in / /usr /etc /dev /proc /workspace; do touch $d/x 2>/dev/null && echo $d; done; true"

    text = run(sandbox, root, command)

    assert text == "/workspace\n"
    assert (root / "x").is_file()


def test_temporary_files_are_the_commands_own_and_go_with_it(sandbox: Sandbox, root: Path) -> None:
    name = f"/tmp/alex-sandbox-{os.getpid()}"

    first = run(sandbox, root, f"echo x > {name}; cat {name}")
    second = run(sandbox, root, f"ls {name}; head -c 200M /dev/zero > {name}")

    assert first == "x\n"
    assert "No such file or directory" in second
    assert "No space left on device" in second
    assert not Path(name).exists()


def test_other_workspaces_homes_and_the_rest_of_the_machine_are_not_there(sandbox: Sandbox, root: Path) -> None:
    text = run(
        sandbox, root, f"ls -d /*; ls /etc; cat {root.parent}/2/secret.txt ../2/secret.txt ~root/.* /etc/shadow"
    )

    top = {line.removeprefix("/") for line in text.splitlines() if line.startswith("/")}
    assert top <= {
        "bin",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "nix",
        "proc",
        "sbin",
        "tmp",
        "usr",
        "workspace",
    }
    assert SECRET not in text
    assert "passwd" not in text
    assert text.count("No such file or directory") >= 3


def test_no_other_process_is_seen_nor_reached(
    sandbox: Sandbox, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_API_KEY", SECRET)

    command = f"cat /proc/*/environ | tr '\\0' '\\n'; kill -0 {os.getpid()}; ls -d /proc/[0-9]* | wc -l"
    text = run(sandbox, root, command)

    assert SECRET not in text
    assert "No such process" in text
    assert int(text.splitlines()[-1]) < 10


def test_there_is_no_network_not_even_to_this_machine(sandbox: Sandbox, root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = run(sandbox, root, f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'; grep -c : /proc/net/dev")

    assert "Connection refused" in text
    assert text.endswith("\n1\n")  # the loopback, of its own


def test_a_command_has_no_rights_that_a_program_could_give_it(sandbox: Sandbox, root: Path) -> None:
    text = run(
        sandbox, root, "id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; unshare -U true || echo no"
    )

    assert text.startswith("1000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n")
    assert text.endswith("\nno\n")


def test_the_processes_of_a_command_are_limited_by_the_kernel_too(sandbox: Sandbox, root: Path) -> None:
    text = run(sandbox, root, "grep processes /proc/self/limits")

    assert text.split()[2:4] == ["256", "256"]


def test_what_is_hidden_is_empty_also_below_the_systems_directories(root: Path) -> None:
    sandbox_of_this_machine(root)

    found = find_sandbox(
        "auto", path=os.environ["PATH"], hidden=(Path("/usr/share"),), processes=99, directory=root
    )

    assert found.sandbox is not None
    assert run(found.sandbox, root, "ls /usr/share /usr/src; touch /usr/share/x || echo no").endswith("no\n")
    assert run(found.sandbox, root, "ls /usr/share /usr/src | sort -u") == "\n/usr/share:\n/usr/src:\n"


def test_a_link_out_of_the_workspace_leads_nowhere(sandbox: Sandbox, root: Path) -> None:
    (root / "link").symlink_to(root.parent / "2")

    text = run(sandbox, root, "cat link/secret.txt; ln /usr/bin/env hard || echo no link")

    assert SECRET not in text
    assert text.endswith("no link\n")


# When there is none.


def look(choice: Choice, path: Path) -> Found:
    return find_sandbox(choice, path=str(path), hidden=(), processes=99, directory=path)


def broken_bubblewrap(directory: Path) -> Path:
    program = directory / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create\n new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    return directory


def test_without_bubblewrap_there_is_no_sandbox_and_a_reason(tmp_path: Path) -> None:
    found = look("auto", tmp_path)

    assert found == Found(None, "the program bwrap is not installed (Debian's package bubblewrap)")


def test_where_bubblewrap_does_not_work_there_is_no_sandbox_and_its_words_are_the_reason(tmp_path: Path) -> None:
    found = look("auto", broken_bubblewrap(tmp_path))

    assert found.sandbox is None
    assert found.reason == (
        "bwrap does not work here (bwrap: No permissions to create new namespace); "
        "the system may forbid user namespaces"
    )


def test_a_sandbox_that_is_switched_off_is_not_looked_for(tmp_path: Path) -> None:
    found = look("off", broken_bubblewrap(tmp_path))

    assert found == Found(None, 'the setting tools.sandbox is "off"')


def test_a_sandbox_that_is_asked_for_and_cannot_be_had_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SandboxError) as raised:
        look("bubblewrap", tmp_path)

    assert str(raised.value) == (
        'tools.sandbox is "bubblewrap", but the program bwrap is not installed (Debian\'s package bubblewrap). '
        'Make it work, or set tools.sandbox to "auto" to have commands run without a sandbox.'
    )
