"""Sessions that are forked, exported and imported on a real server."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx

from alex_actors.store.check import check
from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import Json, ServerProcess, until
from tests.live.test_live_access import client_with, make_token

LONG = "Simulate 1 step of 30 s"
WRITE = "Create a file called a.txt with content: Hello"
MIB = 1024 * 1024


def fork(client: Client, source: str, **body: object) -> httpx.Response:
    return client.http.post(f"/api/sessions/{source}/fork", json=body or None)


def export(client: Client, session_id: str) -> Json:
    reply = client.http.get(f"/api/sessions/{session_id}/export")
    assert reply.status_code == 200, reply.text
    document: Json = reply.json()
    return document


def send(client: Client, document: Json | bytes) -> httpx.Response:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.http.post(
        "/api/import", content=content, headers={"Content-Type": "application/json"}, timeout=60
    )


def comparable(document: Json) -> Json:
    """Return a document less what an import gives anew."""
    events = [{name: value for name, value in event.items() if name != "event_id"} for event in document["events"]]
    return document | {"exported_at": None, "events": events}


def delete(client: Client, session_id: str) -> None:
    assert client.http.delete(f"/api/sessions/{session_id}").status_code == 204


def is_sound(server: ServerProcess) -> bool:
    return check(server.data_dir / "alex.sqlite3", server.data_dir / "workspaces").sound


# Forks.


def test_a_fork_goes_on_where_the_other_was_with_files_of_its_own(server: ServerProcess, client: Client) -> None:
    session_id = client.ended(client.submit(WRITE)["task_id"])["session_id"]

    reply = fork(client, session_id, metadata={"why": "to try"})
    made = reply.json()
    read = client.ended(client.submit("Read a.txt", session_id=made["id"])["task_id"])
    client.ended(client.submit("Create a file called b.txt with content: x", session_id=made["id"])["task_id"])
    listed = client.ended(client.submit("List files in current directory", session_id=session_id)["task_id"])

    assert (reply.status_code, reply.headers["location"]) == (201, f"/api/sessions/{made['id']}")
    assert (made["forked_from"], made["metadata"], made["tasks"]) == (session_id, {"why": "to try"}, [])
    assert made["messages"] == client.session(session_id)["messages"][:2]
    assert client.session(made["id"])["messages"][:2] == made["messages"]
    assert len(client.session(made["id"])["messages"]) == 6
    assert "Hello" in read["result"]["answer"]
    assert "b.txt" not in listed["result"]["answer"]


def test_a_session_is_forked_while_its_tasks_run(server: ServerProcess, client: Client) -> None:
    running = client.running(client.submit(LONG)["task_id"])

    made = fork(client, running["session_id"], session_id="while-it-runs")

    assert made.json()["messages"] == [{"role": "user", "content": LONG}]
    assert client.task(running["task_id"])["status"] == "running"
    assert client.cancel(running["task_id"]).status_code == 200
    assert len(client.session("while-it-runs")["messages"]) == 1


def test_what_cannot_be_forked_is_told_so(client: Client) -> None:
    client.http.post("/api/sessions", json={"session_id": "to-fork"})

    replies = [
        fork(client, "to-fork", session_id="to-fork"),
        fork(client, "nowhere"),
        fork(client, "to-fork", more=1),
    ]

    assert [reply.status_code for reply in replies] == [409, 404, 400]
    assert all(reply.headers["content-type"] == "application/problem+json" for reply in replies)


# Export and import.


def test_what_is_exported_and_imported_is_what_it_was(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        client.ended(client.submit(WRITE, session_id="s", metadata={"a": "b"}, max_iterations=7)["task_id"])
        failed = "Simulate 2 steps of 1 ms then fail"
        client.ended(client.submit(failed, session_id="s", timeout_seconds=9.5)["task_id"])
        fork(client, "s", session_id="f")
        task = client.ended(client.submit("What is 2 + 2?", session_id="f")["task_id"])
        first, detail, events = export(client, "f"), client.session("f"), client.events(task["task_id"])
        delete(client, "f")

        reply = send(client, first)

        assert reply.status_code == 201, reply.text
        assert (reply.json(), client.session("f")) == (detail, detail)
        assert comparable(export(client, "f")) == comparable(first)
        assert client.events(task["task_id"])[0]["event_id"] > events[-1]["event_id"]
        document = export(client, "s")
        delete(client, "s")
        assert send(client, document).status_code == 201
        assert comparable(export(client, "s")) == comparable(document)
        later = client.ended(client.submit("What is 3 + 3?", session_id="s")["task_id"])
        assert [one["task_id"] for one in client.session("s")["tasks"]][-1] == later["task_id"]
    assert is_sound(server)
    assert server.troubles() == []


def test_what_had_not_ended_comes_back_as_interrupted_and_is_the_same_from_then_on(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        running = client.running(client.submit(LONG, session_id="s")["task_id"])
        waiting = client.submit("What is 2 + 2?", session_id="s")
        document = export(client, "s")
        delete(client, "s")

        session = send(client, document).json()

        assert [(one["task_id"], one["status"], one["termination_reason"]) for one in session["tasks"]] == [
            (running["task_id"], "failed", "interrupted"), (waiting["task_id"], "failed", "interrupted"),
        ]  # fmt: skip
        assert session["tasks"][0]["total_iterations"] == session["tasks"][0]["current_iteration"] > 0
        assert [one["event_type"] for one in client.events(waiting["task_id"])] == ["task_created", "task_failed"]
        again = export(client, "s")
        delete(client, "s")
        send(client, again)
        assert comparable(export(client, "s")) == comparable(again)
        with client.http.stream("GET", f"/api/tasks/{running['task_id']}/events") as stream:
            assert "event: task_failed" in list(stream.iter_lines())
    assert is_sound(server)


def test_nothing_that_exists_is_touched_by_an_import(client: Client) -> None:
    task = client.ended(client.submit("What is 2 + 2?")["task_id"])
    document = export(client, task["session_id"])
    text = json.dumps(document)

    same = send(client, document)
    task_twice = send(client, text.replace(task["session_id"], "elsewhere").encode())

    assert (same.status_code, task_twice.status_code) == (409, 409)
    assert task["session_id"] in same.json()["detail"]
    assert task["task_id"] in task_twice.json()["detail"]
    assert client.http.get("/api/sessions/elsewhere").status_code == 404


def test_two_owners_have_the_same_session_and_never_meet(start: Start, tmp_path: Path) -> None:
    ann, bob = make_token(tmp_path, "ann"), make_token(tmp_path, "bob")
    server = start()
    with client_with(server, ann) as hers, client_with(server, bob) as his:
        task = hers.ended(hers.submit(WRITE, session_id="s")["task_id"])
        document = export(hers, "s")

        unknown = [his.http.get("/api/sessions/s/export"), fork(his, "s")]
        imported = send(his, document)
        read = his.ended(his.submit("Read a.txt", session_id="s")["task_id"])
        forked = fork(his, "s", session_id="his-fork")
        hers.http.delete("/api/sessions/s")

        assert [reply.status_code for reply in unknown] == [404, 404]
        assert (imported.status_code, forked.status_code) == (201, 201)
        assert "Hello" not in read["result"]["answer"]  # an export has no files
        assert his.task(task["task_id"])["status"] == "completed"
        assert hers.http.get(f"/api/tasks/{task['task_id']}").status_code == 404
        assert hers.http.get("/api/sessions/his-fork").status_code == 404
    assert is_sound(server)


# What is hostile.


def test_documents_that_are_none_are_refused_as_problems(client: Client) -> None:
    document = export(client, client.ended(client.submit("What is 2 + 2?")["task_id"])["session_id"])
    text = json.dumps(document).encode()
    hostile = [
        b"", b"null", b"[]", b"{", b"{}", b"\xff", b'{"format":"alex-session"}', b"[" * MIB, b'{"a":' * MIB,
        text[:-1], text + b"}",
        text.replace(b"completed", b"compl\xffted"), text.replace(b"completed", b"\\ud800"),
        text.replace(b'"version": 1', b'"version": 1, "version": 1'),
        text.replace(b'"version": 1', b'"version": 1e99'),
        text.replace(document["session"]["id"].encode(), b"../../escape"),
    ]  # fmt: skip

    replies = [send(client, data) for data in hostile]

    assert {reply.status_code for reply in replies} == {400}
    assert all(reply.headers["content-type"] == "application/problem+json" for reply in replies)


def test_64_mib_of_nonsense_are_refused_and_others_are_served_meanwhile(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        began = time.monotonic()
        reply = send(client, b"[" * (64 * MIB))
        too_large = client.send_raw(
            b"POST /api/import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 68157440\r\n\r\n["
        )

        assert (reply.status_code, too_large.status_code) == (400, 413)
        assert time.monotonic() - began < 30
        assert client.ended(client.submit("What is 2 + 2?")["task_id"])["status"] == "completed"
    until(lambda: server.troubles() == [], "no fault of its own")


def test_a_document_has_to_say_that_it_is_json(client: Client) -> None:
    reply = client.http.post("/api/import", content=b"{}", headers={"Content-Type": "text/plain"})

    assert reply.status_code == 415
