"""A task's way, from the log alone: its facts in their order, and at level debug the messages between actors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.live.client import JSON_EVENTS, Client
from tests.live.conftest import Start
from tests.live.process import Json, ServerProcess, until

FACTS = ["session.confirmed", "task.created", "agent.started", "task.started", "task.ended"]


def _way(lines: Iterable[Json], names: Sequence[str]) -> list[str]:
    return [line["event"] for line in lines if line["event"] in names]


def test_the_facts_of_a_task_come_in_their_order_under_one_session_and_one_trace(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        task = client.ended(client.submit("What is 2 + 2?")["task_id"])
    server.stop()

    lines = server.log(task_id=task["task_id"])

    assert _way(lines, FACTS) == FACTS
    facts = [line for line in lines if line["event"] in FACTS]
    assert {line["session_id"] for line in facts} == {task["session_id"]}
    assert len({line["trace_id"] for line in facts}) == 1
    assert (facts[-1]["status"], facts[-1]["reason"]) == ("completed", "completed")
    assert {line["level"] for line in server.log()} == {"info"}


def test_the_messages_of_a_task_are_those_of_the_design(server: ServerProcess, client: Client) -> None:
    task = client.ended(client.submit("Simulate 2 steps of 5 ms")["task_id"])
    # The turn of the next one comes when the first's is over.
    client.ended(client.submit("Echo next", session_id=task["session_id"])["task_id"])

    def all_told() -> list[Json] | None:
        """Return the lines once the last is there: it is written after what it caused may have happened."""
        lines = server.log("message", task_id=task["task_id"])
        return lines if "TurnEnded" in [line["type"] for line in lines] else None

    messages = until(all_told, "the end of the turn is told")

    # The first asks for a session to be confirmed: before its answer there is none to tell of.
    confirm, *others = sorted(messages, key=lambda line: str(line["type"]) != "Confirm")
    assert "session_id" not in confirm
    assert {line["session_id"] for line in others} == {task["session_id"]}
    steps = [(line["sender"], line["receiver"], line["type"]) for line in messages]
    in_order = [
        ("http", "SessionActor", "Confirm"),
        ("http", "TaskStoreActor", "Create"),
        ("AgentLauncher", "AgentActor", "Start"),
        ("AgentActor", "SessionActor", "RequestTurn"),
        ("SessionActor", "AgentActor", "TurnGranted"),
        ("AgentActor", "TaskStoreActor", "Record"),
        ("TaskStoreActor", "AgentActor", "Recorded"),
        ("AgentActor", "SessionActor", "TurnEnded"),
    ]
    assert [step for step in in_order if step not in steps] == []
    # A line is written when a message was handled, and by then what it caused may have been handled elsewhere: of
    # one actor they are in order.
    for actor in {receiver for _, receiver, _ in in_order}:
        first = [steps.index(step) for step in in_order if step[1] == actor]
        assert first == sorted(first)


def test_a_fact_is_logged_before_what_follows_from_it(server: ServerProcess, client: Client) -> None:
    task_id = client.ended(client.submit("Echo x")["task_id"])["task_id"]

    lines = server.log(task_id=task_id)

    said = [line["event"] if line["event"] != "message" else line["type"] for line in lines]
    for earlier, later in [
        ("session.confirmed", "Create"),
        ("task.created", "Start"),
        ("agent.started", "Record"),
        ("task.started", "Recorded"),
    ]:
        assert said.index(earlier) < said.index(later)


def test_a_cancel_and_a_failure_are_told(server: ServerProcess, client: Client) -> None:
    cancelled = client.submit("Simulate 1 step of 30 s")["task_id"]
    client.running(cancelled)
    client.cancel(cancelled)
    failed = client.ended(client.submit("Simulate 1 step of 1 ms then fail")["task_id"])["task_id"]

    of_cancelled = server.log(task_id=cancelled)
    # Who reads the store may see an end a moment before the log tells it.
    (end,) = until(lambda: server.log("task.ended", task_id=failed), "the failure is told")

    assert _way(of_cancelled, ["task.cancel_requested", "task.ended"]) == ["task.cancel_requested", "task.ended"]
    assert (end["status"], end["reason"]) == ("failed", "error")


def test_a_task_is_traced_under_the_trace_of_its_submit(server: ServerProcess, client: Client) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "X-Request-ID": "mine-1"}

    reply = client.http.post("/api/tasks", json={"task": "Echo x"}, headers=headers)
    task_id = client.ended(reply.json()["task_id"])["task_id"]

    assert (reply.headers["X-Trace-ID"], reply.headers["X-Request-ID"]) == (trace_id, "mine-1")
    lines = [line for line in server.log(task_id=task_id) if line.get("method") != "GET"]
    assert {line["trace_id"] for line in lines} == {trace_id}
    (request,) = (line for line in lines if line["event"] == "http.request")
    assert (request["request_id"], request["status"], request["path"]) == ("mine-1", 201, "/api/tasks")


def test_every_reply_is_found_in_the_log_by_its_request_id(server: ServerProcess, client: Client) -> None:
    replies = [
        client.http.get("/health"),
        client.http.get("/nothing"),
        client.http.get("/api/tasks/none/events", headers=JSON_EVENTS),
    ]

    logged = {line["request_id"]: line["status"] for line in server.log("http.request")}

    assert [logged[reply.headers["X-Request-ID"]] for reply in replies] == [200, 404, 404]


def test_an_interrupted_task_is_told_of_at_the_next_start(start: Start) -> None:
    first = start()
    with Client(first.url) as client:
        task = client.submit("Simulate 1 step of 30 s")
        client.running(task["task_id"])
    first.stop()

    second = start(settings={"AGENTS__RECOVERY": "fail"})
    second.stop()

    assert _way(first.log(task_id=task["task_id"]), FACTS) == FACTS
    (end,) = first.log("task.ended", task_id=task["task_id"])
    assert (end["session_id"], end["status"], end["reason"]) == (task["session_id"], "failed", "interrupted")
