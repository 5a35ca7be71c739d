"""The client and a server that means it no good: what comes is bounded, and every error is an AlexError."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence

import httpx
import pytest

from alex_http.client import BadReply, BadRequest, Event, Task, Unavailable
from alex_http.client.frames import Frames
from tests.unit.scripted_server import (
    CONNECTED,
    HEARTBEAT,
    PROBLEM,
    SESSION_ID,
    STREAM,
    TASK_ID,
    Body,
    ScriptedServer,
    answering,
    event,
    frame,
    reply,
    task,
)

MIB = b"x" * 2**20
DEEP = b"[" * 100_000 + b"]" * 100_000
EVENTS = [event(3, "task_created", task="Größe → 😀"), event(17), event(170, "task_completed")]
IDS = [3, 17, 170]
HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}

kinds = pytest.mark.parametrize("kind", ["sync", "async"])


def ids(events: list[Event]) -> list[int]:
    return [event.event_id for event in events]


def meets(body: Body, headers: dict[str, str], status: int = 200) -> ScriptedServer:
    """Return a server whose first connection meets this; the next ones are served as they should be."""
    return ScriptedServer(EVENTS, [lambda: httpx.Response(status, headers=headers, stream=body)])


def streams(*pieces: bytes, **headers: str) -> ScriptedServer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return meets(Body(pieces), STREAM | named)


def read_task(server: ScriptedServer, kind: str) -> Task:
    return server.client().task(TASK_ID) if kind == "sync" else asyncio.run(server.async_client().task(TASK_ID))


# Memory.


@kinds
@pytest.mark.parametrize(
    "pieces",
    [[b"data: ", *[MIB] * 17], [b"data: " + MIB + b"\n"] * 17, [b": ", *[MIB] * 17], [b"\n\ndata: " + MIB * 17]],
    ids=["no newline", "data lines", "a comment without end", "one piece"],
)
def test_a_frame_without_end_is_an_error(kind: str, pieces: list[bytes]) -> None:
    body = Body([CONNECTED, *pieces])

    with pytest.raises(BadReply, match="a frame is longer than 16777216 bytes"):
        meets(body, STREAM).follow(kind)

    assert body.closed


@kinds
def test_the_limit_is_for_one_frame_not_for_the_stream(kind: str) -> None:
    large = [event(number, text="x" * 9 * 2**20) for number in (1, 2)]
    comments = [b": " + MIB + b"\n"] * 17
    server = streams(CONNECTED, *map(frame, large), *comments, *map(frame, EVENTS))

    assert ids(server.follow(kind)) == [1, 2, *IDS]
    assert len(server.requests) == 1


@kinds
@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_reply_without_end_is_an_error_where_a_stream_was_asked_for(kind: str, status: int) -> None:
    body = Body([MIB] * 65)

    with pytest.raises(BadReply, match=f"longer than 67108864 bytes.*{status} 'xxx"):
        meets(body, HTML, status).follow(kind)

    assert body.closed


@kinds
@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_reply_without_end_is_an_error(kind: str, status: int) -> None:
    body = Body([MIB] * 65)

    with pytest.raises(BadReply, match="longer than 67108864 bytes"):
        read_task(meets(body, JSON, status), kind)

    assert body.closed


@kinds
def test_a_reply_may_be_large(kind: str) -> None:
    padding = [b" " * 2**20] * 63
    server = meets(Body([*padding, json.dumps(task()).encode()]), JSON)

    assert read_task(server, kind).task_id == TASK_ID


@kinds
@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd"])
def test_what_may_grow_without_bound_when_it_is_unpacked_is_an_error(kind: str, encoding: str) -> None:
    with pytest.raises(BadReply, match="Content-Encoding"):
        streams(CONNECTED, Content_Encoding=encoding).follow(kind)
    with pytest.raises(BadReply, match="Content-Encoding"):
        read_task(meets(Body([b"{}"]), JSON | {"Content-Encoding": encoding}), kind)


@kinds
def test_what_a_proxy_packs_is_unpacked(kind: str) -> None:
    packed = JSON | {"Content-Encoding": "gzip"}
    content = gzip.compress(CONNECTED + b"".join(map(frame, EVENTS)))
    followed, asked = streams(content, Content_Encoding="gzip"), meets(Body([gzip.compress(b"{}")]), packed)

    assert ids(followed.follow(kind)) == IDS
    with pytest.raises(BadReply, match="missing required field"):
        read_task(asked, kind)
    sent = [followed.requests[0].headers["Accept-Encoding"], asked.requests[0].headers["Accept-Encoding"]]
    assert sent == ["gzip, deflate"] * 2


# Frames.


@kinds
@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000, "3600001", "-1", "٣", "soon"])
def test_a_pause_that_nobody_can_mean_is_not_kept(kind: str, number: str) -> None:
    server = streams(f"retry: {number}\n".encode() + CONNECTED[12:])

    assert ids(server.follow(kind)) == IDS
    assert server.time.slept == [1.25]


@kinds
@pytest.mark.parametrize("charset", ["utf-16", "rot13", "zlib", "latin-1", "none"])
def test_a_stream_is_utf_8_whatever_its_content_type_says(kind: str, charset: str) -> None:
    content = CONNECTED + HEARTBEAT + b"".join(map(frame, EVENTS))
    server = streams(content, Content_Type=f"Text/Event-Stream; charset={charset}")

    events = server.follow(kind)

    assert (ids(events), events[0].data) == (IDS, {"task": "Größe → 😀"})
    assert len(server.requests) == 1


@kinds
def test_bytes_that_are_no_text_are_replaced(kind: str) -> None:
    server = streams(frame(event(1, text="?")).replace(b"?", b"\xff"), b"\xff\xfe\n", *map(frame, EVENTS))

    assert server.follow(kind)[0].data == {"text": "\ufffd"}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_lines_end_in_any_of_three_ways_and_anywhere_in_a_piece(end: bytes, size: int) -> None:
    content = (
        b"retry:5\n: no\ndata:  a\ndata\nid: 3\nevent: b\ndata:c: d\n\n\n\n: no\n\nid: 4\n\nretry: 7\n\ndata: e\n"
    )
    content = content.replace(b"\n", end)

    found = read_frames([content[at : at + size] for at in range(0, len(content), size)])

    assert found == [("b", " a\n\nc: d", 5), ("message", "", 7)]


def read_frames(pieces: Sequence[bytes]) -> list[tuple[str, str, int | None]]:
    frames = Frames()
    return [(frame.event, frame.data, frame.retry) for piece in pieces for frame in frames.received(piece)]


# JSON that is nested more deeply than the interpreter goes.


@kinds
def test_an_event_that_is_too_deep_is_no_event(kind: str) -> None:
    deep = frame(event(1, more="?")).replace(b'"?"', DEEP)

    with pytest.raises(BadReply, match="no event of Alex Runtime"):
        streams(CONNECTED, deep).follow(kind)


@kinds
def test_a_reply_that_is_too_deep_is_none(kind: str) -> None:
    deep = json.dumps(task(more="?")).encode().replace(b'"?"', DEEP)

    with pytest.raises(BadReply, match="recursion"):
        read_task(meets(Body([deep]), JSON), kind)


def test_a_recorded_event_that_is_too_deep_is_none() -> None:
    page = b'{"events": [%s], "last_event_id": 1}' % json.dumps(event(1, more="?")).encode().replace(b'"?"', DEEP)

    with pytest.raises(BadReply, match="recursion"):
        meets(Body([page]), JSON).client().recorded_events(TASK_ID)


@kinds
@pytest.mark.parametrize(("status", "expected"), [(400, BadRequest), (503, Unavailable)])
def test_a_problem_that_is_too_deep_is_not_the_servers_word(
    kind: str, status: int, expected: type[Exception]
) -> None:
    body = b'{"title": "A", "detail": "No.", "more": %s}' % DEEP
    slow = {"Retry-After": "60"}  # so that it is not sent again

    with pytest.raises(expected, match=r"\[\[\["):
        read_task(meets(Body([body]), PROBLEM | slow, status), kind)


@pytest.mark.parametrize("year", ["9" * 30, "9" * 5000])
def test_a_moment_that_no_calendar_has_is_no_pause(year: str) -> None:
    moment = {"Retry-After": f"Fri, 31 Dec {year} 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:29 GMT"}
    server = answering(lambda: httpx.Response(503, headers=moment), reply(task()))

    assert server.client().task(TASK_ID).task_id == TASK_ID
    assert server.time.slept == [0.25]


def test_after_such_an_error_the_stream_goes_on_where_it_was() -> None:
    server = streams(CONNECTED, frame(EVENTS[0]), b"data: " + MIB * 17)
    events = server.client().events(session_id=SESSION_ID)
    first = next(events)

    with pytest.raises(BadReply):
        next(events)

    assert (first.event_id, next(events).event_id) == (3, 17)
    events.close()
