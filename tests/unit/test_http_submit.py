"""POST /api/tasks: what is accepted, what it becomes, and what a client is told otherwise."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from falcon import testing

from alex_actors.replies import Unavailable
from alex_http.errors import BadFields, FieldError
from tests.unit.fake_runtime import FakeRuntime, Log, application

FIELDS_OF_A_TASK = [
    "task_id",
    "session_id",
    "status",
    "task",
    "agent_preset",
    "tool_preset",
    "model",
    "parent_task_id",
    "created_at",
    "started_at",
    "completed_at",
    "current_iteration",
    "total_iterations",
    "tokens_used",
    "total_tokens",
    "cost_usd",
    "error",
    "termination_reason",
    "result",
    "multitask_strategy",
    "timeout_seconds",
    "max_iterations",
    "metadata",
]


class Submits:
    """A client that submits, and the runtime behind it."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.log = Log()
        self.client = testing.TestClient(application(self.runtime, self.log), headers={"Host": "localhost"})

    def raw(self, body: bytes, content_type: str | None = "application/json", **headers: str) -> testing.Result:
        if content_type is not None:
            headers["Content-Type"] = content_type
        return self.client.simulate_post("/api/tasks", body=body, headers=headers)

    def fields(self, **fields: object) -> testing.Result:
        return self.raw(msgspec.json.encode({"task": "What is 2 + 2?", **fields}))


@pytest.fixture
def submits() -> Submits:
    return Submits()


def reasons(result: testing.Result) -> dict[str, str]:
    """Return the reason of each bad field."""
    return {error["field"]: error["reason"] for error in result.json["errors"]}


def test_a_submit_is_answered_with_the_whole_task_and_where_it_is(submits: Submits) -> None:
    result = submits.raw(b'{"task": "What is 2 + 2?"}')

    assert result.status_code == 201
    assert list(result.json) == FIELDS_OF_A_TASK
    assert result.headers["Location"] == f"/api/tasks/{result.json['task_id']}"
    assert result.headers["Content-Type"] == "application/json"
    assert result.json["status"] == "pending"
    assert result.json["cost_usd"] == 0.0


def test_what_is_left_out_gets_its_default(submits: Submits) -> None:
    task = submits.fields().json

    assert task["agent_preset"] == "default"
    assert task["tool_preset"] == "safe"
    assert task["model"] == "offline"
    assert task["multitask_strategy"] == "enqueue"
    assert task["timeout_seconds"] is None
    assert task["max_iterations"] == 50
    assert task["metadata"] == {}
    assert task["session_id"].startswith("session-")


@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_the_empty_name_mean_the_default(submits: Submits, nothing: str | None) -> None:
    names = ("session_id", "agent_preset", "tool_preset", "model", "multitask_strategy")

    task = submits.fields(**dict.fromkeys(names, nothing)).json

    assert task["session_id"].startswith("session-")
    assert (task["agent_preset"], task["tool_preset"], task["model"]) == ("default", "safe", "offline")
    assert task["multitask_strategy"] == "enqueue"


def test_null_means_the_default_of_what_is_no_name(submits: Submits) -> None:
    task = submits.fields(timeout_seconds=None, max_iterations=None, metadata=None).json

    assert (task["timeout_seconds"], task["max_iterations"], task["metadata"]) == (None, 50, {})


def test_everything_that_is_given_is_kept(submits: Submits) -> None:
    given: dict[str, Any] = {  # JSON
        "session_id": "my.session_1-x",
        "agent_preset": "researcher",
        "tool_preset": "full",
        "multitask_strategy": "parallel",
        "timeout_seconds": 604_800,
        "max_iterations": 1000,
        "model": "offline",
        "metadata": {str(number): "x" * 4096 for number in range(16)},
    }

    task = submits.fields(**given).json

    assert {name: task[name] for name in given} == given


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", ""),
        ("task", " \n\t\u2003"),
        ("task", "x" * 100_001),
        ("task", None),
        ("task", 4),
        ("task", ["x"]),
        ("session_id", ".hidden"),
        ("session_id", "a/b"),
        ("session_id", "abc\n"),
        ("session_id", "x" * 129),
        ("session_id", 7),
        ("agent_preset", "poet"),
        ("agent_preset", 1),
        ("tool_preset", "everything"),
        ("multitask_strategy", "later"),
        ("multitask_strategy", " "),
        ("timeout_seconds", 0),
        ("timeout_seconds", -1),
        ("timeout_seconds", 604_801),
        ("timeout_seconds", True),
        ("timeout_seconds", "60"),
        ("max_iterations", 0),
        ("max_iterations", 1001),
        ("max_iterations", 50.0),
        ("max_iterations", True),
        ("max_iterations", "50"),
        ("model", "gpt-9"),
        ("metadata", ["x"]),
        ("metadata", "x"),
        ("metadata", {str(number): "" for number in range(17)}),
        ("metadata", {"x" * 129: ""}),
    ],
)
def test_a_bad_value_is_refused_under_the_name_of_its_field(submits: Submits, field: str, value: object) -> None:
    result = submits.fields(**{field: value})

    assert result.status_code == 400
    assert list(reasons(result)) == [field]
    assert reasons(result)[field].startswith("must be ")
    assert submits.runtime.records == {}


