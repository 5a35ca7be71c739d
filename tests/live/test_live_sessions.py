"""Sessions: made before their tasks or with them, listed, and read with their conversation."""

from __future__ import annotations

from tests.live.client import Client


def test_a_session_that_was_made_first_takes_tasks(client: Client) -> None:
    made = client.http.post("/api/sessions", json={"session_id": "made-first", "metadata": {"for": "a test"}})
    again = client.http.post("/api/sessions", json={"session_id": "made-first"})

    task = client.ended(client.submit("Echo x", session_id="made-first")["task_id"])

    session = client.session("made-first")
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.headers["Location"] == "/api/sessions/made-first"
    assert session["metadata"] == {"for": "a test"}
    assert (session["task_count"], session["last_task"]) == (1, "Echo x")
    assert session["tasks"] == [task]


def test_a_session_made_without_a_name_gets_one(client: Client) -> None:
    made = client.http.post("/api/sessions")

    session_id = made.json()["id"]
    assert made.status_code == 201
    assert session_id.startswith("session-")
    assert client.submit("Echo x", session_id=session_id)["session_id"] == session_id


def test_a_session_has_what_was_said_in_the_order_of_its_tasks(client: Client) -> None:
    first = client.submit("What is 2 + 2?", session_id="conversation")
    second = client.submit("Simulate 1 step of 1 ms then fail", session_id="conversation")
    third = client.submit("Echo bye", session_id="conversation")
    client.ended(third["task_id"])

    session = client.session("conversation")

    assert [task["task_id"] for task in session["tasks"]] == [task["task_id"] for task in (first, second, third)]
    assert session["messages"] == [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "2 + 2 = 4"},
        {"role": "user", "content": "Simulate 1 step of 1 ms then fail"},
        {"role": "user", "content": "Echo bye"},
        {"role": "assistant", "content": "bye"},
    ]


def test_the_session_that_was_used_last_is_listed_first(client: Client) -> None:
    for session_id in ("used-a", "used-b", "used-a"):
        client.ended(client.submit("Echo x", session_id=session_id)["task_id"])

    page = client.http.get("/api/sessions", params={"limit": 2}).json()

    assert [session["id"] for session in page["sessions"]] == ["used-a", "used-b"]
    assert (page["limit"], page["offset"]) == (2, 0)
    assert page["total"] >= 2


def test_tasks_are_listed_newest_first_by_page_session_and_status(client: Client) -> None:
    submitted = [client.submit("Echo x", session_id="in-pages")["task_id"] for _ in range(5)]
    client.ended(submitted[-1])

    first = client.tasks(session_id="in-pages", limit=2)
    second = client.tasks(session_id="in-pages", limit=2, offset=2)
    running = client.tasks(session_id="in-pages", status="running")

    assert [task["task_id"] for task in first["tasks"] + second["tasks"]] == submitted[:0:-1]
    assert {page["total"] for page in (first, second)} == {5}
    assert (running["tasks"], running["total"]) == ([], 0)
