"""The program between Alex and an MCP server on stdio: nothing of the server outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from alex_actors.mcp.guard import LONGEST_MESSAGE
from alex_actors.mcp.transports import _GUARD
from tests.live.process import until

WAIT = 20.0


@contextmanager
def guarded(command: str, *, cores: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A shell command under a guard, in a process group of their own."""
    guard = subprocess.Popen(
        [sys.executable, *_GUARD, cores, "--", "/bin/sh", "-c", command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield guard
    finally:
        guard.kill()
        guard.communicate()


def _pids(guard: subprocess.Popen[bytes], count: int) -> list[int]:
    assert guard.stdout is not None
    return [int(guard.stdout.readline()) for _ in range(count)]


def _gone(*processes: int) -> bool:
    return not any(psutil.pid_exists(one) for one in processes)


def test_what_goes_in_and_out_goes_past_it_and_so_does_the_exit_code() -> None:
    with guarded('read line; echo "got $line"; exit 3') as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None

        guard.stdin.write(b"hello\n")
        guard.stdin.flush()  # and it stays open: closing it would hurry the server
        output = guard.stdout.read()

        assert output == b"got hello\n"
        assert guard.wait(WAIT) == 3


def test_a_server_that_ends_when_its_input_does_is_not_hurried() -> None:
    with guarded("echo $$; cat >/dev/null; sleep 0.1; echo done") as guard:
        _pids(guard, 1)

        output, _ = guard.communicate(timeout=WAIT)

    assert (output, guard.returncode) == (b"done\n", 0)


def test_a_server_that_does_not_mind_the_end_of_its_input_is_asked_to_end() -> None:
    with guarded("trap 'echo asked; exit 0' TERM; echo $$; while :; do sleep 0.05; done") as guard:
        (server,) = _pids(guard, 1)

        output, _ = guard.communicate(timeout=WAIT)

    assert output == b"asked\n"
    assert _gone(server)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells who started whom")
def test_a_server_that_minds_nothing_is_killed_with_all_that_it_started_in_whichever_session() -> None:
    stubborn = "trap '' TERM HUP; echo $$; while :; do sleep 0.05; done"
    with guarded(f'setsid sh -c "{stubborn.replace("$", chr(92) + "$")}" & {stubborn}') as guard:
        processes = _pids(guard, 2)

        guard.communicate(timeout=WAIT)

    assert len({*processes}) == 2
    assert _gone(*processes)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells who started whom")
def test_what_a_server_leaves_when_it_ends_by_itself_is_ended() -> None:
    with guarded("sleep 600 </dev/null >/dev/null 2>&1 & echo $!") as guard:
        (left,) = _pids(guard, 1)

        assert guard.wait(WAIT) == 0

    assert _gone(left)


def test_a_signal_that_ends_the_server_is_told() -> None:
    with guarded("kill -9 $$") as guard:
        assert guard.wait(WAIT) == 128 + signal.SIGKILL


def test_a_command_that_cannot_be_run_is_told() -> None:
    with guarded("exec /nowhere/at-all 2>/dev/null") as guard:
        assert guard.wait(WAIT) == 127


def test_a_guard_that_is_told_to_end_ends_the_server_though_its_input_is_open() -> None:
    with guarded("echo $$; sleep 600") as guard:
        (server,) = _pids(guard, 1)

        os.killpg(guard.pid, signal.SIGTERM)
        guard.wait(WAIT)

    until(lambda: _gone(server), "the server is gone")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not tell cores")
def test_a_server_runs_on_the_cores_that_it_is_given() -> None:
    core = min(os.sched_getaffinity(0))
    with guarded("echo $$; cat", cores=str(core)) as guard:
        (server,) = _pids(guard, 1)

        assert os.sched_getaffinity(server) == {core}


def test_the_guard_stands_beside_what_it_is_started_with() -> None:
    directories = [Path(one) for one in _GUARD[-2:]]

    assert [(directories[0] / "guard.py").is_file(), (directories[1] / "supervisor.py").is_file()] == [True, True]


def test_a_message_of_the_longest_length_is_passed_on_and_the_next_may_be_as_long() -> None:
    message = f"head -c {LONGEST_MESSAGE} /dev/zero; echo;"
    with guarded(2 * message + "cat >/dev/null") as guard:
        assert guard.stdout is not None

        output = guard.stdout.read(2 * (LONGEST_MESSAGE + 1))
        rest, _ = guard.communicate(timeout=WAIT)  # closes its input: not before, or it has a second for all of it

    assert len(output) == 2 * (LONGEST_MESSAGE + 1)
    assert (rest, guard.returncode) == (b"", 0)


def test_a_message_that_is_longer_is_the_servers_last_one() -> None:
    with guarded("echo $$ first; trap '' PIPE; while :; do head -c 1000000 /dev/zero 2>/dev/null; done") as guard:
        assert guard.stdout is not None
        server = int(guard.stdout.readline().split()[0])

        cut = guard.stdout.read()  # which ends
        _, told = guard.communicate(timeout=WAIT)  # closes its input, as the SDK does then

    assert LONGEST_MESSAGE - 1_000_000 <= len(cut) <= LONGEST_MESSAGE
    assert told == b"A message of more than 16 MiB: the server is ended.\n"
    assert _gone(server)
