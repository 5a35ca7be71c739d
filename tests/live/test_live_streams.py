"""The sentences of the contract on events, on a real server: what a stream sends, where it begins and ends."""

from __future__ import annotations

import json
import time

import pytest

from tests.live.client import UNFINISHED, Client, types
from tests.live.conftest import Start
from tests.live.process import Json
from tests.live.streams import (
    COMMENT,
    Stream,
    as_frames,
    as_recorded,
    connect,
    open_stream,
    recorded_in_session,
    request,
)

LARGEST_ID = 2**63 - 1
SHORT = "Simulate 3 steps of 20 ms"
LONG = "Simulate 1 step of 30 s"
AWKWARD = 'Echo "zwölf"\r\nBoxkämpfer \u2028 data: \x01 \\ 😀\n\nid: 1\n\n'
LONGEST_SILENCE = 15.0
"""Seconds."""
SOON_ENOUGH = 5.0
"""Seconds. It takes milliseconds; with the next comment, ten seconds later, it would come at any rate."""


def path_of(task: Json) -> str:
    """Return where a task's events are."""
    return f"/api/tasks/{task['task_id']}/events"


def path_of_session(task: Json) -> str:
    """Return where the events of a task's session are."""
    return f"/api/sessions/{task['session_id']}/events"


# What is sent.


def test_a_stream_begins_with_what_is_followed_and_is_not_to_be_kept_by_anyone(client: Client) -> None:
    task = client.submit(LONG)

    with open_stream(client, path_of(task)) as of_task, open_stream(client, path_of_session(task)) as of_session:
        firsts = [of_task.next(), of_session.next()]

    session_id = task["session_id"]
    assert [frame and (frame.id, frame.event, frame.json()) for frame in firsts] == [
        (0, "connected", {"task_id": task["task_id"], "session_id": session_id, "after": 0}),
        (0, "connected", {"task_id": None, "session_id": session_id, "after": 0}),
    ]
    for head in (of_task.head, of_session.head):
        assert head.status == 200
        assert head.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert head.headers["Cache-Control"] == "no-store"
        assert head.headers["X-Request-ID"]
        assert not {"content-length", "transfer-encoding"} & set(head.headers)
    client.cancel(task["task_id"])


def test_a_stream_sends_what_is_recorded_and_then_what_happens_up_to_the_end(client: Client) -> None:
    task = client.submit("Simulate 40 steps of 10 ms")
    client.task_when(task["task_id"], lambda task: task["current_iteration"] > 5)

    with open_stream(client, path_of(task)) as stream:
        frames = list(stream)

    assert as_recorded(frames) == as_frames(client.events(task["task_id"]))
    assert [frame.event for frame in frames[:3]] == ["connected", "task_created", "task_started"]
    assert frames[-1].event == "task_completed"


@pytest.mark.parametrize(
    ("text", "last"), [("Echo done", "task_completed"), ("Simulate 1 step of 0 ms then fail", "task_failed")]
)
def test_the_stream_of_a_task_that_ended_long_before_has_all_of_it_and_ends(
    client: Client, text: str, last: str
) -> None:
    task = client.ended(client.submit(text)["task_id"])

    with open_stream(client, path_of(task)) as stream:
        frames = list(stream)

    assert as_recorded(frames) == as_frames(client.events(task["task_id"]))
    assert frames[-1].event == last


def test_what_happens_is_sent_when_it_happens(client: Client) -> None:
    task = client.submit(LONG)
    with open_stream(client, path_of(task)) as stream:
        stream.until("iteration_start")
        began = time.monotonic()

        client.cancel(task["task_id"])

        stream.until("task_cancelled")
    assert time.monotonic() - began < SOON_ENOUGH


def test_a_task_that_waits_in_line_is_followed_until_it_is_cancelled(client: Client) -> None:
    ahead = client.submit(LONG)
    waits = client.submit(LONG, session_id=ahead["session_id"])

    with open_stream(client, path_of(waits)) as stream:
        before = stream.until("task_created")
        client.cancel(waits["task_id"])
        after = [frame.event for frame in stream]

    assert [frame.event for frame in before] == ["connected", "task_created"]
    assert after == ["task_cancelled"]
    client.cancel(ahead["task_id"])


def test_a_stream_that_is_open_while_an_agent_waits_in_line_gets_all_that_it_does_then(client: Client) -> None:
    ahead = client.submit("Simulate 1 step of 200 ms")
    waits = client.submit(SHORT, session_id=ahead["session_id"])

    with open_stream(client, path_of(waits)) as stream:
        frames = list(stream)

    assert as_recorded(frames) == as_frames(client.events(waits["task_id"]))
    assert frames[-1].event == "task_completed"


