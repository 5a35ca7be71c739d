"""Fork, export and import over HTTP: what is asked of the runtime, and what each of its answers becomes."""

from __future__ import annotations

import json

import pytest
from falcon import testing

from alex_actors.copies import Message
from alex_actors.replies import (
    ExportedSession,
    ForkReply,
    ImportReply,
    SessionDeleting,
    SessionDetail,
    SessionExists,
    SessionForked,
    SessionImported,
    SessionTooLarge,
    TaskExists,
    Unavailable,
    UnknownSession,
    WorkspaceTooLarge,
)
from alex_actors.tasks import Session
from alex_actors.values import SessionId, TaskId
from alex_http.imports import read_document
from alex_http.transport import HOLD, Hold
from tests.unit.exported_documents import NOW, document
from tests.unit.fake_runtime import MAX_IMPORT, FakeRuntime, Log, application
from tests.unit.recorded_data import at
from tests.unit.test_http_session_deletes import Alone

JSON = {"Content-Type": "application/json"}
NEW = SessionDetail(
    Session(
        session_id=SessionId("new"), created_at=at(0), updated_at=at(0), task_count=0, last_task=None,
        forked_from=SessionId("s"), metadata={},
    ),
    (),
    (Message("user", "Hi"), Message("assistant", "Hello")),
)  # fmt: skip


PAST = json.dumps(document()).replace("2026-11", "2025-11")
"""A document from before the time that the application has here."""


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def client(runtime: FakeRuntime, log: Log) -> testing.TestClient:
    return testing.TestClient(application(runtime, log), headers={"Host": "localhost"})


def post(client: testing.TestClient, path: str, body: str | None = None) -> testing.Result:
    """Send a POST, on a connection that can wait."""
    headers = None if body is None else JSON
    return client.simulate_post(path, body=body, headers=headers, extras={HOLD: Hold(Alone())})


# Forks.


def test_a_fork_answers_with_the_new_session_and_where_it_is(
    runtime: FakeRuntime, log: Log, client: testing.TestClient
) -> None:
    runtime.fork_reply = SessionForked(NEW)

    reply = post(client, "/api/sessions/s/fork")

    assert (reply.status_code, reply.headers["location"]) == (201, "/api/sessions/new")
    assert (reply.json["forked_from"], reply.json["tasks"]) == ("s", [])
    assert reply.json["messages"] == [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
    ]  # fmt: skip
    assert runtime.forks == [("s", None, None)]
    assert log.only("http.request")["session_id"] == "new"


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ("{}", (None, None)),
        ('{"session_id": null, "metadata": null}', (None, None)),
        ('{"session_id": ""}', (None, None)),
        ('{"session_id": "mine", "metadata": {"a": "b"}}', ("mine", {"a": "b"})),
        ('{"metadata": {}}', (None, {})),
    ],
)
def test_a_fork_may_say_what_it_is_to_be_called(
    runtime: FakeRuntime, client: testing.TestClient, body: str, asked: tuple[object, ...]
) -> None:
    runtime.fork_reply = SessionForked(NEW)

    post(client, "/api/sessions/s/fork", body)

    assert runtime.forks == [("s", *asked)]


@pytest.mark.parametrize(
    "body", ['{"session_id": "a b"}', '{"metadata": 1}', '{"more": 1}', "[]", "nonsense", '{"session_id": 1}']
)
def test_a_fork_with_a_wrong_body_is_refused(runtime: FakeRuntime, client: testing.TestClient, body: str) -> None:
    reply = post(client, "/api/sessions/s/fork", body)

    assert (reply.status_code, runtime.forks) == (400, [])


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (UnknownSession(), 404, "There is no session 's'."),
        (SessionExists(SessionId("new")), 409, "There is a session 'new' already."),
        (SessionDeleting(SessionId("s")), 409, "'s' is being deleted"),
        (WorkspaceTooLarge(), 409, "tools.max_workspace_bytes"),
    ],
)
def test_why_there_is_no_fork_is_told(
    runtime: FakeRuntime, client: testing.TestClient, answer: ForkReply, status: int, said: str
) -> None:
    runtime.fork_reply = answer

    reply = post(client, "/api/sessions/s/fork")

    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    assert said in reply.json["detail"]


