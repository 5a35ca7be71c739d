"""Replies that wait for a task, a cancellation, a deletion: over several calls of the application."""

from __future__ import annotations

import pytest

from alex_actors.replies import Unavailable
from alex_actors.values import Context
from alex_http.wire import SubmitIn
from tests.unit.fake_runtime import CATALOG, FakeRuntime, Log, application
from tests.unit.held_requests import HeldRequest


class Server:
    """The application, and what is behind it."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.log = Log()
        self.app = application(self.runtime, self.log)
        self.runtime.submit(CATALOG.new_task(SubmitIn(task="2 + 2", session_id="s")), Context("trace"))
        (self.task_id,) = self.runtime.records

    def wait(self, seconds: str = "30", **headers: str) -> HeldRequest:
        """Ask for the task, and wait for its end."""
        return HeldRequest(self.app, "GET", f"/api/tasks/{self.task_id}", query=f"wait={seconds}", **headers)

    def cancel(self) -> HeldRequest:
        return HeldRequest(self.app, "POST", f"/api/tasks/{self.task_id}/cancel")


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_task_that_has_ended_is_not_waited_for(server: Server) -> None:
    server.runtime.complete(server.task_id, "4")

    request = server.wait()

    assert request.reply.json["status"] == "completed"
    assert (request.calls, server.runtime.watches) == (1, [])


def test_a_reply_waits_until_the_task_ends(server: Server) -> None:
    request = server.wait()
    before = request.result

    server.runtime.complete(server.task_id, "4")
    for _, wake in server.runtime.watches:
        wake()
    request.go_on()

    assert before is None
    assert request.reply.json["result"]["answer"] == "4"
    assert (server.runtime.watches, request.connection.reminders) == ([], {})


def test_a_reply_waits_for_as_long_as_was_asked_for(server: Server) -> None:
    request = server.wait("7.5")

    waits = list(request.connection.reminders.values())
    request.let_time_pass()

    assert waits == [7.5]
    assert request.reply.json["status"] == "pending"
    assert server.runtime.watches == []


def test_a_wake_for_nothing_waits_on_and_watches_once(server: Server) -> None:
    request = server.wait()

    for _ in range(3):
        server.runtime.watches[0][1]()
        request.go_on()

    assert (request.calls, request.result) == (4, None)
    assert len(server.runtime.watches) == len(request.connection.reminders) == 1


def test_a_client_that_goes_is_waited_for_no_more(server: Server) -> None:
    request = server.wait()

    request.leave()

    assert (server.runtime.watches, request.connection.reminders) == ([], {})


def test_a_server_that_stops_answers_with_the_task_as_it_is(server: Server) -> None:
    request = server.wait()

    request.connection.ending = True
    request.hold.wake()
    request.go_on()

    assert request.reply.json["status"] == "pending"
    assert server.runtime.watches == []


def test_a_task_that_is_deleted_meanwhile_is_not_found(server: Server) -> None:
    request = server.wait()

    server.runtime.records.clear()
    server.runtime.watches[0][1]()
    request.go_on()

    assert request.reply.status_code == 404
    assert server.runtime.watches == []


@pytest.mark.parametrize("seconds", ["0", "0.0", "00"])
def test_no_time_to_wait_is_no_wait(server: Server, seconds: str) -> None:
    request = server.wait(seconds)

    assert request.reply.json["status"] == "pending"


@pytest.mark.parametrize("seconds", ["60", "60.0", "0.001", "2.5", "33.300000000000004", "1e-05"])
def test_the_limits_of_a_wait_are_inside(server: Server, seconds: str) -> None:
    request = server.wait(seconds)

    assert list(request.connection.reminders.values()) == [float(seconds)]


@pytest.mark.parametrize(
    "seconds", ["-1", "60.001", "61", "1e1", "nan", "inf", "1.", ".5", "1_0", " 5", "5s", "٣"]
)
def test_a_wait_that_is_none_is_refused(server: Server, seconds: str) -> None:
    request = server.wait(seconds)

    assert request.reply.status_code == 400
    assert "a number of seconds from 0 to 60" in request.reply.json["detail"]


def test_a_request_that_waited_has_one_log_line_with_its_ids_and_its_whole_duration(server: Server) -> None:
    request = server.wait(X_Request_ID="mine")
    before = server.log.lines

    server.runtime.watches[0][1]()
    request.go_on()
    request.let_time_pass()

    line = server.log.only("http.request")
    assert before == []
    assert request.calls == 3  # the clock goes on by 1 ms when it is read: once a call, and at the end
    assert line["request_id"] == request.reply.headers["X-Request-ID"] == "mine"
    assert line["trace_id"] == request.reply.headers["X-Trace-ID"]
    assert (line["task_id"], line["status"], line["duration"]) == (server.task_id, 200, 3.0)


def test_ids_that_the_server_made_are_those_of_the_first_call(server: Server) -> None:
    server.runtime.delayed = []
    request = server.cancel()
    context = server.runtime.contexts[-1]

    server.runtime.delayed[0]()
    request.go_on()

    assert request.calls == 2
    assert request.reply.headers["X-Trace-ID"] == server.log.only("http.request")["trace_id"] == context.trace_id


def test_a_cancel_is_answered_when_its_reply_comes_and_made_once(server: Server) -> None:
    server.runtime.delayed = []
    request = server.cancel()
    before = (request.result, list(request.connection.reminders.values()))

    server.runtime.delayed[0]()
    request.go_on()

    assert before == (None, [5.0])
    assert request.reply.json == {"task_id": server.task_id, "status": "cancelled"}
    assert len(server.runtime.delayed) == 1
    assert request.connection.reminders == {}


def test_a_reply_that_is_there_at_once_is_not_waited_for(server: Server) -> None:
    request = server.cancel()

    assert (request.calls, request.reply.status_code) == (1, 200)


def test_a_cancel_whose_reply_does_not_come_is_unavailable(server: Server) -> None:
    server.runtime.delayed = []
    request = server.cancel()

    request.let_time_pass()

    assert (request.reply.status_code, request.reply.headers["Retry-After"]) == (503, "1")
    assert request.reply.json["detail"] == "It is not known what came of it."


def test_a_reply_that_comes_with_the_end_of_its_time_is_the_reply(server: Server) -> None:
    server.runtime.delayed = []
    request = server.cancel()

    server.runtime.delayed[0]()
    request.let_time_pass()

    assert request.reply.status_code == 200


def test_a_cancel_is_waited_for_while_the_server_stops(server: Server) -> None:
    server.runtime.delayed = []
    request = server.cancel()
    request.connection.ending = True
    request.hold.wake()
    request.go_on()
    before = request.result

    server.runtime.delayed[0]()
    request.go_on()

    assert before is None
    assert request.reply.status_code == 200


def test_a_deletion_is_answered_when_its_reply_comes(server: Server) -> None:
    server.runtime.delayed = []
    request = HeldRequest(server.app, "DELETE", "/api/sessions/s")
    before = request.result

    server.runtime.delayed[0]()
    request.go_on()

    assert before is None
    assert (request.reply.status_code, request.reply.content) == (204, b"")


def test_what_cannot_be_watched_is_unavailable_and_leaves_nothing(server: Server) -> None:
    request = server.wait()

    server.runtime.failure = Unavailable("The store is away.")
    server.runtime.watches[0][1]()
    request.go_on()

    assert request.reply.status_code == 503
    assert server.runtime.watches == []