def test_a_range_is_named_with_what_was_sent(submits: Submits) -> None:
    result = submits.fields(max_iterations=5000)

    assert reasons(result)["max_iterations"] == "must be an integer from 1 to 1000, or null; it was 5000"
    assert "max_iterations" in result.json["detail"]


def test_an_unknown_name_is_answered_with_the_known_ones(submits: Submits) -> None:
    result = submits.fields(tool_preset="everything", multitask_strategy="later")

    assert "multitask_strategy" in reasons(result)
    result = submits.fields(tool_preset="everything", model="gpt-9")
    assert reasons(result) == {
        "tool_preset": "must be one of full, safe, or null; it was 'everything'",
        "model": "must be one of offline, or null; it was 'gpt-9'",
    }


def test_all_bad_fields_are_named_at_once(submits: Submits) -> None:
    result = submits.raw(b'{"prio": 1, "timeout_seconds": "x", "metadata": {"a": "b", "c": 1, "d": null}}')

    assert sorted(reasons(result)) == ["metadata.c", "metadata.d", "prio", "task", "timeout_seconds"]
    assert "multitask_strategy" in reasons(result)["prio"]
    assert "missing" in reasons(result)["task"]


def test_a_long_list_of_bad_fields_is_cut_short(submits: Submits) -> None:
    unknown = submits.fields(**{f"field-{number}": 1 for number in range(50)})
    wrong = submits.fields(metadata={f"key-{number}": 1 for number in range(50)})

    for result in (unknown, wrong):
        assert len(result.json["errors"]) == 20
        assert result.json["detail"].endswith(". And there are more.")


def test_faults_are_looked_for_only_until_there_are_more_than_are_named() -> None:
    endless = (FieldError(f"field-{number}", "is wrong") for number in itertools.count())

    problem = BadFields(endless)

    assert len(problem.errors) == 20
    assert next(endless).field == "field-21"


def test_a_long_name_is_cut_short_wherever_it_is_told(submits: Submits) -> None:
    name = "x" * 50_000

    for fields in ({name: 1}, {"metadata": {name[:40_000]: 1}}):
        result = submits.fields(**fields)

        (error,) = result.json["errors"]
        assert len(error["field"]) == 101
        assert error["field"].endswith("…")
        assert len(result.content) < 1000


@pytest.mark.parametrize("name", ["task", "session_id"])
def test_a_name_that_is_there_twice_is_refused(submits: Submits, name: str) -> None:
    result = submits.raw(b'{"task": "a", "session_id": "s", "%s": "b"}' % name.encode())

    assert result.status_code == 400
    assert reasons(result) == {name: "is there 2 times; send it once"}


