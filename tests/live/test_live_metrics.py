"""``/metrics`` of a real server: what Prometheus reads, and what docs/metrics.md and the dashboard say of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.live.client import Client
from tests.live.conftest import Start, sound
from tests.live.process import ROOT, ServerProcess, until
from tests.live.test_live_access import client_with, make_token

PAGE = (ROOT / "docs" / "metrics.md").read_text("utf-8")
DASHBOARD = json.loads((ROOT / "docs" / "grafana" / "alex-runtime.json").read_text("utf-8"))
SETTINGS = '[agents]\nmeasured = "measured_agent:MeasuredAgent"\n'

Figures: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""By the name of a sample and its labels."""


def write_settings(directory: Path) -> None:
    shutil.copy(Path(__file__).parent / "measured_agent.py", directory)
    (directory / "alex.toml").write_text(SETTINGS)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that needs tokens, with the agent whose figures are known."""
    directory = tmp_path_factory.mktemp("measured")
    write_settings(directory)
    with sound(ServerProcess(directory, forked=True)) as server:
        yield server


@pytest.fixture
def user(measured: ServerProcess) -> Iterator[Client]:
    with client_with(measured, token_of(measured, "ann", "write")) as client:
        yield client


@pytest.fixture
def prometheus(measured: ServerProcess) -> Iterator[Client]:
    with client_with(measured, token_of(measured, "prometheus", "read")) as client:
        yield client


def token_of(server: ServerProcess, name: str, scope: str) -> str:
    """Return a token of that scope, made when it is first asked for."""
    file = server.data_dir.parent / f"{name}.token"
    if not file.exists():
        assert scope in ("read", "write")
        file.write_text(make_token(server.data_dir.parent, name, scope="read" if scope == "read" else "write"))
    return file.read_text()


def text_of(client: Client) -> str:
    reply = client.http.get("/metrics")
    assert reply.status_code == 200
    return reply.text


def scraped(client: Client) -> Figures:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text_of(client))
        for sample in family.samples
    }


def value(figures: Figures, name: str, **labels: str) -> float:
    """Return a figure; 0 if it is not there."""
    return figures.get((name, frozenset(labels.items())), 0.0)


def run(client: Client, word: str) -> str:
    return str(client.submit(word, agent_preset="measured")["task_id"])


def one_of_each(user: Client) -> tuple[str, str]:
    """Have a task complete, one fail, and one say all that it says and go on; return the first and the last."""
    done, failed, waits = run(user, "answer"), run(user, "fail"), run(user, "wait")
    user.ended(done)
    user.ended(failed)
    until(lambda: len(user.events(waits)) == 5, "the third has said all that it says")
    return done, waits


# What it says.


def test_the_figures_are_those_of_what_was_done(user: Client, prometheus: Client) -> None:
    before = scraped(prometheus)
    done, waits = one_of_each(user)
    # The agents of the others stop after their end is on record.
    until(
        lambda: value(scraped(prometheus), "alex_actors", actor="AgentActor") == 1, "the others' agents are gone"
    )
    during = scraped(prometheus)
    user.cancel(waits)
    user.ended(waits)
    with user.http.stream("GET", f"/api/tasks/{done}/events") as stream:
        frames = "".join(stream.iter_text()).count("\nid: ")
    closed = "alex_streams_closed_total"
    until(
        lambda: value(scraped(prometheus), closed, reason="ended") > value(before, closed, reason="ended"), closed
    )

    after = scraped(prometheus)

    def grown(name: str, **labels: str) -> float:
        return round(value(after, name, **labels) - value(before, name, **labels), 6)

    assert value(during, "alex_tasks", status="running") == 1
    assert value(during, "alex_actors", actor="AgentActor") == value(during, "alex_agents_running") == 1
    assert value(after, "alex_tasks", status="running") == value(after, "alex_tasks", status="pending") == 0
    assert grown("alex_tasks_created_total") == 3
    assert grown("alex_tasks_ended_total", status="completed", reason="completed") == 1
    assert grown("alex_tasks_ended_total", status="failed", reason="error") == 1
    assert grown("alex_tasks_ended_total", status="cancelled", reason="cancelled") == 1
    for name in ("queue", "run", "first_event"):
        assert grown(f"alex_task_{name}_seconds_count") == 3
    assert grown("alex_model_calls_total", model="offline", outcome="ok") == 3
    assert grown("alex_model_calls_total", model="offline", outcome="error") == 0
    assert grown("alex_model_call_seconds_sum", model="offline") == 4.5
    assert grown("alex_model_call_seconds_bucket", model="offline", le="2.0") == 3
    assert grown("alex_model_call_seconds_bucket", model="offline", le="1.0") == 0
    assert grown("alex_model_tokens_total", model="offline", direction="input") == 300
    assert grown("alex_model_tokens_total", model="offline", direction="output") == 60
    assert grown("alex_model_cost_dollars_total", model="offline") == 0.75
    assert grown("alex_tool_calls_total", tool="measure", outcome="ok") == 3
    assert grown("alex_tool_seconds_sum", tool="measure") == 0.06
    assert grown("alex_http_requests_total", method="POST", route="/api/tasks", status="201") == 3
    assert grown("alex_http_request_seconds_count", method="POST", route="/api/tasks/{task_id}/cancel") == 1
    assert frames == 6
    assert grown("alex_stream_events_total") == 6
    assert grown(closed, reason="ended") == 1
    assert grown("alex_store_commit_messages_sum") >= grown("alex_store_commit_messages_count") > 3
    assert value(after, "alex_store_commit_seconds_count") == value(after, "alex_store_commit_messages_count")


def test_open_streams_and_replies_that_wait_are_counted_while_they_are(user: Client, prometheus: Client) -> None:
    waits = run(user, "wait")
    polls = ThreadPoolExecutor(1)
    with polls, user.http.stream("GET", f"/api/tasks/{waits}/events"):
        polled = polls.submit(user.http.get, f"/api/tasks/{waits}?wait=60")
        until(lambda: value(scraped(prometheus), "alex_http_waiting_replies") == 1, "the reply is held back")
        during = scraped(prometheus)
        user.cancel(waits)
        assert polled.result().json()["status"] == "cancelled"

    assert value(during, "alex_streams") == 1
    until(lambda: value(scraped(prometheus), "alex_streams") == 0, "the stream is closed")
    assert value(scraped(prometheus), "alex_http_waiting_replies") == 0


def test_what_is_refused_and_what_is_not_there_is_counted_without_its_path(prometheus: Client) -> None:
    before = scraped(prometheus)
    prometheus.http.get("/api/there-is-none")
    prometheus.http.request("BREW", "/api/tasks")
    prometheus.http.get("/api/tasks?q=" + "x" * 10_000)

    after = scraped(prometheus)

    requests = {"method": "GET", "route": "none", "status": "404"}
    assert value(after, "alex_http_requests_total", **requests) > value(
        before, "alex_http_requests_total", **requests
    )
    refused = "alex_http_refused_total"
    assert value(after, refused, status="414") - value(before, refused, status="414") == 1
    assert "there-is-none" not in str(after)
    assert "BREW" not in str(after)


def test_both_formats_are_what_they_say_that_they_are(prometheus: Client) -> None:
    plain = prometheus.http.get("/metrics", headers={"Accept": "*/*"})
    open_metrics = prometheus.http.get(
        "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    )
    head = prometheus.http.head("/metrics")

    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n")
    families = parse_openmetrics(open_metrics.text)  # type: ignore[no-untyped-call]  # theirs has no types
    names = {family.name for family in families}
    assert {"alex_tasks", "alex_tasks_created", "alex", "process_cpu_seconds"} <= names
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == plain.headers["Content-Type"]


def test_a_query_is_refused(prometheus: Client) -> None:
    reply = prometheus.http.get("/metrics?name[]=alex_tasks")

    assert reply.status_code == 400


def test_it_needs_a_token_where_there_are_tokens(measured: ServerProcess, prometheus: Client) -> None:
    with Client(measured.url) as stranger:
        reply = stranger.http.get("/metrics")

    assert reply.status_code == 401
    assert text_of(prometheus)


def test_no_figure_tells_of_whom_it_is(user: Client, prometheus: Client) -> None:
    task = user.ended(user.submit("What is 2 + 2?", session_id="hidden", metadata={"a": "kept"})["task_id"])

    text = text_of(prometheus)

    for secret in (task["task_id"], "hidden", "kept", "ann", "2 + 2", str(user.http.headers["Authorization"])):
        assert not re.search(rf"\b{re.escape(secret)}\b", text), secret


# After the server was down.


def test_after_a_kill_the_gauges_are_right_and_the_counters_begin_at_nought(start: Start, tmp_path: Path) -> None:
    write_settings(tmp_path)
    server = start(directory=tmp_path)
    with Client(server.url) as client:
        ask = client.submit("ask", agent_preset="measured", session_id="s")["task_id"]
        client.submit("answer", agent_preset="measured", session_id="s")
        until(lambda: value(scraped(client), "alex_approvals_waiting") == 1, "an approval waits")
    server.kill()

    with Client(start(directory=tmp_path).url) as client:
        until(lambda: value(scraped(client), "alex_approvals_waiting") == 1, "it waits again")
        figures = scraped(client)
        client.http.post(f"/api/tasks/{ask}/approvals/b", json={"approved": True})
        ended = ("alex_tasks_ended_total", frozenset({("status", "completed"), ("reason", "completed")}))
        until(lambda: scraped(client)[ended] == 2, "both have ended")
        at_the_end = scraped(client)

    assert value(figures, "alex_tasks", status="running") == 1
    assert value(figures, "alex_tasks", status="pending") == 1
    assert value(figures, "alex_tasks_created_total") == 0
    assert value(at_the_end, "alex_tasks", status="running") == 0
    assert value(at_the_end, "alex_tasks", status="pending") == 0
    assert value(at_the_end, "alex_approvals_waiting") == 0


# The page, the dashboard and the alerts.


def there(client: Client) -> dict[str, str]:
    """Return the types of all metrics, by name."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text_of(client), re.MULTILINE))


