"""A browser's EventSource, and npm's, get every event once and in order, whatever happens to the server."""

from __future__ import annotations

import json
import signal

from playwright.sync_api import Browser

from tests.browser.conftest import RestartedServer, Watch, a_context
from tests.browser.event_sources import EventSource, InPage, as_frames
from tests.live.process import Json, until

AWKWARD = 'Echo "zwölf"\r\nBoxkämpfer \u2028 data: \x00 \\ 😀\n\nid: 1\n\n'
LONG = "Simulate 1000 steps of 50 ms"
STEPS = 1000
"""How many a task may take: more than it does before it is stopped."""


def submit_three(server: RestartedServer, session_id: str | None = None) -> list[Json]:
    """Submit three long tasks that run side by side, in one session: a new one, unless it is given."""
    tasks: list[Json] = []
    for _ in range(3):
        task = server.client.submit(
            LONG, session_id=session_id, multitask_strategy="parallel", max_iterations=STEPS
        )
        session_id = task["session_id"]
        tasks.append(task)
    return tasks


def wait_until_live(server: RestartedServer, source: EventSource, task_id: str) -> None:
    """Wait until an EventSource got what a running task did after the EventSource had been connected."""
    source.wait_for_iteration(task_id, 1)
    source.wait_for_iteration(task_id, server.client.task(task_id)["current_iteration"] + 3)


def recorded(server: RestartedServer, session_id: str) -> list[Json]:
    """Return all events of a session whose tasks have ended, in order."""
    tasks = server.client.tasks(session_id=session_id, limit=1000)["tasks"]
    events = (event for task in tasks for event in server.client.events(task["task_id"]))
    return sorted(events, key=lambda event: int(event["event_id"]))


def test_a_task_is_followed_from_its_start_to_its_end(server: RestartedServer, watch: Watch) -> None:
    task_id = server.client.submit("Simulate 20 steps of 20 ms")["task_id"]

    source = watch(server, f"/api/tasks/{task_id}/events")
    source.wait_until_closed()

    assert source.events() == as_frames(server.client.events(task_id))
    assert source.events()[-1][1] == "task_completed"
    assert source.statuses(2) == [200, 204]
    assert [json.loads(one.data)["task_id"] for one in source.frames("connected")] == [task_id]


def test_what_a_task_says_arrives_as_it_was_said(server: RestartedServer, watch: Watch) -> None:
    task_id = server.client.submit(AWKWARD)["task_id"]
    server.client.ended(task_id)
    events = server.client.events(task_id)

    source = watch(server, f"/api/tasks/{task_id}/events")
    source.wait_for(events[-1])

    assert source.events() == as_frames(events)
    assert source.events()[0][2]["task"] == AWKWARD


def test_a_task_is_followed_to_its_end_although_the_server_is_killed(
    server: RestartedServer, watch: Watch
) -> None:
    task_id = server.client.submit(LONG, max_iterations=STEPS)["task_id"]
    source = watch(server, f"/api/tasks/{task_id}/events")
    source.wait_for_iteration(task_id, 5)

    server.restart(signal.SIGKILL)
    wait_until_live(server, source, task_id)  # it was resumed
    server.client.cancel(task_id)
    source.wait_until_closed()

    assert source.events() == as_frames(server.client.events(task_id))
    assert len(source.frames("task_resumed")) == 1
    assert source.events()[-1][1] == "task_cancelled"
    assert source.statuses(3) == [200, 200, 204]


def test_a_session_is_followed_although_the_server_stops_and_later_is_killed(
    server: RestartedServer, watch: Watch
) -> None:
    tasks = every = submit_three(server)
    session_id = tasks[0]["session_id"]
    source = watch(server, f"/api/sessions/{session_id}/events")
    wait_until_live(server, source, tasks[-1]["task_id"])

    for number in (signal.SIGTERM, signal.SIGKILL):
        server.restart(number)
        tasks = submit_three(server, session_id)
        every = every + tasks
        wait_until_live(server, source, tasks[-1]["task_id"])
    cancelled = [server.client.cancel(task["task_id"]).status_code for task in every]

    events = recorded(server, session_id)
    source.wait_for(events[-1])
    assert source.events() == as_frames(events)
    assert cancelled == [200] * 9
    assert len({event["task_id"] for event in events}) == 9
    assert len(source.frames("connected")) >= 3
    assert not source.closed()