def test_a_name_that_is_there_twice_inside_metadata_is_refused(submits: Submits) -> None:
    result = submits.raw(b'{"task": "a", "metadata": {"k": "1", "k": "2"}}')

    assert list(reasons(result)) == ["k"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "no body"),
        (b"  ", "line 1"),
        (b"{", "line 1, column 2"),
        (b"[]", "must be a JSON object; it was []"),
        (b"null", "it was null"),
        (b'"task"', 'it was "task"'),
        (b'{"task": "a"} x', "column 15"),
        (b'"a string of more than forty characters, and more", "b"', "Extra data"),
        (b'{"task": "a",}', "not JSON"),
        (b"{'task': 'a'}", "not JSON"),
        (b'{"task": NaN}', "NaN"),
        (b'{"task": "a\x01"}', "control character"),
        (b'{"task": "\xff"}', "not UTF-8: byte 10"),
        (b'{"task": "a", "x\xff": 1}', "not UTF-8"),
        (b'\xef\xbb\xbf{"task": "a"}', "byte order mark"),
        (b'{"task": "\\ud800"}', "surrogate"),
        (b'{"task": "\\udc00"}', "surrogate"),
        (b"[" * 100_000, "it was an array"),
        (b'{"task": "a", "x": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"task": "a", "metadata": {"x": ' + b'{"x":' * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_told_what_and_where(submits: Submits, body: bytes, word: str) -> None:
    result = submits.raw(body)

    assert result.status_code == 400
    assert result.headers["Content-Type"] == "application/problem+json"
    assert list(result.json) == ["type", "title", "status", "detail"]
    assert word in result.json["detail"]


@pytest.mark.parametrize("digits", [20, 400, 5000])
def test_a_number_of_any_length_is_refused_in_words(submits: Submits, digits: int) -> None:
    result = submits.raw(b'{"task": "a", "max_iterations": %s}' % (b"9" * digits))

    assert result.status_code == 400
    assert list(reasons(result)) == ["max_iterations"]


def test_every_character_that_json_can_write_is_kept(submits: Submits) -> None:
    text = 'null \x00, astral \U0001f600, quote ", slash \\, "task": twice'

    result = submits.raw(json.dumps({"task": text}).encode())

    assert result.json["task"] == text


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; Charset=UTF-8", 'application/json ;charset="utf-8"']
)
def test_json_is_taken_however_its_type_is_written(submits: Submits, content_type: str) -> None:
    result = submits.raw(b'{"task": "a"}', content_type)

    assert result.status_code == 201


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/jsonl",
    ],
)
def test_a_body_of_another_type_is_refused(submits: Submits, content_type: str | None) -> None:
    result = submits.raw(b'{"task": "a"}', content_type)

    assert result.status_code == 415
    assert "application/json" in result.json["detail"]
    assert submits.runtime.records == {}


def test_a_body_of_the_limit_is_read_and_one_byte_more_is_refused(submits: Submits) -> None:
    exact = b'{"task": "a"' + b" " * (2 * 1024 * 1024 - 13) + b"}"

    accepted, refused = submits.raw(exact), submits.raw(exact + b" ")

    assert (accepted.status_code, refused.status_code) == (201, 413)
    assert "2,097,152 bytes" in refused.json["detail"]


def test_reject_is_a_conflict_while_the_session_has_an_unfinished_task(submits: Submits) -> None:
    submits.fields(session_id="s")

    result = submits.fields(session_id="s", multitask_strategy="reject")

    assert result.status_code == 409
    assert "'s' has 1 unfinished task" in result.json["detail"]


def test_more_tasks_than_configured_are_to_be_tried_again(submits: Submits) -> None:
    submits.runtime.max_unfinished = 0

    result = submits.fields()

    assert result.status_code == 429
    assert int(result.headers["Retry-After"]) > 0


def test_a_runtime_that_cannot_now_is_to_be_tried_again(submits: Submits) -> None:
    submits.runtime.failure = Unavailable("The store cannot be written: the disk is full.")

    result = submits.fields()

    assert result.status_code == 503
    assert int(result.headers["Retry-After"]) > 0
    assert result.json["detail"] == "The store cannot be written: the disk is full."


def test_a_submit_that_is_repeated_with_its_key_is_answered_with_the_first_task(submits: Submits) -> None:
    first = submits.raw(b'{"task": "a", "timeout_seconds": 30}', **{"Idempotency-Key": "abc"})

    again = submits.raw(b'{ "timeout_seconds": 30.0, "task": "\\u0061" }', **{"Idempotency-Key": "abc"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert len(submits.runtime.records) == 1


@pytest.mark.parametrize("body", [b'{"task": "b"}', b'{"task": "a", "session_id": null}'])
def test_a_key_that_came_with_another_body_is_refused(submits: Submits, body: bytes) -> None:
    submits.raw(b'{"task": "a"}', **{"Idempotency-Key": "abc"})

    result = submits.raw(body, **{"Idempotency-Key": "abc"})

    assert result.status_code == 422
    assert "abc" in result.json["detail"]
    assert len(submits.runtime.records) == 1


@pytest.mark.parametrize("key", ["", "a b", "caf\u00e9", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(submits: Submits, key: str) -> None:
    result = submits.raw(b'{"task": "a"}', **{"Idempotency-Key": key})

    assert result.status_code == 400
    assert result.json["errors"][0]["field"] == "Idempotency-Key"
    assert submits.runtime.records == {}


def test_the_log_line_of_a_submit_names_its_task_and_session(submits: Submits) -> None:
    task = submits.fields(session_id="s").json

    line = submits.log.only("http.request")

    assert (line["task_id"], line["session_id"], line["status"]) == (task["task_id"], "s", 201)
    assert submits.runtime.contexts[0].trace_id == line["trace_id"]
