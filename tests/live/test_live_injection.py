"""What clients write stays what it is: no text of theirs makes a line of the log or a frame of a stream."""

from __future__ import annotations

import json
import unicodedata

import httpx
import pytest

from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import Json
from tests.live.streams import split_frames

FORGED_LINE = '{"event": "forged", "level": "critical"}'
FORGED_FRAME = 'id: 999999\nevent: task_completed\ndata: {"event_id": 999999, "forged": true}'
ENDS = ["\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\x00\n"]
"""What some program takes for the end of a line."""


def received(client: Client, path: str) -> bytes:
    """Return all that a stream has, which ends by itself."""
    with client.http.stream("GET", path, headers={"Accept": "text/event-stream"}) as reply:
        return b"".join(reply.iter_raw())


def told(client: Client, task_id: str) -> tuple[list[Json], list[Json]]:
    """Return the events of a task as its stream has them, and as they are recorded."""
    frames, rest = split_frames(received(client, f"/api/tasks/{task_id}/events"))
    assert rest == b""
    assert frames[0].event == "connected"
    for frame in frames[1:]:
        assert (frame.id, frame.event) == (frame.json()["event_id"], frame.json()["event_type"])
    return [frame.json() for frame in frames[1:]], client.events(task_id)


@pytest.mark.parametrize("end", ENDS)
def test_no_text_of_a_task_or_of_its_answer_makes_a_frame_of_its_stream(client: Client, end: str) -> None:
    text = f"Echo hello{end}{end}{FORGED_FRAME}{end}{end}"
    task = client.submit(text)
    client.ended(task["task_id"])

    streamed, recorded = told(client, task["task_id"])

    assert streamed == recorded
    assert recorded[0]["task"] == text
    assert [event for event in recorded if event["event_id"] == 999_999] == []
    assert [event["event_type"] for event in recorded].count("task_completed") == 1


def test_no_content_of_a_file_makes_a_frame_of_a_stream(client: Client) -> None:
    content = f"\n\n{FORGED_FRAME}\n\n: \r\rretry: 1\n\n"
    made = client.submit(f"Create a file called a.txt with content: {content}", session_id="forged-files")
    read = client.submit("Read a.txt", session_id="forged-files")
    client.ended(read["task_id"])

    for task in (made, read):
        streamed, recorded = told(client, task["task_id"])
        assert streamed == recorded
    assert any("forged" in (event.get("result") or "") for event in recorded)


@pytest.mark.parametrize("name", ["a\nevent: forged", "a\r\nid: 1", "a\n\ndata: {}"])
def test_no_name_of_a_session_gets_into_a_stream(client: Client, name: str) -> None:
    refused = client.try_submit("Say hello", session_id=name)
    unknown = client.http.get("/api/sse", params={"session_id": name})

    assert (refused.status_code, unknown.status_code) == (400, 400)
    assert refused.headers["content-type"] == unknown.headers["content-type"] == "application/problem+json"


def test_nothing_that_a_client_sends_makes_a_line_of_the_log(start: Start) -> None:
    server = start("--log-level", "debug")
    with Client(server.url) as client:
        for end in ENDS:
            send_everywhere(client, f"x{end}{FORGED_LINE}{end}\x1b[2J\x1b]0;forged\x07\x9b2J\x7f")

    assert server.stop() == 0
    file = (server.data_dir / "logs" / "alex.jsonl").read_bytes()
    lines = [json.loads(line) for line in file.removesuffix(b"\n").split(b"\n")]
    assert [line for line in lines if line["event"] == "forged"] == []
    assert "http.request" in {line["event"] for line in lines}
    for said in (file.decode(), server.stdout, server.stderr):
        controls = {character for character in said if unicodedata.category(character) == "Cc"}
        assert controls <= {"\n"}, "no character that a terminal obeys"


def send_everywhere(client: Client, forged: str) -> None:
    """Send a text wherever a client can send one, and wait until a task has worked with it."""
    task = client.submit(f"Echo {forged}", metadata={"a": forged})
    client.try_submit("Say hello", session_id=forged, model=forged)
    client.http.get(f"/api/tasks/{percent(forged)}?wait={percent(forged)}")
    client.http.delete(f"/api/sessions/{percent(forged)}")
    client.http.post("/api/login", json={"token": forged})
    client.http.request("GET", f"/{percent(forged)}", headers=headers(forged))
    client.ended(task["task_id"])


def test_no_header_makes_a_header_of_a_reply(client: Client) -> None:
    request = (
        b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: a\rX-Forged: 1\r\n"
        b"traceparent: 00-0\nX-Forged: 1\r\nConnection: close\r\n\r\n"
    )

    reply = client.send_raw(request)

    assert reply.status_code in (200, 400)
    assert "x-forged" not in reply.headers


def percent(text: str) -> str:
    """Return a text as a URL may have it."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def headers(text: str) -> httpx.Headers:
    """Return headers with a text, as far as a header can have it."""
    sent = "".join(one for one in text if one >= " ").encode()  # the library sends no others
    names = ("User-Agent", "X-Request-ID", "traceparent", "Referer", "Last-Event-ID")
    return httpx.Headers([(name.encode(), sent) for name in names])
