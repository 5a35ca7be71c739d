"""What happens when an actor crashes in a real server."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.live.client import Client, types
from tests.live.conftest import Start
from tests.live.process import ServerProcess

CRASHED = 70
VARIANT = Path(__file__).with_name("crashing_server.py")


def crashing(start: Start, actor: str) -> ServerProcess:
    """Start a server in which this actor crashes: the script takes the place of ``-m alex_runtime``."""
    return start(shell=f'python="$1"; shift 3; exec "$python" "{VARIANT}" {actor} "$@"')


@pytest.mark.parametrize("actor", ["session", "store", "broadcaster"])
def test_a_server_whose_only_such_actor_crashes_once_goes_on(start: Start, actor: str) -> None:
    server = crashing(start, f"{actor}-once")
    with Client(server.url) as client:
        first, second = (client.submit("Say hello", session_id="line")["task_id"] for _ in range(2))

        tasks = [client.ended(task_id) for task_id in (first, second)]

        health = client.http.get("/health").json()
    assert [task["status"] for task in tasks] == ["completed"] * 2
    assert len(server.log("actor.crashed")) == len(server.log("actor.restarted")) == 1
    assert server.log("message.dropped") == []
    component = {"session": "sessions"}.get(actor, actor)
    assert health["components"][component]["status"] == "degraded"


@pytest.mark.parametrize("actor", ["session", "store", "broadcaster"])
def test_a_server_whose_only_such_actor_goes_on_crashing_says_so_and_ends(start: Start, actor: str) -> None:
    server = crashing(start, actor)
    with Client(server.url) as client:
        status = client.try_submit("Simulate 1 steps of 60000 ms").status_code
        with suppress(httpx.TransportError):  # it may be on its way down
            client.try_submit("Simulate 1 steps of 60000 ms")

    exit_code = server.wait()

    assert exit_code == CRASHED
    assert status == (500 if actor == "store" else 201)  # dropped after it crashed two of them
    assert [line["level"] for line in server.log("actor.crashed")] == ["error"] * 4
    assert len(server.log("actor.restarted")) == 3
    assert "Broken" in server.log("server.failed")[0]["error"]
    assert server.log("server.stopped")[0]["exit_code"] == CRASHED


def test_a_task_that_a_crashed_server_left_goes_on_at_the_next_start(start: Start) -> None:
    server = crashing(start, "broadcaster")
    with Client(server.url) as client:
        task_id = client.submit("Simulate 1 step of 2000 ms")["task_id"]
    server.wait()

    again = start(directory=server.data_dir.parent)

    with Client(again.url) as client:
        assert client.ended(task_id)["status"] == "completed"
        assert "task_resumed" in types(client.events(task_id))


def test_a_task_whose_own_actor_crashes_fails_and_the_next_in_line_has_its_turn(start: Start) -> None:
    server = crashing(start, "agent")
    with Client(server.url) as client:
        first, second = (client.submit("Say hello", session_id="line")["task_id"] for _ in range(2))

        tasks = [client.ended(task_id) for task_id in (first, second)]

        assert client.http.get("/health").status_code == 200
    assert [(task["status"], task["termination_reason"]) for task in tasks] == [("failed", "error")] * 2
    assert all("Broken" in task["error"] for task in tasks)
    assert len(server.log("actor.crashed")) == 2


def test_a_fault_that_nobody_foresaw_is_in_the_log(start: Start) -> None:
    server = crashing(start, "server")

    exit_code = server.wait()

    assert exit_code == 1
    (line,) = server.log("process.crashed")
    assert "Broken" in line["exception"]
