"""Deleting sessions over HTTP."""

from __future__ import annotations

import pytest
from falcon import testing

from alex_actors.replies import Unavailable
from alex_actors.values import Context, SessionId
from alex_http.transport import HOLD, Hold
from alex_http.wire import SubmitIn
from tests.unit.fake_runtime import CATALOG, FakeRuntime, Log, application

JSON = {"Content-Type": "application/json"}
ADVICE = "The session 's' is being deleted. Wait until it is gone: then its ID is free again."


class Alone:
    """A connection on which nothing else happens."""

    ending = False

    def again(self) -> None:
        """Nothing wakes anybody here."""

    def remind(self, hold: Hold, seconds: float) -> None:
        """No time passes."""

    def forget(self, hold: Hold) -> None:
        """As above."""

    def room_for_stream(self) -> bool:
        """Return False."""
        return False

    def failed(self, error: Exception) -> None:
        """Nothing fails."""


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def client(runtime: FakeRuntime, log: Log) -> testing.TestClient:
    return testing.TestClient(application(runtime, log), headers={"Host": "localhost"})


def submit(runtime: FakeRuntime, session_id: str = "s") -> str:
    """Have the runtime record a task; return its ID."""
    runtime.submit(CATALOG.new_task(SubmitIn(task="2 + 2", session_id=session_id)), Context("trace"))
    return list(runtime.records)[-1]


def delete(client: testing.TestClient, path: str) -> testing.Result:
    """Send a DELETE, on a connection that can wait."""
    return client.simulate_delete(path, extras={HOLD: Hold(Alone())})


def test_a_session_is_deleted_with_its_tasks(runtime: FakeRuntime, log: Log, client: testing.TestClient) -> None:
    task_id = submit(runtime)

    deleted = delete(client, "/api/sessions/s")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-type" not in deleted.headers
    assert client.simulate_get("/api/sessions/s").status_code == 404
    assert client.simulate_get(f"/api/tasks/{task_id}").status_code == 404
    assert next(line for line in log.lines if line.get("method") == "DELETE")["session_id"] == "s"


def test_a_session_that_is_not_there_is_not_found(client: testing.TestClient) -> None:
    result = delete(client, "/api/sessions/nobody")

    assert result.status_code == 404
    assert result.json["detail"].startswith("There is no session 'nobody'")


def test_a_parameter_that_is_unknown_deletes_nothing(runtime: FakeRuntime, client: testing.TestClient) -> None:
    submit(runtime)

    result = delete(client, "/api/sessions/s?force=true")

    assert result.status_code == 400
    assert SessionId("s") in runtime.session_records


def test_a_session_that_is_being_deleted_takes_no_task_and_is_not_made(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    submit(runtime)
    runtime.deleting.add("s")

    submitted = client.simulate_post("/api/tasks", json={"task": "2 + 2", "session_id": "s"})
    made = client.simulate_post("/api/sessions", json={"session_id": "s"})
    read = client.simulate_get("/api/sessions/s")

    assert (submitted.status_code, submitted.json["detail"]) == (409, ADVICE)
    assert (made.status_code, made.json["detail"]) == (409, ADVICE)
    assert read.status_code == 200


def test_what_cannot_be_deleted_now_is_unavailable(runtime: FakeRuntime, client: testing.TestClient) -> None:
    submit(runtime)
    runtime.failure = Unavailable("The session is not gone yet.")

    result = delete(client, "/api/sessions/s")

    assert (result.status_code, result.headers["Retry-After"]) == (503, "1")
    assert result.json["detail"] == "The session is not gone yet."


def test_the_methods_of_a_session_are_named(client: testing.TestClient) -> None:
    result = client.simulate_put("/api/sessions/s", json={})

    assert result.status_code == 405
    assert "DELETE" in result.headers["Allow"]
