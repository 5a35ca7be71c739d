"""Who gets in to a real server: tokens that come and go while it runs, other sites, other names, other owners."""

from __future__ import annotations

import itertools
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from alex_actors.values import Owner
from alex_http.tokens import Scope, TokenFile
from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import ServerProcess, run_alex, until

LONG = "Simulate 1000 steps of 20 ms"


def token_file(directory: Path) -> TokenFile:
    """Return the tokens in a directory as the command line has them, which takes half a second to start."""
    data = directory / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    return TokenFile(data / "tokens.json", now=lambda: datetime.now(UTC), random_hex=secrets.token_hex)


def make_token(directory: Path, name: str, *, owner: str | None = None, scope: Scope = "write") -> str:
    """Make a token, and return it."""
    return token_file(directory).create(name=name, owner=Owner(owner or name), scope=scope)[1]


def revoke(directory: Path, name: str) -> None:
    """Revoke a token."""
    token_file(directory).revoke(name)


def client_with(server: ServerProcess, token: str) -> Client:
    """Return a client that sends a token."""
    client = Client(server.url)
    client.http.headers["Authorization"] = f"Bearer {token}"
    return client


# Starting.


def test_on_an_address_that_others_reach_it_starts_once_there_is_a_token(start: Start, tmp_path: Path) -> None:
    refused = run_alex("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", "data", directory=tmp_path)
    made = run_alex("token", "create", "--name", "ann", "--data-dir", "data", directory=tmp_path)
    token = made.stdout.strip()

    server = start("--host", "0.0.0.0")
    url = f"http://127.0.0.1:{urlsplit(server.url).port}"
    with httpx.Client(base_url=url, trust_env=False) as http:
        bare, rebound = http.get("/api/tasks"), http.get("/api/tasks", headers={"Host": "evil.example"})
        by_address = http.get("/api/tasks", headers={"Host": "192.0.2.7:8080", "Authorization": f"Bearer {token}"})

    assert refused.returncode == 2
    assert "alex token create" in refused.stderr
    assert [bare.status_code, rebound.status_code, by_address.status_code] == [401, 403, 200]


def test_with_nothing_but_revoked_tokens_it_does_not_start_there(tmp_path: Path) -> None:
    make_token(tmp_path, "ann")
    revoke(tmp_path, "ann")

    refused = run_alex("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", "data", directory=tmp_path)

    assert refused.returncode == 2


def test_with_a_damaged_file_of_tokens_it_does_not_start_at_all(tmp_path: Path) -> None:
    make_token(tmp_path, "ann")
    (tmp_path / "data" / "tokens.json").write_text('{"version": 1, "tokens": [')

    refused = run_alex("serve", "--port", "0", "--data-dir", "data", directory=tmp_path)

    assert refused.returncode == 2
    assert "tokens.json is damaged" in refused.stderr
    assert refused.stderr.count("\n") == 1


# While it runs.


def test_a_token_that_is_made_while_the_server_runs_closes_it_at_once(start: Start, tmp_path: Path) -> None:
    server = start()
    with Client(server.url) as anybody:
        before = anybody.http.get("/api/tasks").status_code
        token = make_token(tmp_path, "ann")
        after = anybody.http.get("/api/tasks").status_code
        health = anybody.http.get("/health").status_code

    with client_with(server, token) as ann:
        with_it = ann.http.get("/api/tasks").status_code

    assert (before, after, health, with_it) == (200, 401, 200, 200)


def test_a_stream_ends_soon_after_its_token_is_revoked_and_does_not_come_back(
    start: Start, tmp_path: Path
) -> None:
    token = make_token(tmp_path, "ann")
    other = make_token(tmp_path, "laptop", owner="ann")
    server = start()
    with client_with(server, token) as ann, client_with(server, other) as laptop:
        task_id = ann.submit(LONG, max_iterations=1000)["task_id"]
        path = f"/api/tasks/{task_id}/events"
        with ann.http.stream("GET", path) as stream, laptop.http.stream("GET", path) as kept:
            lines, kept_lines = stream.iter_lines(), kept.iter_lines()
            next(line for line in lines if "iteration_start" in line)

            revoke(tmp_path, "ann")
            for _line in lines:  # until the server ends it
                pass
            live = next(line for line in kept_lines if line.startswith("id: "))
            task = laptop.task(task_id)
        again = ann.http.get(path)

    assert task["status"] == "running"
    assert live
    assert again.status_code == 403


