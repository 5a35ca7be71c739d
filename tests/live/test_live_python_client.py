"""The Python client on a real server: every event once, over restarts; waiting, cancelling, deleting."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from alex_http.client import (
    AsyncClient,
    Client,
    Event,
    EventStream,
    SessionIsBusy,
    Task,
    TaskHasEnded,
    UnknownSession,
    UnknownTask,
    WaitTimedOut,
)
from tests.live.conftest import Start
from tests.live.process import ROOT, SOON, ServerProcess, environment, kept_port, until

FOLLOWERS = 10
_CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def recorded(alex: Client, task_id: str) -> list[Event]:
    """Return all events of a task, page by page."""
    found: list[Event] = []
    while (page := alex.recorded_events(task_id, after=found[-1].event_id if found else 0, limit=7)).events:
        found += page.events
    return found


def of_session(alex: Client, tasks: list[Task]) -> list[Event]:
    """Return all events of a session, in the order in which they were recorded."""
    events = [event for task in tasks for event in recorded(alex, task.task_id)]
    return sorted(events, key=lambda event: event.event_id)


def take(events: EventStream, ends: int) -> list[Event]:
    """Take events until so many tasks have ended."""
    taken: list[Event] = []
    while ends:
        taken.append(next(events))
        ends -= taken[-1].is_terminal
    return taken


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """Give threads that a test which fails does not wait for: they end with the server."""
    pool = ThreadPoolExecutor(FOLLOWERS + 1)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def client_of(server: ServerProcess) -> Client:
    """Return a client that does not stay for long when its server has gone."""
    return Client(server.url, give_up_after=SOON)


def test_a_task_is_submitted_followed_and_read(server: ServerProcess) -> None:
    with Client(server.url) as alex:
        submitted = alex.submit("What is 2 + 2?", metadata={"ticket": "17"})

        events = list(alex.events(task_id=submitted.task_id))

        task = alex.task(submitted.task_id)
        assert (task.status, task.answer, task.metadata) == ("completed", "2 + 2 = 4", {"ticket": "17"})
        assert events == recorded(alex, task.task_id)
        assert events[-1].data["final_answer"] == task.answer
        assert list(alex.events(task_id=task.task_id, after=events[2].event_id)) == events[3:]
        assert list(alex.events(task_id=task.task_id, after=events[-1].event_id)) == []
        assert alex.health().status == "ok"


def test_many_follow_one_session_at_once(server: ServerProcess) -> None:
    async def follow(alex: AsyncClient) -> list[Event]:
        taken: list[Event] = []
        async with alex.events(session_id="watched") as events:
            async for event in events:
                taken.append(event)
                if sum(one.is_terminal for one in taken) == 3:
                    break
        return taken

    async def run() -> tuple[list[Task], list[list[Event]]]:
        async with AsyncClient(server.url) as alex:
            await alex.make_session("watched")
            followers = [asyncio.create_task(follow(alex)) for _ in range(FOLLOWERS)]
            texts = ["Simulate 20 steps of 5 ms"] * 3
            tasks = [await alex.submit(text, session_id="watched", strategy="parallel") for text in texts]
            ended = await asyncio.gather(*(alex.wait(task.task_id, timeout=SOON) for task in tasks))
            return list(ended), await asyncio.gather(*followers)

    tasks, received = asyncio.run(run())

    assert {task.status for task in tasks} == {"completed"}
    with Client(server.url) as alex:
        assert received == [of_session(alex, tasks)] * FOLLOWERS


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_no_event_is_lost_or_repeated_when_the_server_is_restarted(start: Start, number: signal.Signals) -> None:
    with kept_port() as port:
        first = start("--port", f"{port}")
        with client_of(first) as alex, threads() as pool:
            texts = ["Simulate 40 steps of 20 ms", "Simulate 150 steps of 20 ms", "Simulate 1 step of 3 s"]
            tasks = [
                alex.submit(text, session_id="watched", strategy="parallel", max_iterations=1000) for text in texts
            ]
            following = [pool.submit(take, alex.events(session_id="watched"), 3) for _ in range(FOLLOWERS)]
            waiting = pool.submit(alex.wait, tasks[2].task_id, timeout=4 * SOON)
            until(lambda: alex.task(tasks[0].task_id).current_iteration >= 10, "some of it is done")

            first.stop(number)
            second = start("--port", f"{port}")
            received = [future.result(4 * SOON) for future in following]

            events = of_session(alex, tasks)
            assert waiting.result(SOON).status == "completed"
            assert len(events) > 20
            assert received == [events] * FOLLOWERS
            assert second.troubles() == []


def test_a_wait_that_is_too_short_says_how_the_task_is(server: ServerProcess) -> None:
    with Client(server.url) as alex:
        task_id = alex.submit("Simulate 1 steps of 60 s").task_id

        with pytest.raises(WaitTimedOut) as raised:
            alex.wait(task_id, timeout=0.3)

        assert raised.value.task is not None
        assert raised.value.task.status in ("pending", "running")
        alex.cancel(task_id)


def test_a_cancel_ends_what_waits_and_follows_and_comes_too_late_the_second_time(server: ServerProcess) -> None:
    with client_of(server) as alex, threads() as pool:
        task_id = alex.submit("Simulate 1 steps of 60 s").task_id
        waiting = pool.submit(alex.wait, task_id)
        following = pool.submit(list, alex.events(task_id=task_id))

        alex.cancel(task_id)

        assert waiting.result(SOON).status == "cancelled"
        assert following.result(SOON)[-1].event_type == "task_cancelled"
        with pytest.raises(TaskHasEnded, match="has ended already"):
            alex.cancel(task_id)


def test_a_session_that_is_deleted_ends_its_streams(server: ServerProcess) -> None:
    with client_of(server) as alex, threads() as pool:
        task_id = alex.submit("Simulate 1 steps of 60 s", session_id="doomed").task_id
        of_session, of_task = alex.events(session_id="doomed"), alex.events(task_id=task_id)
        assert next(of_session) == next(of_task)
        with pytest.raises(SessionIsBusy):
            alex.submit("Say hello", session_id="doomed", strategy="reject")
        following = [pool.submit(list, events) for events in (of_session, of_task)]

        alex.delete_session("doomed")

        for future in following:
            future.result(SOON)
        assert of_session.deleted
        with pytest.raises(UnknownSession):
            alex.session("doomed")
        with pytest.raises(UnknownSession):
            next(alex.events(session_id="doomed"))
        with pytest.raises(UnknownTask):
            next(alex.events(task_id=task_id))


def run(server: ServerProcess, *arguments: str) -> str:
    """Run a program that uses the client, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
        env=environment({}),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_code_of_its_page_runs(server: ServerProcess) -> None:
    code = _CODE.findall((ROOT / "docs" / "client.md").read_text("utf-8"))

    printed = [run(server, "-c", block.replace("http://127.0.0.1:8080", server.url)) for block in code]

    assert len(printed) == 5
    assert printed[0].endswith("2 + 2 = 4\n")
    assert printed[1] == "['0 + 0 = 0', '1 + 1 = 2', '2 + 2 = 4']\n"
    assert "task_completed" in printed[2].splitlines()[-1]
    assert printed[3] == ""  # no tool of this server asks
    assert "task_completed" in printed[4].splitlines()[-1]


def test_the_example_follows_a_task(server: ServerProcess) -> None:
    program = Path(ROOT, "examples", "follow_a_task.py")

    printed = run(server, str(program), "--url", server.url, "What is 2 + 2?")

    assert printed.splitlines()[-1] == "2 + 2 = 4"
    assert "task_created" in printed
