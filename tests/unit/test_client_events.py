"""The client's event streams: each event once, in order, whatever becomes of the connections."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alex_http.client import (
    BadReply,
    Client,
    ConnectionFailed,
    Event,
    Forbidden,
    GaveUp,
    UnknownSession,
    UnknownTask,
)
from tests.unit.scripted_server import (
    CONNECTED,
    HEARTBEAT,
    SESSION_ID,
    STREAM,
    TASK_ID,
    Body,
    Cut,
    FakeTime,
    Fault,
    Repeat,
    ScriptedServer,
    broken,
    event,
    frame,
    problem,
    refused,
    silent,
)

KINDS = ["sync", "async"]
EVENTS = [
    event(3, "task_created", task="Größe → 😀"),
    event(4, "task_started"),
    event(17, "thinking", iteration=1, message_count=2),
    event(170, "task_completed", final_answer="data: \n\nid: 4", status="completed"),
]
SESSION_DELETED = b'event: session_deleted\ndata: {"session_id": "session-1"}\n\n'


def ids(events: list[Event]) -> list[int]:
    return [event.event_id for event in events]


def stream(*pieces: bytes, error: Any = None) -> httpx.Response:  # Any: as Body has it
    return httpx.Response(200, headers=STREAM, stream=Body(pieces, error))


@pytest.mark.parametrize("kind", KINDS)
def test_all_events_come_once_and_in_order_and_the_iterator_ends_with_the_task(kind: str) -> None:
    server = ScriptedServer(EVENTS)

    events = server.follow(kind)

    assert ids(events) == [3, 4, 17, 170]
    assert [event.event_type for event in events] == ["task_created", "task_started", "thinking", "task_completed"]
    assert events[2].data == {"iteration": 1, "message_count": 2}
    assert events[0].data == {"task": "Größe → 😀"}
    assert len(server.requests) == 1
    assert server.time.slept == []
    assert server.bodies[0].closed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [broken, silent, None], ids=["broken", "silent", "ended"])
def test_a_connection_may_end_at_any_byte(kind: str, error: Any) -> None:
    whole = len(ScriptedServer(EVENTS).after(0))

    for at in range(whole + 1):
        server = ScriptedServer(EVENTS, [Cut(at, error)])
        assert ids(server.follow(kind)) == [3, 4, 17, 170], f"cut after {at} bytes"


def test_a_stream_may_come_byte_by_byte() -> None:
    server = ScriptedServer(EVENTS)
    server.faults = [lambda: stream(*(bytes([byte]) for byte in server.after(0)))]

    assert ids(server.follow()) == [3, 4, 17, 170]


faults = st.one_of(
    st.builds(Cut, st.integers(0, 900), st.sampled_from([broken, silent, None])),
    st.builds(Repeat, st.integers(0, 200)),
    st.sampled_from([refused, broken, silent]),
    st.sampled_from([lambda: problem(503, Retry_After="2"), lambda: problem(500), lambda: httpx.Response(502)]),
    st.just(lambda: stream(CONNECTED)),  # a server that is being stopped
)


@given(st.lists(faults, max_size=12), st.sampled_from(KINDS), st.sampled_from([0, 3, 4, 16, 17, 170, 171]))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_to_the_connections_each_event_comes_once(
    script: list[Fault], kind: str, after: int
) -> None:
    server = ScriptedServer(EVENTS, list(script))

    events = server.follow(kind, after=after, give_up_after=None)

    assert ids(events) == [one for one in (3, 4, 17, 170) if one > after]
    assert len(server.requests) <= len(script) + 1
    positions = [int(request.headers.get("Last-Event-ID", "0")) for request in server.requests]
    assert positions == sorted(positions)
    assert set(positions) <= {after, *ids(events)}
    assert all(pause >= 1 for pause in server.time.slept)
    assert len(server.time.slept) == len(server.requests) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_that_ended_before_the_position_has_nothing_more_to_come(kind: str) -> None:
    server = ScriptedServer(EVENTS)

    assert server.follow(kind, after=170) == []
    assert server.requests[0].headers["Last-Event-ID"] == "170"
    assert len(server.requests) == 1


def test_a_stream_from_the_beginning_sends_no_position() -> None:
    server = ScriptedServer(EVENTS)

    server.follow()

    (request,) = server.requests
    assert "Last-Event-ID" not in request.headers
    assert (request.url.path, request.headers["Accept"]) == (f"/api/tasks/{TASK_ID}/events", "text/event-stream")
    assert request.extensions["timeout"] == {"connect": 30.0, "read": 45.0, "write": 30.0, "pool": None}


def test_an_id_that_is_not_above_the_last_is_dropped() -> None:
    disorder = [CONNECTED, frame(event(17)), frame(event(4)), frame(event(17)), frame(EVENTS[-1])]
    server = ScriptedServer([], [lambda: stream(*disorder)])

    assert ids(server.follow()) == [17, 170]


def test_what_a_newer_server_may_add_is_left_out() -> None:
    new = [CONNECTED, frame(event(3, "dreaming", of="sheep")), b"event: notice\ndata: {\"text\": \"Hello\"}\n\n",
           HEARTBEAT, b"unknown: 1\n\n", frame(EVENTS[-1])]  # fmt: skip
    server = ScriptedServer([], [lambda: stream(*new)])

    assert [(one.event_type, one.data.get("of")) for one in server.follow()] == [
        ("dreaming", "sheep"),
        ("task_completed", None),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_another_task_does_not_end_the_stream(kind: str) -> None:
    server = ScriptedServer([event(1, "task_completed", task_id="task-2"), *EVENTS])

    assert ids(server.follow(kind)) == [1, 3, 4, 17, 170]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_ends_when_its_session_is_deleted(kind: str) -> None:
    server = ScriptedServer([], [lambda: stream(CONNECTED, frame(event(3)), SESSION_DELETED)])

    assert ids(server.follow(kind)) == [3]
    assert len(server.requests) == 1


def test_a_session_is_followed_over_the_ends_of_its_tasks_until_it_is_deleted() -> None:
    server = ScriptedServer(
        EVENTS, [Cut(10_000, None), lambda: stream(CONNECTED, frame(event(171)), SESSION_DELETED)]
    )

    events = server.client().events(session_id=SESSION_ID)

    assert ids(list(events)) == [3, 4, 17, 170, 171]
    assert (events.deleted, events.last_event_id) == (True, 171)
    assert [request.url.path for request in server.requests] == [f"/api/sessions/{SESSION_ID}/events"] * 2


def test_a_session_that_is_deleted_while_nobody_is_connected_ends_the_stream_as_well() -> None:
    server = ScriptedServer(EVENTS, [Cut(10_000, None), lambda: problem(404)])

    events = server.client().events(session_id=SESSION_ID)

    assert ids(list(events)) == [3, 4, 17, 170]
    assert events.deleted


def test_what_is_not_there_is_an_error() -> None:
    server = ScriptedServer([], [lambda: problem(404), lambda: problem(404), lambda: problem(403)])
    client = server.client()

    with pytest.raises(UnknownTask):
        next(client.events(task_id="none"))
    with pytest.raises(UnknownSession):
        next(client.events(session_id="none"))
    with pytest.raises(Forbidden):
        next(client.events(session_id="none"))


def test_an_address_that_is_not_the_servers_is_said_at_once() -> None:
    html = {"Content-Type": "text/html"}
    server = ScriptedServer([], [lambda: httpx.Response(200, content="<html>Welcome", headers=html)])

    with pytest.raises(BadReply, match="Welcome"):
        server.follow()


def test_a_frame_that_is_no_event_is_said() -> None:
    server = ScriptedServer([], [lambda: stream(b'id: 3\nevent: thinking\ndata: {"event_id": 3}\n\n')])

    with pytest.raises(BadReply, match="missing required field"):
        server.follow()


# Pauses.


def test_pauses_grow_and_begin_anew_after_each_contact() -> None:
    script: list[Fault] = [refused] * 6
    server = ScriptedServer(EVENTS, [*script, Cut(len(CONNECTED)), refused])

    server.follow()

    # doubled, and a quarter more by chance; contact; then from the beginning
    assert server.time.slept == [1.25, 2.5, 5.0, 10.0, 12.5, 12.5, 1.25, 2.5]


def test_the_pause_that_a_stream_asks_for_is_kept() -> None:
    server = ScriptedServer(EVENTS, [lambda: stream(b"retry: 4000\n", CONNECTED[12:])])

    server.follow()

    assert server.time.slept == [5.0]


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "99999999"}, 300.0),
        ({"Retry-After": "soon"}, 1.25),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30.0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 1.25),
    ],
)
def test_retry_after_is_kept(headers: dict[str, str], pause: float) -> None:
    server = ScriptedServer(EVENTS, [lambda: httpx.Response(503, headers=headers)])

    server.follow()

    assert server.time.slept == [pause]


# Giving up, and going on.


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_up_when_there_was_no_contact_for_as_long_as_it_may_take(kind: str) -> None:
    script: list[Fault] = [refused] * 100
    server = ScriptedServer(EVENTS, [Cut(len(CONNECTED)), *script])

    with pytest.raises(GaveUp, match=r"for 60 seconds.*refused") as gave_up:
        server.follow(kind, give_up_after=60)

    assert sum(server.time.slept) == 60
    assert isinstance(gave_up.value.__cause__, ConnectionFailed)


def test_who_goes_on_after_giving_up_misses_nothing() -> None:
    script: list[Fault] = [refused] * 12
    server = ScriptedServer(EVENTS, [Cut(len(CONNECTED + frame(EVENTS[0]))), *script])
    events = server.client(give_up_after=60).events(task_id=TASK_ID)
    first = next(events)

    with pytest.raises(GaveUp):
        next(events)

    assert ids([first, *events]) == [3, 4, 17, 170]


def test_an_interrupt_loses_nothing() -> None:
    def interrupt() -> Exception:
        raise KeyboardInterrupt

    server = ScriptedServer(EVENTS, [Cut(len(CONNECTED + frame(EVENTS[0])), interrupt)])
    events = server.client().events(task_id=TASK_ID)
    first = next(events)

    with pytest.raises(KeyboardInterrupt):
        next(events)

    assert server.bodies[0].closed
    assert ids([first, *events]) == [3, 4, 17, 170]


def test_who_is_interrupted_in_a_pause_does_not_begin_it_anew() -> None:
    class Interrupting(FakeTime):
        def sleep(self, seconds: float) -> None:
            super().sleep(min(seconds, 0.5))
            if seconds > 0.5:
                raise KeyboardInterrupt

    server = ScriptedServer(EVENTS, [refused, refused], Interrupting())
    events = server.client().events(task_id=TASK_ID)

    for _ in range(2 + 4):  # 1.25 s, then 2.5 s: in halves of a second
        with pytest.raises(KeyboardInterrupt):
            next(events)
    first = next(events)

    assert first.event_id == 3
    assert len(server.requests) == 3


def test_a_cancellation_loses_nothing() -> None:
    class Hanging(Body):
        async def __aiter__(self) -> Any:
            yield CONNECTED + frame(EVENTS[0])
            await asyncio.get_running_loop().create_future()

    server = ScriptedServer(EVENTS)
    server.faults = [lambda: httpx.Response(200, headers=STREAM, stream=Hanging([]))]

    async def follow() -> list[Event]:
        events = server.async_client().events(task_id=TASK_ID)
        received = [await anext(events)]
        waiting = asyncio.create_task(anext(events))
        await asyncio.wait([waiting], timeout=0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return received + [event async for event in events]

    assert ids(asyncio.run(follow())) == [3, 4, 17, 170]
    assert len(server.requests) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_who_leaves_early_closes_the_connection(kind: str) -> None:
    server = ScriptedServer(EVENTS)

    if kind == "sync":
        with server.client().events(task_id=TASK_ID) as events:
            next(events)
    else:

        async def leave() -> None:
            async with server.async_client().events(task_id=TASK_ID) as events:
                await anext(events)

        asyncio.run(leave())

    assert server.bodies[0].closed


def test_one_thing_is_followed_at_a_time() -> None:
    client = Client()

    with client, pytest.raises(ValueError, match="either"):
        client.events()  # type: ignore[call-overload] # that is what is shown
    with client, pytest.raises(ValueError, match="either"):
        client.events(task_id="a", session_id="b")  # type: ignore[call-overload] # that is what is shown
    with client, pytest.raises(ValueError, match="-1"):
        client.events(task_id="a", after=-1)


def test_a_stream_that_is_dropped_closes_its_connection_before_any_garbage_is_collected() -> None:
    server = ScriptedServer(EVENTS)
    events = server.client().events(task_id=TASK_ID)
    next(events)

    gc.disable()  # in a collection, closing may meet a lock of httpcore that the same thread holds
    try:
        del events
        closed = server.bodies[0].closed
    finally:
        gc.enable()

    assert closed