def test_what_one_owner_has_does_not_exist_for_another(start: Start, tmp_path: Path) -> None:
    tokens = {name: make_token(tmp_path, name) for name in ("ann", "bob")}
    server = start(settings={"TOOLS__APPROVE": "calculator"})
    with client_with(server, tokens["ann"]) as ann, client_with(server, tokens["bob"]) as bob:
        asks = ann.submit("What is 2 + 2?", session_id="asks")
        waiting = until(lambda: ann.http.get("/api/approvals").json()["approvals"], "a question")
        none = [bob.http.get(f"/api/approvals{query}").json()["approvals"] for query in ("", "?session_id=asks")]
        ann.cancel(asks["task_id"])
        ann.http.delete("/api/sessions/asks")
        hers = ann.submit("Echo hers", session_id="same")
        his = bob.submit("Echo his", session_id="same")
        ann.ended(hers["task_id"])
        bob.ended(his["task_id"])

        foreign = [
            bob.http.request(method, path.format(hers["task_id"]), headers=headers)
            for method, path, headers in (
                ("GET", "/api/tasks/{}", {}),
                ("GET", "/api/tasks/{}?wait=1", {}),
                ("POST", "/api/tasks/{}/cancel", {}),
                ("GET", "/api/tasks/{}/events", {}),
                ("GET", "/api/tasks/{}/events", {"Accept": "application/json"}),
            )
        ]
        sessions = [client.session("same") for client in (ann, bob)]
        listed = [client.tasks()["tasks"] for client in (ann, bob)]
        deleted = bob.http.delete("/api/sessions/same").status_code
        left = (ann.http.get("/api/sessions/same"), bob.http.get("/api/sessions/same"))

    assert [call["task_id"] for call in waiting] == [asks["task_id"]]
    assert none == [[], []]
    assert {reply.status_code for reply in foreign} == {404}
    assert [[task["task"] for task in session["tasks"]] for session in sessions] == [["Echo hers"], ["Echo his"]]
    assert [[task["task_id"] for task in tasks] for tasks in listed] == [[hers["task_id"]], [his["task_id"]]]
    assert deleted == 204
    assert [reply.status_code for reply in left] == [200, 404]
    assert server.troubles() == []


def test_an_administrator_sees_and_stops_what_another_owner_runs(start: Start, tmp_path: Path) -> None:
    ann_token, root_token = make_token(tmp_path, "ann"), make_token(tmp_path, "root", scope="admin")
    server = start()
    with client_with(server, ann_token) as ann, client_with(server, root_token) as root:
        task_id = ann.submit(LONG, max_iterations=1000)["task_id"]
        ann.running(task_id)

        own = root.http.get(f"/api/tasks/{task_id}")
        root.http.headers["X-Alex-Owner"] = "ann"
        hers = root.http.get(f"/api/tasks/{task_id}")
        cancelled = root.cancel(task_id)

    assert [own.status_code, hers.status_code, cancelled.status_code] == [404, 200, 200]


def test_what_was_made_before_there_were_tokens_belongs_to_the_owner_local(start: Start, tmp_path: Path) -> None:
    server = start()
    with Client(server.url) as anybody:
        task_id = anybody.submit("Echo before", session_id="mine")["task_id"]
    ann_token, local_token = make_token(tmp_path, "ann"), make_token(tmp_path, "me", owner="local")

    with client_with(server, ann_token) as ann, client_with(server, local_token) as local:
        replies = [client.http.get(f"/api/tasks/{task_id}").status_code for client in (ann, local)]

    assert replies == [404, 200]