def test_the_stream_of_a_session_stays_open_over_its_tasks_and_has_two_addresses(client: Client) -> None:
    session_id = client.submit("Say hello")["session_id"]

    with (
        open_stream(client, f"/api/sessions/{session_id}/events") as stream,
        open_stream(client, f"/api/sse?session_id={session_id}") as same,
    ):
        received = [stream.until("task_completed"), same.until("task_completed")]
        for strategy in ("enqueue", "parallel", "parallel"):
            client.submit(SHORT, session_id=session_id, multitask_strategy=strategy)
        for number, one in enumerate((stream, same)):
            received[number] += one.until("task_completed", times=3)

    assert received[0] == received[1]
    assert as_recorded(received[0]) == as_frames(recorded_in_session(client, session_id))


def test_the_streams_of_a_session_that_is_deleted_say_so_and_end(client: Client) -> None:
    task = client.submit(LONG)
    client.running(task["task_id"])
    with open_stream(client, path_of(task)) as of_task, open_stream(client, path_of_session(task)) as of_session:
        of_task.until("iteration_start")
        of_session.until("iteration_start")

        deleted = client.http.delete(f"/api/sessions/{task['session_id']}")

        ends = [of_task.until("task_cancelled"), of_session.until("session_deleted")]
        rest = list(of_session)
    assert deleted.status_code == 204
    (*_, last) = ends[1]
    assert (last.id, last.json()) == (0, {"session_id": task["session_id"]})
    assert rest == []


def test_no_state_is_behind_an_event_that_was_sent(client: Client) -> None:
    task = client.submit("Simulate 20 steps of 2 ms")

    with open_stream(client, path_of(task)) as stream:
        for frame in stream:
            now = client.task(task["task_id"])
            data = frame.json()
            assert now["current_iteration"] >= data.get("iteration", 0)
            assert now["tokens_used"] >= data.get("tokens_used", 0)
            if frame.event == "task_started":
                assert now["status"] != "pending"

    assert (now["status"], now["total_iterations"]) == ("completed", 20)


def test_an_event_is_one_line_of_json_in_utf_8(client: Client) -> None:
    task = client.ended(client.submit(AWKWARD)["task_id"])

    with connect(client.url) as sock:
        sock.sendall(request(path_of(task)))
        received = b"".join(iter(lambda: sock.recv(65_536), b""))

    frames = received.partition(b"\r\n\r\n")[2].split(b"\n\n")
    assert frames[0].startswith(b"retry: 1000\nevent: connected\ndata: {")
    created = next(frame for frame in frames if b"\nevent: task_created\n" in frame)
    assert created.count(b"\n") == 2
    assert "zwölf".encode() in created
    assert "😀".encode() in created
    assert json.loads(created.split(b"\ndata: ")[1])["task"] == AWKWARD


def test_a_large_event_arrives_whole(client: Client) -> None:
    text = "\x01" * 65_000  # six bytes each, as JSON
    written = client.ended(client.submit(f"Create a file called a.txt with content: {text}")["task_id"])
    task = client.submit("Read a.txt. Then read a.txt", session_id=written["session_id"])

    with open_stream(client, path_of(task)) as stream:
        frames = list(stream)

    assert as_recorded(frames) == as_frames(client.events(task["task_id"]))
    assert max(len(frame.data) for frame in frames) > 780_000


def test_two_hundred_streams_get_the_same_bytes(client: Client) -> None:
    task = client.submit("Simulate 1 step of 300 ms")

    streams = [open_stream(client, path_of(task)) for _ in range(200)]
    received = [list(stream) for stream in streams]

    for stream in streams:
        stream.sock.close()
    assert received == [received[0]] * 200
    assert as_recorded(received[0]) == as_frames(client.events(task["task_id"]))


def test_a_comment_comes_when_nothing_else_does(client: Client) -> None:
    task = client.ended(client.submit("Say hello")["task_id"])
    with open_stream(client, path_of_session(task)) as stream:
        stream.until("task_completed")
        began = time.monotonic()

        frame = stream.next()

    assert frame is not None
    assert (frame.id, frame.event) == (0, COMMENT)
    assert time.monotonic() - began < LONGEST_SILENCE


# Where it begins.


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Last-Event-ID": "{2}"}, ""),
        ({}, "?after={2}"),
        ({"Last-Event-ID": "{2}"}, "?after={0}"),
        ({"Last-Event-ID": "{2}"}, "?after={4}"),
        ({"Last-Event-ID": ""}, "?after={2}"),
    ],
    ids=["header", "query", "header over a smaller one", "header over a larger one", "empty header"],
)
def test_a_stream_is_resumed_after_the_id_that_was_received_last(
    client: Client, headers: dict[str, str], query: str
) -> None:
    task = client.ended(client.submit(SHORT)["task_id"])
    events = client.events(task["task_id"])
    ids = [event["event_id"] for event in events]
    given = {name: value.format(*ids) for name, value in headers.items()}

    with open_stream(client, path_of(task) + query.format(*ids), given) as stream:
        frames = list(stream)

    assert frames[0].json()["after"] == ids[2]
    assert as_recorded(frames) == as_frames(events[3:])


