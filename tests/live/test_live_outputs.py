"""Outputs that cannot be written: the server goes on serving."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import ServerProcess


def _serves(server: ServerProcess) -> bool:
    with Client(server.url) as client:
        task = client.ended(client.submit("What is 2 + 2?")["task_id"])
        return bool(task["result"]["answer"] == "2 + 2 = 4" and client.http.get("/health").status_code == 200)


def test_a_standard_output_that_is_closed(start: Start) -> None:
    server = start(shell='exec "$@" >&-')

    assert _serves(server)
    assert server.stop() == 0
    assert server.log("task.ended")


def test_a_pipe_that_nobody_reads_any_more(start: Start) -> None:
    read_end, write_end = os.pipe()
    server = start(stdout=write_end)
    os.close(write_end)
    os.close(read_end)

    assert _serves(server)
    assert server.stop() == 0
    assert server.log("task.ended")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is a Linux device")
def test_a_disk_without_space_for_the_log(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "data" / "logs" / "alex.jsonl"
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")

    server = start()

    assert _serves(server)
    assert server.stop() == 0
    assert '"event":"task.ended"' in server.stdout


def test_a_standard_error_that_is_closed(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, shell='exec "$@" 2>&-')
    try:
        server.wait_until_serving()

        assert _serves(server)
        assert server.stop() == 0
    finally:
        server.kill()


def test_a_standard_error_that_nobody_reads(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, shell='mkfifo gone; exec 3<>gone 4>gone 3<&-; exec "$@" 2>&4')
    try:
        server.wait_until_serving()

        assert _serves(server)
        assert server.stop() == 0
    finally:
        server.kill()