# What browsers send for pages of other sites.


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
    ids=str,
)
def test_a_page_of_another_site_or_of_a_rebound_name_starts_nothing(
    client: Client, headers: dict[str, str]
) -> None:
    before = client.tasks(limit=1)["total"]

    replies = [
        client.http.post("/api/tasks", content='{"task": "Echo x"}', headers={"Content-Type": kind, **headers})
        for kind in ("text/plain", "application/json")
    ]
    read = client.http.get("/api/tasks", headers=headers)

    assert [reply.status_code for reply in (*replies, read)] == [403] * 3
    assert client.tasks(limit=1)["total"] == before


def test_guessing_tokens_is_answered_429_before_long_and_fills_no_log(start: Start, tmp_path: Path) -> None:
    token = make_token(tmp_path, "ann")
    server = start()
    guess = itertools.count(1)

    with Client(server.url) as guesser:
        replies = [
            guesser.http.post("/api/login", json={"token": f"alex_{next(guess):012x}_{'0' * 64}"})
            for _ in range(30)
        ]
        for _ in range(100):
            guesser.http.get("/" + "x" * 4000)
            guesser.http.get("/" + "x" * 4000, headers={"Host": "evil.example"})
        owner_of_it = guesser.http.post("/api/login", json={"token": token})

    statuses = [reply.status_code for reply in replies]
    assert set(statuses) == {403, 429}
    assert statuses == sorted(statuses)
    assert int(replies[-1].headers["Retry-After"]) >= 1
    assert owner_of_it.status_code == 204
    log = (server.data_dir / "logs" / "alex.jsonl").read_text()
    assert len(server.log("http.denied")) == 60
    assert len(log.splitlines()) < 70
    assert len(log) < 30_000
    assert token.rpartition("_")[2] not in log


def test_more_requests_than_are_allowed_are_refused_and_harm_no_task(start: Start) -> None:
    server = start(settings={"LIMITS__REQUESTS_PER_MINUTE": "20"})
    with Client(server.url) as flood:
        task_id = flood.submit("Simulate 5 steps of 20 ms")["task_id"]
        statuses = [flood.http.get("/api/tasks").status_code for _ in range(100)]
        health = flood.http.get("/health").status_code

    ended = until(lambda: server.log("task.ended", task_id=task_id), "the end of the task")
    assert statuses.count(200) in (19, 20)
    assert statuses.count(429) == 100 - statuses.count(200)
    assert health == 200
    assert ended[0]["status"] == "completed"


# Pages that may.


def test_a_stream_of_a_configured_origin_may_be_read_by_its_page(start: Start) -> None:
    origin = "https://app.example.com"
    server = start(settings={"SERVER__CORS_ORIGINS": origin})
    with Client(server.url) as page:
        page.http.headers["Origin"] = origin
        task = page.submit("Echo x")
        with page.http.stream("GET", f"/api/tasks/{task['task_id']}/events") as stream:
            headers = stream.headers
            events = [line for line in stream.iter_lines() if line.startswith("event: ")]

    assert headers["Access-Control-Allow-Origin"] == origin
    assert headers["Content-Type"].startswith("text/event-stream")
    assert events[-1] == "event: task_completed"


def test_tokens_are_listed_without_what_lets_somebody_in(tmp_path: Path) -> None:
    token = make_token(tmp_path, "ann", scope="read")

    listed = run_alex("token", "list", "--json", "--data-dir", "data", directory=tmp_path)

    (one,) = json.loads(listed.stdout)
    assert (one["name"], one["scope"], one["revoked_at"]) == ("ann", "read", None)
    assert token.rpartition("_")[2] not in listed.stdout


def test_what_the_http_parser_refuses_may_be_read_by_such_a_page_too(start: Start) -> None:
    origin = "https://app.example.com"
    server = start(settings={"SERVER__CORS_ORIGINS": origin})
    head = f"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n"

    with Client(server.url) as page:
        reply = page.send_raw(f"{head}Content-Length: 999999999\r\n\r\n".encode())

    assert reply.status_code == 413
    assert reply.headers["Access-Control-Allow-Origin"] == origin
    assert reply.headers["Content-Security-Policy"]
