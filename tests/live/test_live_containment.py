"""Commands of a real server: what they see of it, and that none outlives it, whatever ends it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psutil
import pytest

from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import ServerProcess, run_alex, until
from tests.unit.tool_limits import sandbox_of_this_machine

SECRETS = {
    "VENDOR_API_KEY": "correct-horse-battery",
    "MY_PASSWORD": "staple+tomato",
    "CI_TOKEN": "lettuce.7.onion",
}
NUMBERS = count()


@pytest.fixture(params=["bubblewrap", "off"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting; a machine on which there is no sandbox skips the first."""
    choice: str = request.param
    if choice == "bubblewrap":
        sandbox_of_this_machine(tmp_path)
    return choice


@pytest.fixture
def nap() -> Iterator[str]:
    """A command that sleeps, and is no other process of the machine; it is gone after the test."""
    nap = f"sleep 60{next(NUMBERS)}.{os.getpid()}"
    yield nap
    for one in sleepers(nap):
        one.kill()


def sleepers(nap: str) -> list[psutil.Process]:
    return [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == nap.split()]


def serve(start: Start, sandbox: str) -> ServerProcess:
    # A new process: one that is forked shows the environment of the one before in /proc.
    return start(forked=False, settings={"TOOLS__SANDBOX": sandbox, "TOOLS__PRESET": "full"})


NAPS = 3


def napping(server: ServerProcess, nap: str) -> str:
    """Have a command sleep, also in the background and in a session of its own; return its task's ID."""
    with Client(server.url) as client:
        task_id: str = client.submit(f"Run {nap} & setsid -f {nap}; {nap}")["task_id"]
    until(lambda: len(sleepers(nap)) == NAPS, f"{NAPS} processes {nap}")
    return task_id


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_no_command_outlives_its_task_nor_the_server(
    start: Start, sandbox: str, nap: str, number: signal.Signals
) -> None:
    server = serve(start, sandbox)
    task_id = napping(server, nap)
    with Client(server.url) as client:
        assert client.cancel(task_id).status_code == 200
        client.ended(task_id)
    until(lambda: not sleepers(nap), "an end of all that the cancelled command started")
    napping(server, nap)

    server.send(number)
    server.wait()

    until(lambda: not sleepers(nap), "an end of all that the command started")


def test_no_secret_of_the_server_is_in_a_commands_environment_nor_in_what_is_recorded_and_logged(
    start: Start, sandbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    server = serve(start, sandbox)

    with Client(server.url) as client:
        own = client.ended(client.submit("Run env")["task_id"])
        # Without a sandbox it can be read, as all that the server's user can: then its secrets are redacted.
        read = "Run cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -a -e VENDOR_API_KEY= -e ^LANG= -m 100"
        other = client.ended(client.submit(read)["task_id"])
        events = client.events(own["task_id"]) + client.events(other["task_id"])

    (choice,) = server.log("tools.sandbox")
    names = {line.partition("=")[0] for line in own["result"]["answer"].splitlines() if "=" in line}
    assert (choice["level"], choice["sandbox"]) == (
        ("info", "bubblewrap") if sandbox == "bubblewrap" else ("warning", "none")
    )
    assert names <= {"PATH", "HOME", "LANG", "TERM", "PWD", "SHLVL", "_", "OLDPWD"}
    assert "LANG=" in other["result"]["answer"]
    assert ("VENDOR_API_KEY=[redacted]" in other["result"]["answer"]) == (sandbox == "off")
    for value in SECRETS.values():
        assert value not in repr((own, other, events))
        assert value not in repr(server.log())
        assert all(value.encode() not in file.read_bytes() for file in server.data_dir.glob("alex.sqlite3*"))


def test_the_limits_of_the_settings_are_those_of_the_tools(start: Start) -> None:
    server = start(
        settings={
            "TOOLS__PRESET": "full",
            "TOOLS__MAX_FILE_BYTES": "1024",
            "TOOLS__MAX_WORKSPACE_BYTES": "1048576",
            "TOOLS__MAX_WORKSPACE_FILES": "12",
            "TOOLS__SHELL_TIMEOUT_SECONDS": "9",
            "TOOLS__SHELL_MAX_PROCESSES": "8",
            "TOOLS__SHELL_MAX_MEMORY_BYTES": "67108864",
            "TOOLS__SHELL_MAX_CPU_SECONDS": "33",
            "TOOLS__SHELL_MAX_OPEN_FILES": "77",
        }
    )

    def answer(client: Client, task: str) -> str:
        return str(client.ended(client.submit(task, session_id="one")["task_id"])["result"]["answer"])

    with Client(server.url) as client:
        limits = answer(client, "Run ulimit -n; ulimit -t; ulimit -d; ulimit -f")
        processes = answer(client, "Run for i in 1 2 3 4 5 6 7 8 9; do sleep 600 & done; wait")
        long = answer(client, f"Create a file called a.txt with content: {'x' * 1025}")
        full = answer(client, "Run touch 1 2 3 4 5 6 7 8 9 10 11 12 13")

    assert [int(number) for number in re.findall(r"^\d+$", limits, re.MULTILINE)] == [77, 33, 65536, 2048]
    assert "more than 8 processes" in processes or "fork" in processes
    assert "up to 1,024" in long
    assert "more than 1,048,576 bytes, or more than 12 files" in full


def test_a_server_that_is_to_have_a_sandbox_does_not_start_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    done = run_alex(
        "serve", "--port", "0", "--data-dir", str(tmp_path / "data"), directory=tmp_path,
        settings={"TOOLS__SANDBOX": "bubblewrap"},
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.startswith('alex: tools.sandbox is "bubblewrap", but the program bwrap is not installed')
