"""The three addresses of event streams: who gets one, from which position, and who does not."""

from __future__ import annotations

import json

import pytest
from falcon import testing

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic
from alex_actors.replies import Unavailable
from alex_actors.values import Context, SessionId, TaskId
from alex_http.query import LARGEST
from alex_http.transport import HOLD, Hold
from alex_http.wire import SubmitIn
from tests.unit.fake_runtime import CATALOG, FakeRuntime, Log, application, recorded
from tests.unit.held_requests import HeldConnection, HeldRequest

SSE = "text/event-stream"


class Server:
    """The application, and what is behind it: the task of a session."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.log = Log()
        self.app = application(self.runtime, self.log)
        self.runtime.submit(CATALOG.new_task(SubmitIn(task="2 + 2", session_id="s")), Context("trace"))
        (self.task_id,) = self.runtime.records
        self.paths = {
            "task": (f"/api/tasks/{self.task_id}/events", ""),
            "session": ("/api/sessions/s/events", ""),
            "named": ("/api/sse", "session_id=s"),
        }

    def get(self, which: str, query: str = "", *, method: str = "GET", **headers: str) -> HeldRequest:
        """Ask for one of the streams."""
        path, own = self.paths[which]
        return HeldRequest(self.app, method, path, query="&".join(filter(None, (own, query))), **headers)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture(params=["task", "session", "named"])
def which(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def greeting(request: HeldRequest) -> dict[str, object]:
    """Begin a stream; return what its first frame says."""
    request.feed.begin(lambda: None)
    greeted: dict[str, object] = json.loads(bytes(request.feed.take()).split(b"data: ")[1])
    return greeted


def test_a_stream_has_headers_and_no_body_and_is_not_counted_in_bytes(server: Server, which: str) -> None:
    request = server.get(which)

    headers = request.reply.headers
    assert (request.reply.status_code, request.reply.content) == (200, b"")
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["X-Request-ID"]
    assert "Content-Length" not in headers


def test_a_task_s_stream_is_of_that_task(server: Server) -> None:
    request = server.get("task")

    assert greeting(request) == {"task_id": server.task_id, "session_id": "s", "after": 0}
    assert server.runtime.followings[0].topic == TaskTopic(TaskId(server.task_id))


@pytest.mark.parametrize("which", ["session", "named"])
def test_a_session_s_stream_is_of_all_its_tasks(server: Server, which: str) -> None:
    request = server.get(which)

    assert greeting(request) == {"task_id": None, "session_id": "s", "after": 0}
    assert server.runtime.followings[0].topic == SessionTopic(SessionId("s"))


@pytest.mark.parametrize(
    ("query", "header", "after"),
    [
        ("", None, 0),
        ("after=17", None, 17),
        ("after=17", "5", 5),
        ("after=17", "", 17),
        ("", "23", 23),
        ("", "0", 0),
        ("", "007", 7),
        (f"after={LARGEST}", None, LARGEST),
        ("", str(LARGEST), LARGEST),
    ],
)
def test_a_stream_begins_after_the_last_event_id_or_else_after_the_query(
    server: Server, which: str, query: str, header: str | None, after: int
) -> None:
    headers = {} if header is None else {"Last_Event_ID": header}

    request = server.get(which, query, **headers)

    assert greeting(request)["after"] == after
    assert server.runtime.followings[0].position == after


@pytest.mark.parametrize("header", ["x", "-1", "1.0", "1_0", " 1 1", "٣", str(LARGEST + 1), "9" * 40])
def test_a_last_event_id_that_is_none_is_refused(server: Server, which: str, header: str) -> None:
    request = server.get(which, Last_Event_ID=header)

    assert request.reply.status_code == 400
    assert "'Last-Event-ID'" in request.reply.json["detail"]
    assert request.hold.feed is None


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", f"after={LARGEST + 1}", "after=1&after=2", "after=", "n=1"]
)
@pytest.mark.parametrize("header", [None, "5"])
def test_a_bad_parameter_is_refused_also_if_the_header_beats_it(
    server: Server, which: str, query: str, header: str | None
) -> None:
    headers = {} if header is None else {"Last_Event_ID": header}

    request = server.get(which, query, **headers)

    assert request.reply.status_code == 400
    assert request.hold.feed is None


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/tasks/task-9/events", "", 404),
        ("/api/sessions/nobody/events", "", 404),
        ("/api/sse", "session_id=nobody", 404),
        ("/api/sse", "", 400),
        ("/api/sse", "session_id=", 400),
        ("/api/sse", "session_id=a%20b", 400),
        ("/api/sse", "session_id=s&session_id=s", 400),
        ("/api/sse", "task_id=task-1", 400),
        ("/api/tasks/task-9/events", "session_id=s", 400),
        ("/api/sessions/s/events", "session_id=s", 400),
        ("/api/sessions/s/events", "limit=5", 400),
    ],
)
def test_what_is_not_there_or_not_asked_for_rightly_is_a_problem(
    server: Server, path: str, query: str, status: int
) -> None:
    request = HeldRequest(server.app, "GET", path, query=query, Accept=SSE)

    assert request.reply.status_code == status
    assert request.reply.headers["Content-Type"] == "application/problem+json"
    assert request.hold.feed is None
    assert server.runtime.followings == []


@pytest.mark.parametrize(
    "accept", [None, "*/*", SSE, "text/*", f"{SSE}, application/json", "application/json;q=0.5, */*", "x", ""]
)
def test_a_task_s_events_are_a_stream_for_who_takes_one_as_gladly(server: Server, accept: str | None) -> None:
    request = server.get("task", **({} if accept is None else {"Accept": accept}))

    assert request.reply.headers["Content-Type"].startswith(SSE)


@pytest.mark.parametrize("accept", ["application/json", "application/*", f"application/json, {SSE};q=0.9"])
def test_a_task_s_events_are_a_page_for_who_prefers_json(server: Server, accept: str) -> None:
    request = server.get("task", Accept=accept)

    assert request.reply.json == {"events": [], "last_event_id": 0}
    assert request.hold.feed is None


@pytest.mark.parametrize("accept", ["text/html", "image/*, application/xml", f"{SSE};q=0"])
def test_who_takes_no_stream_is_told_what_there_is(server: Server, which: str, accept: str) -> None:
    request = server.get(which, Accept=accept)

    assert request.reply.status_code == 406
    assert SSE in request.reply.json["detail"]
    assert request.hold.feed is None


@pytest.mark.parametrize("which", ["session", "named"])
def test_a_session_has_no_page_of_events(server: Server, which: str) -> None:
    request = server.get(which, Accept="application/json")

    assert request.reply.status_code == 406


def test_head_is_answered_and_opens_nothing(server: Server, which: str) -> None:
    request = server.get(which, method="HEAD")

    assert request.reply.status_code == 200
    assert request.reply.headers["Content-Type"].startswith(SSE)
    assert request.hold.feed is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_stream_is_only_to_be_read(server: Server, which: str, method: str) -> None:
    request = server.get(which, method=method)

    assert request.reply.status_code == 405
    assert request.reply.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_task_s_stream_that_is_resumed_at_its_end_or_after_it_is_told_to_stop(server: Server) -> None:
    server.runtime.record(server.task_id, 3, 5, 8)
    server.runtime.complete(server.task_id, "4")

    replies = {after: server.get("task", Last_Event_ID=str(after)) for after in (0, 3, 7, 8, 9)}

    assert {after: it.reply.status_code for after, it in replies.items()} == {
        0: 200,
        3: 200,
        7: 200,
        8: 204,
        9: 204,
    }
    assert [after for after, it in replies.items() if it.hold.feed is None] == [8, 9]
    assert replies[8].reply.content == b""


def test_a_task_that_has_not_ended_is_followed_from_wherever(server: Server) -> None:
    server.runtime.record(server.task_id, 3)

    request = server.get("task", Last_Event_ID="1000")

    assert request.reply.status_code == 200


def test_a_session_whose_tasks_have_ended_is_followed_all_the_same(server: Server) -> None:
    server.runtime.record(server.task_id, 3)
    server.runtime.complete(server.task_id, "4")

    request = server.get("session", Last_Event_ID="3")

    assert request.reply.status_code == 200


def test_more_streams_than_there_is_room_for_are_refused(server: Server, which: str) -> None:
    connection = HeldConnection()
    connection.room = False
    path, query = server.paths[which]

    result = refused(server, path, query, connection)

    assert (result.status_code, result.headers["Retry-After"]) == (503, "1")
    assert result.headers["Content-Type"] == "application/problem+json"
    assert "streams" in result.json["detail"]
    assert server.log.only("http.request")["status"] == 503


def refused(server: Server, path: str, query: str, connection: HeldConnection) -> testing.Result:
    """Ask for a stream on a connection."""
    return testing.simulate_get(
        server.app, path, query_string=query, headers={"Host": "localhost"}, extras={HOLD: Hold(connection)}
    )


def test_a_store_that_cannot_be_read_is_unavailable(server: Server, which: str) -> None:
    server.runtime.failure = Unavailable("The store is away.")

    request = server.get(which)

    assert request.reply.status_code == 503
    assert request.hold.feed is None


def test_the_log_tells_of_the_request_and_of_the_stream_s_end(server: Server, which: str) -> None:
    request = server.get(which, X_Request_ID="mine")
    opened = server.log.lines
    request.feed.begin(lambda: None)
    request.feed.take()
    server.runtime.followings[0].events += [recorded(1), recorded(2)]
    request.feed.take()
    request.feed.closed("gone")

    line, closed = server.log.only("http.request"), server.log.only("stream.closed")
    assert opened == [line]
    assert (line["status"], line["session_id"], line["request_id"]) == (200, "s", "mine")
    assert (closed["reason"], closed["events"], closed["session_id"], closed["request_id"]) == (
        "gone",
        2,
        "s",
        "mine",
    )
    assert closed["trace_id"] == line["trace_id"]
    assert line.get("task_id") == closed.get("task_id") == (server.task_id if which == "task" else None)


def test_streams_share_their_frames(server: Server) -> None:
    event = recorded(7, task_id=server.task_id)
    sent = []
    for which in ("task", "session", "named"):
        feed = server.get(which).feed
        feed.begin(lambda: None)
        feed.take()
        server.runtime.followings[-1].events.append(event)
        sent.append(feed.take())

    assert sent[0] is sent[1] is sent[2]