def test_the_page_has_each_metric_with_its_type_and_labels(user: Client, prometheus: Client) -> None:
    rows = re.findall(r"^\| `(alex_\w+)` \| (\w+) \| ([^|]*)\|", PAGE, re.MULTILINE)
    user.ended(run(user, "answer"))
    labels: dict[str, set[str]] = {}
    for family in parse(text_of(prometheus)):
        for sample in family.samples:
            labels.setdefault(re.sub("_(bucket|sum|count)$", "", sample.name), set()).update(sample.labels)

    ours = {name: kind for name, kind in there(prometheus).items() if name.startswith("alex_")}

    assert {name: kind for name, kind, _ in rows} == ours
    assert len(rows) == len(ours)
    told = {name: set(re.findall(r"`(\w+)`", names)) for name, _, names in rows}
    assert {name: found - {"le"} for name, found in labels.items() if name in told} == {
        name: told[name] for name in labels if name in told
    }


@pytest.mark.parametrize("where", ["dashboard", "alerts"])
def test_what_is_asked_for_is_there(where: str, prometheus: Client) -> None:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    queries = panels if where == "dashboard" else re.findall(r"^ +expr: .*(?:\n {10,}\S.*)*", PAGE, re.MULTILINE)
    kinds = there(prometheus)
    samples = {
        name + end
        for name, kind in kinds.items()
        for end in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }  # fmt: skip

    asked = {name for query in queries for name in re.findall(r"\b(?:alex|process|python)_\w+", query)}

    assert len(queries) >= 6
    assert asked - samples == set()
    if where == "dashboard":
        unseen = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
        assert {name for name in kinds if name.startswith("alex_")} - unseen == set()