def test_every_position_of_a_session_is_one_to_resume_from(client: Client) -> None:
    task = client.ended(client.submit("Simulate 2 steps of 0 ms")["task_id"])
    events = recorded_in_session(client, task["session_id"])

    for number, event in enumerate(events[:-1]):
        with open_stream(client, path_of_session(task), {"Last-Event-ID": event["event_id"]}) as stream:
            received = stream.until("task_completed")

        assert as_recorded(received) == as_frames(events[number + 1 :])


def test_an_id_of_another_session_is_a_position_too(client: Client) -> None:
    before = client.ended(client.submit("Say hello")["task_id"])
    task = client.ended(client.submit("Say hello")["task_id"])
    after = client.events(before["task_id"])[-1]["event_id"]

    with open_stream(client, path_of(task), {"Last-Event-ID": after}) as stream:
        frames = list(stream)

    assert as_recorded(frames) == as_frames(client.events(task["task_id"]))


def test_a_position_ahead_of_what_has_happened_leaves_out_what_is_not_above_it(client: Client) -> None:
    task = client.submit(LONG)
    client.running(task["task_id"])
    last = client.events(task["task_id"])[-1]["event_id"]

    with open_stream(client, f"{path_of(task)}?after={last + 1_000_000}") as stream:
        stream.until("connected")
        client.cancel(task["task_id"])
        frames = list(stream)

    assert frames == []


# Where it ends.


def test_a_stream_that_is_resumed_at_the_end_or_past_it_is_told_to_stop(client: Client) -> None:
    task = client.ended(client.submit("Say hello")["task_id"])
    last = client.events(task["task_id"])[-1]["event_id"]

    replies = [
        client.http.get(path_of(task), headers={"Accept": "text/event-stream", "Last-Event-ID": str(position)})
        for position in (last, last + 1, LARGEST_ID)
    ]

    assert [(reply.status_code, reply.content) for reply in replies] == [(204, b"")] * 3


def test_after_a_restart_streams_go_on_where_they_were_and_end(start: Start) -> None:
    first = start()
    with Client(first.url) as client:
        done = client.ended(client.submit(SHORT)["task_id"])
        cut = client.submit(LONG)
        client.running(cut["task_id"])
        before = {task["task_id"]: client.events(task["task_id"]) for task in (done, cut)}
    first.kill()

    second = start(settings={"AGENTS__RECOVERY": "fail"})

    with Client(second.url) as client:
        for task in (done, cut):
            events = client.events(task["task_id"])
            with open_stream(client, path_of(task)) as whole:
                assert as_recorded(whole) == as_frames(events)
            seen = before[task["task_id"]][2]["event_id"]
            with open_stream(client, path_of(task), {"Last-Event-ID": seen}) as resumed:
                assert as_recorded(resumed) == as_frames(events[3:])
        assert types(client.events(cut["task_id"]))[-1] == "task_failed"


def test_a_stream_that_is_opened_at_the_very_end_ends(client: Client) -> None:
    # Between the look at the task and the subscription lies its end, for some of these.
    for milliseconds in range(20):
        task = client.submit(f"Simulate 1 step of {milliseconds} ms")

        with open_stream(client, path_of(task)) as stream:
            frames = list(stream)

        assert frames[-1].event == "task_completed"


def test_who_leaves_cancels_nothing(client: Client) -> None:
    task = client.submit("Simulate 20 steps of 10 ms")

    with open_stream(client, path_of(task)) as stream:
        stream.until("iteration_start")

    assert client.task(task["task_id"])["status"] in UNFINISHED
    assert client.ended(task["task_id"])["status"] == "completed"


# Which representation.


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "*/*", "text/*", "application/json;q=0.5, text/event-stream", "nonsense"]
)
def test_who_takes_it_gets_a_stream(client: Client, accept: str) -> None:
    task = client.ended(client.submit("Say hello")["task_id"])

    for path in (path_of(task), path_of_session(task)):
        with open_stream(client, path, {"Accept": accept}) as stream:
            assert stream.is_open
            assert stream.until("task_completed")


def test_who_prefers_json_gets_the_recorded_events(client: Client) -> None:
    task = client.ended(client.submit("Say hello")["task_id"])

    reply = client.http.get(path_of(task), headers={"Accept": "application/json, text/event-stream;q=0.9"})

    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json()["events"] == client.events(task["task_id"])


def test_a_stream_is_found_by_head_and_not_opened(client: Client) -> None:
    task = client.submit(LONG)

    with connect(client.url) as sock:
        stream = Stream(sock, request(path_of(task), method="HEAD"))
        body = stream.body()

    assert (stream.head.status, body) == (200, b"")
    assert stream.is_open
    assert "transfer-encoding" not in stream.head.headers
    client.cancel(task["task_id"])
