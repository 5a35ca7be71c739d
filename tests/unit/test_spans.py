"""Spans that are made of log entries: what is part of what, how long it took, under which names."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import falcon.inspect
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv.attributes import error_attributes, http_attributes, url_attributes

from alex_actors.tracing.spans import AGENT, CHAT, TOOL, WANTED, SpanMaker
from alex_actors.tracing.spans_requests import PROBES, ROUTES, route_of
from alex_actors.tracing.spans_values import AskedModel, Span
from tests.unit.fake_runtime import FakeRuntime, Log, application

Entry = dict[str, Any]  # Any: as a log has it

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECOND = 1_000_000_000
START = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) * SECOND
"""Nanoseconds since 1970 at second 0 of these logs."""


def at(second: float) -> str:
    """Return a timestamp."""
    return f"2026-11-23T00:{int(second) // 60:02}:{int(second) % 60:02}.{round(second % 1 * 1e6):06}Z"


def line(event: str, second: float, task_id: str = "task-1", **fields: Any) -> Entry:  # Any: as above
    ids = {"task_id": task_id, "session_id": "session-1", "trace_id": TRACE}
    return {"ts": at(second), "level": "info", "event": event, **ids, **fields}


def submit(second: float, took: float, **fields: Any) -> Entry:  # Any: as above
    about = {"method": "POST", "path": "/api/tasks", "status": 201, "duration": took, "request_id": "r-1"}
    return line("http.request", second, **{**about, **fields})


def a_run(task_id: str = "task-1", **created: Any) -> list[Entry]:  # Any: as above
    """Return the log of a task that thought, called a tool and answered."""
    return [
        line("session.confirmed", 0.0, task_id, place=1, ahead=2, strategy="enqueue"),
        line("task.created", 0.1, task_id, event_id=1, **created),
        submit(0.2, 300.0, task_id=task_id),
        line("agent.started", 4.0, task_id, agent="researcher"),
        line("task.started", 4.1, task_id, event_id=2),
        line("model.replied", 7.0, task_id, event_id=6, iteration=1, model="big", duration=2000.0, at=at(6.5),
             input_tokens=100, output_tokens=20, cost_usd=0.25),
        line("tool.ended", 9.0, task_id, event_id=8, tool="shell", call_id="call-1-1", duration=1500.0, error=True,
             at=at(8.5)),
        line("model.replied", 10.0, task_id, event_id=12, iteration=2, model="big", duration=500.0, at=at(9.9),
             input_tokens=130, output_tokens=10, cost_usd=0.25),
        line("task.ended", 10.1, task_id, event_id=14, status="completed", reason="completed"),
    ]  # fmt: skip


def made(entries: Iterable[Entry], **options: Any) -> list[Span]:  # Any: of a SpanMaker
    maker = SpanMaker(**options)
    return [span for entry in entries if (span := maker.feed(entry)) is not None]


def named(spans: Iterable[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


def seconds(span: Span) -> tuple[float, float]:
    """Return when it began, and ended, on the clock of these logs."""
    return (span.start - START) / SECOND, (span.end - START) / SECOND


# A task.


def test_a_task_is_a_tree_under_the_request_that_submitted_it() -> None:
    spans = made(a_run())

    request, agent = named(spans, "POST /api/tasks"), named(spans, "invoke_agent researcher")
    assert [span.name for span in spans] == [
        "POST /api/tasks", "wait in line", "chat big", "execute_tool shell", "chat big", "invoke_agent researcher",
    ]  # fmt: skip
    assert request.parent_id is None
    assert agent.parent_id == request.span_id
    assert {span.parent_id for span in spans if span not in (request, agent)} == {agent.span_id}
    assert {span.trace_id for span in spans} == {TRACE}
    assert len({span.span_id for span in spans}) == len(spans)


def test_each_span_has_its_own_time_and_not_that_of_the_commit() -> None:
    spans = made(a_run())

    assert seconds(named(spans, "POST /api/tasks")) == (-0.1, 0.2)
    assert seconds(named(spans, "wait in line")) == (0.0, 4.0)
    assert seconds(next(span for span in spans if span.name == "chat big")) == (4.5, 6.5)
    assert seconds(named(spans, "execute_tool shell")) == (7.0, 8.5)
    assert seconds(named(spans, "invoke_agent researcher")) == (0.0, 10.1)


def test_the_names_are_those_of_the_semantic_conventions() -> None:
    spans = made(a_run(), models={"big": AskedModel("gpt-5", "openai")})

    agent, chat = (
        named(spans, "invoke_agent researcher"),
        next(span for span in spans if span.name == "chat gpt-5"),
    )
    tool, request = named(spans, "execute_tool shell"), named(spans, "POST /api/tasks")
    assert (agent.kind, chat.kind, tool.kind, request.kind) == ("internal", "client", "internal", "server")
    assert agent.attributes == {
        gen_ai.GEN_AI_OPERATION_NAME: "invoke_agent", gen_ai.GEN_AI_AGENT_NAME: "researcher",
        gen_ai.GEN_AI_CONVERSATION_ID: "session-1", gen_ai.GEN_AI_REQUEST_MODEL: "gpt-5",
        gen_ai.GEN_AI_PROVIDER_NAME: "openai", gen_ai.GEN_AI_USAGE_INPUT_TOKENS: 230,
        gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS: 30, "alex.task_id": "task-1", "alex.status": "completed",
        "alex.termination_reason": "completed", "alex.iterations": 2, "alex.cost_usd": 0.5,
    }  # fmt: skip
    assert chat.attributes == {
        gen_ai.GEN_AI_OPERATION_NAME: "chat", gen_ai.GEN_AI_CONVERSATION_ID: "session-1",
        gen_ai.GEN_AI_REQUEST_MODEL: "gpt-5", gen_ai.GEN_AI_PROVIDER_NAME: "openai",
        gen_ai.GEN_AI_USAGE_INPUT_TOKENS: 100, gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS: 20, "alex.cost_usd": 0.25,
        "alex.iteration": 1, "alex.task_id": "task-1",
    }  # fmt: skip
    assert tool.attributes == {
        gen_ai.GEN_AI_OPERATION_NAME: "execute_tool", gen_ai.GEN_AI_CONVERSATION_ID: "session-1",
        gen_ai.GEN_AI_TOOL_NAME: "shell", gen_ai.GEN_AI_TOOL_CALL_ID: "call-1-1",
        gen_ai.GEN_AI_TOOL_TYPE: "function", error_attributes.ERROR_TYPE: "tool_error", "alex.task_id": "task-1",
    }  # fmt: skip
    assert request.attributes == {
        http_attributes.HTTP_REQUEST_METHOD: "POST", http_attributes.HTTP_ROUTE: "/api/tasks",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 201, url_attributes.URL_PATH: "/api/tasks",
        url_attributes.URL_SCHEME: "http", gen_ai.GEN_AI_CONVERSATION_ID: "session-1", "alex.task_id": "task-1",
        "alex.request_id": "r-1",
    }  # fmt: skip
    operations = {member.value for member in gen_ai.GenAiOperationNameValues}
    assert {AGENT, CHAT, TOOL} <= operations


@pytest.mark.parametrize(("status", "reason", "error"), [
    ("failed", "timeout", "timeout"), ("failed", "", "_OTHER"), ("cancelled", "cancelled", None),
])  # fmt: skip
def test_only_what_failed_is_an_error(status: str, reason: str, error: str | None) -> None:
    spans = made([*a_run()[:-1], line("task.ended", 11.0, status=status, reason=reason)])

    agent = named(spans, "invoke_agent researcher")
    assert agent.error == error
    assert agent.attributes.get("error.type") == error
    assert agent.attributes["alex.status"] == status
    assert named(spans, "execute_tool shell").error == "tool_error"


def a_failure(second: float, **fields: Any) -> Entry:  # Any: as above
    about = {"event_id": 12, "iteration": 2, "model": "big", "error": "It is down.", "duration": 3000.0}
    return line("model.failed", second, **{"at": at(second - 0.1), "input_tokens": 130, **about, **fields})


def test_a_call_of_a_model_that_failed_is_a_span_that_says_so_and_not_what_was_said_of_it() -> None:
    failed = a_failure(12.0, output_tokens=5, cost_usd=0.5)
    spans = made([*a_run()[:7], failed, line("task.ended", 12.1, status="failed", reason="error")])

    chat, agent = spans[-2:]
    assert (chat.name, chat.kind, chat.error, *seconds(chat)) == ("chat big", "client", "model_error", 8.9, 11.9)
    assert chat.parent_id == agent.span_id
    assert chat.attributes == {
        gen_ai.GEN_AI_OPERATION_NAME: "chat", gen_ai.GEN_AI_CONVERSATION_ID: "session-1",
        gen_ai.GEN_AI_REQUEST_MODEL: "big", gen_ai.GEN_AI_USAGE_INPUT_TOKENS: 130,
        gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS: 5, "alex.cost_usd": 0.5, "alex.iteration": 2, "alex.task_id": "task-1",
        error_attributes.ERROR_TYPE: "model_error",
    }  # fmt: skip
    assert agent.attributes[gen_ai.GEN_AI_USAGE_INPUT_TOKENS] == 230
    assert (agent.attributes["alex.iterations"], agent.attributes["alex.cost_usd"]) == (2, 0.75)
    assert "It is down." not in str(spans)


def test_when_a_model_that_failed_was_asked_may_be_unknown() -> None:
    (chat,) = made([a_failure(12.0, duration=None)])

    assert (chat.error, *seconds(chat)) == ("model_error", 11.9, 11.9)


def test_an_attempt_that_failed_is_in_the_span_of_its_call_and_counts_for_the_task() -> None:
    attempt = line(
        "model.attempt_failed", 5.0, event_id=5, iteration=1, model="big", input_tokens=1000, error="No."
    )
    run = a_run()

    spans = made([*run[:5], attempt, *run[5:]])

    assert len(spans) == len(made(run))
    assert named(spans, "invoke_agent researcher").attributes[gen_ai.GEN_AI_USAGE_INPUT_TOKENS] == 1230


def test_made_again_from_the_same_log_they_are_the_same_spans() -> None:
    assert made(a_run()) == made(a_run())


def test_a_sub_agent_s_task_is_a_part_of_its_parent_s() -> None:
    parent, child = a_run(), a_run("task-2", parent_task_id="task-1")

    spans = made([*parent[:6], *(entry for entry in child if entry["event"] != "http.request"), *parent[6:]])

    below, above = (
        next(span for span in spans if span.name.startswith(AGENT) and span.attributes["alex.task_id"] == task_id)
        for task_id in ("task-2", "task-1")
    )
    assert below.parent_id == above.span_id
    assert below.attributes["alex.parent_task_id"] == "task-1"


def test_after_a_restart_a_sub_agent_s_task_is_still_a_part_of_its_parent_s() -> None:
    again = [
        line("task.recovered", 20.0, "task-2", parent_task_id="task-1"), line("task.recovered", 20.0),
        line("agent.resumed", 21.0, "task-2", agent="researcher"),
        line("task.ended", 22.0, "task-2", status="completed", reason="completed"),
        line("task.ended", 23.0, status="completed", reason="completed"),
    ]  # fmt: skip

    *_, below, above = made(again)

    assert below.parent_id == above.span_id
    assert below.attributes["alex.parent_task_id"] == "task-1"


def test_a_wait_for_a_person_is_a_span_from_the_question_to_the_word() -> None:
    spans = made([
        line("agent.started", 1.0, agent="default"),
        line("approval.requested", 2.0, event_id=5, iteration=1, tool="shell", call_id="call-1-1"),
        line("approval.resolved", 62.0, event_id=6, call_id="call-1-1", approved=False),
    ])  # fmt: skip

    (wait,) = spans
    assert (wait.name, *seconds(wait)) == ("wait for approval shell", 2.0, 62.0)
    assert wait.attributes["alex.approved"] is False


def test_at_debug_each_message_of_a_task_is_a_span_as_long_as_its_handling() -> None:
    message = line("message", 1.0, sender="http", receiver="SessionActor", type="Confirm", waited=5.0, took=250.0)

    (span,) = made([message])

    assert (span.name, *seconds(span)) == ("SessionActor Confirm", 0.75, 1.0)
    assert (span.attributes["alex.sender"], span.attributes["alex.waited_ms"]) == ("http", 5.0)


def test_a_message_that_another_request_sent_is_a_part_of_no_span_that_its_trace_has_not() -> None:
    """A cancel is about a task, and in the trace of who cancelled."""
    message: Entry = {"sender": "http", "receiver": "SessionActor", "type": "Cancel", "waited": 1.0, "took": 1.0}
    cancel = line("message", 5.0, **message) | {"trace_id": "c" * 32}

    own, theirs = made([*a_run()[:5], line("message", 5.0, **message), cancel])[-2:]

    assert own.parent_id is not None
    assert (theirs.trace_id, theirs.parent_id, theirs.attributes["alex.task_id"]) == ("c" * 32, None, "task-1")


def test_a_commit_is_a_span_of_the_task_whose_line_it_is_and_the_others_spans_do_not_need_it() -> None:
    commit = line("message", 10.2, "task-2", sender="TaskStoreActor", receiver="TaskStoreActor", type="Commit",
                  waited=0.1, took=200.0)  # fmt: skip

    with_it, without = made([*a_run(), commit]), made(a_run())

    assert with_it[:-1] == without
    assert with_it[-1].attributes["alex.task_id"] == "task-2"


def test_a_task_that_goes_on_after_a_restart_waits_in_line_again_and_is_one_span() -> None:
    before, after = SpanMaker(), SpanMaker()
    first = [before.feed(entry) for entry in a_run()[:5]]

    rest = [
        after.feed(entry)
        for entry in (
            line("task.recovered", 20.0), line("agent.resumed", 21.0, agent="researcher"), *a_run()[5:-1],
            line("task.ended", 25.0, status="completed", reason="completed"),
        )
    ]  # fmt: skip

    lines = [span for span in (*first, *rest) if span is not None and span.name == "wait in line"]
    agents = [span for span in (*first, *rest) if span is not None and span.name.startswith(AGENT)]
    assert [seconds(span) for span in lines] == [(0.0, 4.0), (20.0, 21.0)]
    assert lines[0].span_id != lines[1].span_id
    assert [span.parent_id for span in lines] == [agents[0].span_id] * 2
    assert before.unfinished == 1
    assert after.unfinished == 0


def test_a_task_whose_beginning_is_not_in_the_log_begins_where_the_log_does() -> None:
    spans = made(a_run()[6:])

    assert seconds(named(spans, "invoke_agent")) == (9.0, 10.1)


# Requests.


def test_a_client_s_span_is_the_parent_of_its_request() -> None:
    (span,) = made([submit(0.2, 1.0, parent_span_id="00f067aa0ba902b7")])

    assert (span.parent_id, span.remote_parent) == (0x00F067AA0BA902B7, True)


def test_every_route_of_the_server_is_known_and_named_by_its_template() -> None:
    there = {
        route.path.replace(":name}", "}")
        for route in falcon.inspect.inspect_routes(application(FakeRuntime(), Log()))
    }

    assert set(ROUTES) | PROBES == there
    for route in ROUTES:
        assert route_of("/".join("x-1" if part.startswith("{") else part for part in route.split("/"))) == route


@pytest.mark.parametrize("path", ["/api/tasks/", "/api/tasks/a/b", "/<script>", "", "/api/tasks/x/events/y"])
def test_a_path_that_nobody_knows_is_no_part_of_a_name(path: str) -> None:
    (span,) = made([submit(1.0, 1.0, method="GET", path=path, status=404)])

    assert span.name == "GET"
    assert "http.route" not in span.attributes
    assert span.error is None


def test_a_method_that_no_standard_knows_is_no_part_of_a_name_either() -> None:
    (span,) = made([submit(1.0, 1.0, method="BREW", status=405)])

    assert span.name == "HTTP /api/tasks"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


def test_a_fault_of_the_server_is_an_error_and_a_client_s_is_none() -> None:
    mine, theirs = made([submit(1.0, 1.0, status=503), submit(2.0, 1.0, status=404)])

    assert (mine.error, theirs.error) == ("503", None)


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_make_no_spans(path: str) -> None:
    assert made([submit(1.0, 1.0, method="GET", path=path, status=200)]) == []


# Whatever else a log has.


@pytest.mark.parametrize("broken", [
    {"ts": "yesterday"}, {"ts": 5}, {"ts": "0001-01-01T00:00:00Z"}, {"ts": "2026-11-23T00:00:00"},
    {"trace_id": ""}, {"trace_id": "0" * 32}, {"trace_id": "x"}, {"trace_id": None}, {"task_id": ""},
    {"task_id": 7}, {"duration": -1.0}, {"duration": "long"}, {"duration": 1e300}, {"input_tokens": 2**70},
    {"model": ["a"]}, {"ts": "2263-01-01T00:00:00Z"}, {"ts": "9999-12-31T23:59:59Z"}, {"status": 2**63},
])  # fmt: skip
def test_an_entry_that_is_malformed_makes_no_span(broken: Entry) -> None:
    assert made([{**a_run()[5], **broken}]) == []


def test_what_is_said_of_time_may_be_missing_or_wrong() -> None:
    entry = a_run()[5]

    (unknown,) = made([{**entry, "duration": None, "at": ""}])
    (later,) = made([{**entry, "at": at(30.0)}])
    (long_ago,) = made([{**entry, "duration": 1e12}])

    assert seconds(unknown) == (7.0, 7.0)
    assert seconds(later) == (5.0, 7.0)
    assert long_ago.start > 0


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    (span,) = made([submit(1.0, 1.0, path="/\ud800", status=404)])

    assert span.attributes["url.path"] == "/?"
    assert made([line("tool.ended", 1.0, tool="\udcff", error=False)])[0].name.encode()


def test_tasks_that_never_end_do_not_fill_the_memory() -> None:
    maker = SpanMaker(most_tasks=3)
    for number in range(10):
        maker.feed(line("session.confirmed", 0.0, f"task-{number}", ahead=0))
    for number in range(5000):
        maker.feed(line("approval.requested", 1.0, "task-9", tool="shell", call_id=f"call-{number}"))

    assert maker.unfinished == 3
    assert sum(len(task.questions) for task in maker._tasks.values()) == 1000


def test_a_submit_that_was_not_recorded_is_forgotten() -> None:
    maker = SpanMaker()

    maker.feed(line("session.confirmed", 0.0, ahead=0))
    maker.feed(line("session.released", 0.1))

    assert maker.unfinished == 0


def test_all_that_matters_is_wanted_and_nothing_else() -> None:
    assert set(SpanMaker()._makers) == WANTED
    assert made([line("otel.dropped", 1.0, spans=1), line("log", 1.0), {}, {"event": ["message"]}]) == []
