"""Waiting for a task with the client: over long polls, restarts and servers that do not come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from alex_http.client import ConnectionFailed, GaveUp, WaitTimedOut
from tests.unit.scripted_server import (
    ENDED,
    FakeTime,
    ScriptedServer,
    answering,
    broken,
    problem,
    refused,
    reply,
    task,
)

KINDS = ["sync", "async"]


def held(time: FakeTime, body: dict[str, Any], seconds: float) -> Callable[[], httpx.Response]:  # Any: JSON
    """Return a reply that the server holds for so long."""

    def respond() -> httpx.Response:
        time.now += seconds
        return httpx.Response(200, json=body)

    return respond


def waits(server: ScriptedServer) -> list[float]:
    return [float(request.url.params["wait"]) for request in server.requests]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_polls_until_the_task_has_ended(kind: str) -> None:
    server = answering()
    server.faults += [held(server.time, task(), 30), held(server.time, task(), 30), held(server.time, ENDED, 2)]

    ended = server.wait(kind)

    assert (ended.status, ended.has_ended) == ("cancelled", True)
    assert waits(server) == [30, 30, 30]
    assert server.time.slept == []
    assert server.requests[0].extensions["timeout"]["read"] == 60


def test_a_wait_asks_for_no_more_than_is_left_and_then_says_how_the_task_is() -> None:
    server = answering()
    server.faults += [held(server.time, task(), 30), held(server.time, task(), 30), held(server.time, task(), 5)]

    with pytest.raises(WaitTimedOut, match=r"has not ended within 65 seconds: it is running") as raised:
        server.wait(timeout=65)

    assert waits(server) == [30, 30, 5]
    assert server.requests[-1].extensions["timeout"]["read"] == 6
    assert raised.value.task is not None
    assert raised.value.task.current_iteration == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_lives_through_a_restart(kind: str) -> None:
    server = answering()
    server.faults += [broken, refused, refused, lambda: problem(503, Retry_After="2"), reply(ENDED)]

    assert server.wait(kind, timeout=60).has_ended
    assert server.time.slept == [1.25, 2.5, 5.0, 10.0]


def test_a_server_that_answers_too_early_is_not_asked_without_a_pause() -> None:
    server = answering(*[reply(task())] * 5, reply(ENDED))

    server.wait()

    assert server.time.slept == [1.0] * 5


def test_a_wait_without_time_looks_once() -> None:
    server = answering(reply(task()), reply(ENDED))

    with pytest.raises(WaitTimedOut):
        server.wait(timeout=0)

    assert server.wait(timeout=0).has_ended
    assert waits(server) == [0, 0]


def test_a_wait_ends_in_time_when_the_server_is_away() -> None:
    server = answering(*[refused] * 9)

    with pytest.raises(WaitTimedOut, match="could not be asked") as raised:
        server.wait(timeout=5)

    assert server.time.slept == [1.25, 2.5, 1.25]
    assert waits(server) == [5, 3.75, 1.25, 0]
    assert raised.value.task is None
    assert isinstance(raised.value.__cause__, ConnectionFailed)


def test_a_wait_gives_up_on_a_server_that_does_not_come_back() -> None:
    server = answering(*[refused] * 99)

    with pytest.raises(GaveUp, match="for 300 seconds"):
        server.wait()

    assert sum(server.time.slept) == pytest.approx(300)