def test_without_a_workspace_on_the_disk_it_is_tried_again_later(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    runtime.failure = Unavailable("No space is left.")

    reply = post(client, "/api/sessions/s/fork")

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


# Export.


def test_an_export_has_the_session_its_messages_and_when_it_was_made(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    runtime.exported = ExportedSession(NEW, ())

    made = client.simulate_get("/api/sessions/new/export").json

    assert (made["format"], made["version"], made["exported_at"][:10]) == ("alex-session", 1, "2026-01-01")
    assert made["session"] == {
        "id": "new", "created_at": at(0), "updated_at": at(0), "forked_from": "s", "metadata": {},
    }  # fmt: skip
    assert ([one["content"] for one in made["messages"]], made["tasks"], made["events"]) == (
        ["Hi", "Hello"],
        [],
        [],
    )
    read_document(json.dumps(made).encode(), NOW)


def test_what_is_not_there_or_too_large_has_no_export(runtime: FakeRuntime, client: testing.TestClient) -> None:
    unknown = client.simulate_get("/api/sessions/s/export")
    runtime.exported = SessionTooLarge(1000)
    too_large = client.simulate_get("/api/sessions/s/export")

    assert (unknown.status_code, too_large.status_code) == (404, 409)
    assert "alex backup" in too_large.json["detail"]


def test_what_can_be_exported_is_what_this_server_would_import(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    runtime.import_reply = SessionImported(NEW)
    runtime.exported = ExportedSession(with_content(""), ())
    room = MAX_IMPORT - len(client.simulate_get("/api/sessions/new/export").content)
    runtime.exported = ExportedSession(with_content("x" * room), ())
    most = client.simulate_get("/api/sessions/new/export")
    again = post(client, "/api/import", most.text.replace("2026-11", "2025-11"))
    runtime.exported = ExportedSession(with_content("x" * (room + 1)), ())
    more = client.simulate_get("/api/sessions/new/export")

    assert (len(most.content), again.status_code, more.status_code) == (MAX_IMPORT, 201, 409)
    assert f"{MAX_IMPORT:,} bytes" in more.json["detail"]
    assert runtime.export_limits == [MAX_IMPORT] * 3


def with_content(text: str) -> SessionDetail:
    """Return a session with one message from before."""
    return SessionDetail(NEW.session, (), (Message("user", text),))


# Import.


def test_an_import_answers_with_the_session(runtime: FakeRuntime, client: testing.TestClient) -> None:
    runtime.import_reply = SessionImported(NEW)

    reply = post(client, "/api/import", PAST)

    assert (reply.status_code, reply.headers["location"]) == (201, "/api/sessions/new")
    assert [one.session.session_id for one in runtime.brought] == ["home"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (SessionExists(SessionId("home")), "There is a session 'home' already."),
        (SessionDeleting(SessionId("home")), "'home' is being deleted"),
        (TaskExists(TaskId("task-a")), "There is a task 'task-a' already"),
    ],
)
def test_why_there_is_no_import_is_told(
    runtime: FakeRuntime, client: testing.TestClient, answer: ImportReply, said: str
) -> None:
    runtime.import_reply = answer

    reply = post(client, "/api/import", PAST)

    assert reply.status_code == 409
    assert said in reply.json["detail"]


def test_a_wrong_document_is_refused_with_the_name_of_what_is_wrong(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    made = document()
    made["tasks"][0]["tokens_used"] = -1

    reply = post(client, "/api/import", json.dumps(made))

    assert (reply.status_code, runtime.brought) == (400, [])
    assert [error["field"] for error in reply.json["errors"]] == ["tasks[0].tokens_used"]


def test_a_document_that_waits_is_read_once(runtime: FakeRuntime, client: testing.TestClient) -> None:
    runtime.import_reply, runtime.delayed = SessionImported(NEW), []
    hold = Hold(Alone())
    client.simulate_post("/api/import", body=PAST, headers=JSON, extras={HOLD: hold})
    for come in runtime.delayed:
        come()

    reply = client.simulate_post("/api/import", body="nonsense", headers=JSON, extras={HOLD: hold})

    assert (reply.status_code, len(runtime.brought)) == (201, 1)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [("", "application/json", 400), ("{}", "text/plain", 415), (" " * (MAX_IMPORT + 1), "application/json", 413)],
)
def test_what_is_no_json_or_too_large_is_refused(
    client: testing.TestClient, body: str, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}

    reply = client.simulate_post("/api/import", body=body, headers=headers, extras={HOLD: Hold(Alone())})

    assert reply.status_code == status