def test_a_stream_starts_after_the_event_that_its_address_names(server: RestartedServer, watch: Watch) -> None:
    task_id = server.client.submit("What is 2 + 2?")["task_id"]
    server.client.ended(task_id)
    events = server.client.events(task_id)

    source = watch(server, f"/api/tasks/{task_id}/events?after={events[2]['event_id']}")
    source.wait_until_closed()

    assert source.events() == as_frames(events[3:])
    assert source.statuses(2) == [200, 204]  # the address is the same, but Last-Event-ID says where it got to


def test_a_task_that_was_followed_to_its_end_is_not_followed_again(server: RestartedServer, watch: Watch) -> None:
    task_id = server.client.submit("What is 2 + 2?")["task_id"]
    server.client.ended(task_id)
    last = server.client.events(task_id)[-1]["event_id"]

    source = watch(server, f"/api/tasks/{task_id}/events?after={last}")
    source.wait_until_closed()

    assert source.events() == []
    assert source.statuses(1) == [204]


def test_the_other_address_of_a_session_gives_what_was_and_what_comes(
    server: RestartedServer, watch: Watch
) -> None:
    first = server.client.submit("What is 2 + 2?")
    server.client.ended(first["task_id"])

    source = watch(server, f"/api/sse?session_id={first['session_id']}")
    source.wait_for(server.client.events(first["task_id"])[-1])
    second = server.client.submit("Echo on", session_id=first["session_id"])
    server.client.ended(second["task_id"])

    events = recorded(server, first["session_id"])
    source.wait_for(events[-1])
    assert source.events() == as_frames(events)
    assert len(source.frames("connected")) == 1


def test_there_is_no_second_try_where_there_is_nothing_to_follow(server: RestartedServer, watch: Watch) -> None:
    paths = ["/api/tasks/task-none/events", "/api/sessions/none/events", "/api/sse?session_id=none"]

    sources = [watch(server, path) for path in paths]
    for source in sources:
        source.wait_until_closed()

    assert [source.statuses(1) for source in sources] == [[404]] * 3
    assert [[one.what for one in source.seen() if one.what != "reply"] for source in sources] == [["error"]] * 3


def test_a_session_that_is_deleted_is_not_followed_any_more(server: RestartedServer, watch: Watch) -> None:
    task = server.client.ended(server.client.submit("What is 2 + 2?")["task_id"])
    session_id = task["session_id"]
    events = server.client.events(task["task_id"])
    source = watch(server, f"/api/sessions/{session_id}/events")
    source.wait_for(events[-1])

    deleted = server.client.http.delete(f"/api/sessions/{session_id}")
    source.wait_until_closed()

    assert deleted.status_code == 204
    assert source.events() == as_frames(events)
    assert [json.loads(one.data) for one in source.frames("session_deleted")] == [{"session_id": session_id}]
    assert source.statuses(2) == [200, 404]


def test_a_page_of_another_origin_cannot_follow_anything(server: RestartedServer, chromium: Browser) -> None:
    path = f"/api/tasks/{server.client.submit('What is 2 + 2?')['task_id']}/events"
    stranger = server.url.replace("127.0.0.1", "localhost")

    with a_context(chromium) as context:
        page = context.new_page()
        page.goto(f"{stranger}/health")
        source = InPage(page, server.url + path)
        source.wait_until_closed()
        seen = source.seen()

    denied = until(lambda: [line for line in server.process.log("http.denied") if line["path"] == path], "a reply")
    assert [(line["status"], line["reason"]) for line in denied] == [(403, "origin")]
    assert [one.what for one in seen] == ["error"]
