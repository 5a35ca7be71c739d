"""The document of a session: what it brings, and that nothing in it is taken on trust."""

from __future__ import annotations

import json
import time

import pytest

from alex_actors.copies import MOST_MESSAGES, Message
from alex_actors.executor import LONGEST_ANSWER, LONGEST_RECORDED, checked
from alex_actors.ports import Answer
from alex_actors.redact import NO_SECRETS
from alex_http.errors import BadBody, BadFields
from alex_http.imports import read_document
from tests.unit.exported_documents import DELETED, NOW, Json, changed, document, faults, read, refused
from tests.unit.recorded_data import at

MIB = 1024 * 1024


# What it brings.


def test_a_session_comes_with_its_messages_its_tasks_and_their_events_in_order() -> None:
    brought = read(document())

    session = brought.session
    assert (session.session_id, session.created_at, session.updated_at) == ("home", at(0), at(20))
    assert (session.forked_from, session.metadata) == ("other", {"k": "v"})
    assert brought.messages == (Message("user", "Hi"), Message("assistant", "Hello"))
    assert [one.task.task_id for one in brought.tasks] == ["task-a", "task-b"]
    assert [one.stamped.event_type for one in brought.events if one.task == 0] == [
        "task_created", "task_started", "iteration_start", "iteration_complete", "task_completed",
    ]  # fmt: skip


def test_a_task_that_had_not_ended_has_ended_as_interrupted_with_its_counters() -> None:
    brought = read(document())

    progress = brought.tasks[1].progress
    assert (progress.status, progress.termination_reason) == ("failed", "interrupted")
    assert (progress.total_iterations, progress.total_tokens) == (1, 7)
    assert progress.completed_at == "2026-11-22T13:00:00.000000Z"
    assert [(one.task, one.stamped.event_type) for one in brought.events][-1] == (1, "task_failed")
    assert [one.stamped.event_type for one in brought.events].count("task_failed") == 1


def test_an_empty_session_is_one() -> None:
    made = document() | {"messages": [], "tasks": [], "events": []}

    assert (read(made).tasks, read(made).session.last_task) == ((), None)


def test_spaces_between_the_parts_do_no_harm() -> None:
    read_document(json.dumps(document(), indent=8).encode(), NOW)


# What is wrong with a part is said where it is.

WRONG: list[tuple[str, object, str]] = [
    # The document.
    ("format", "else", "format"),
    ("version", 2, "version"),
    ("version", True, "version"),
    ("exported_at", DELETED, "exported_at"),
    ("exported_at", "yesterday", "exported_at"),
    ("extra", 1, "extra"),
    ("session", [], "session"),
    ("tasks", {}, "tasks"),
    ("events", None, "events"),
    # The session.
    ("session.id", "", "session.id"),
    ("session.id", "../../etc", "session.id"),
    ("session.id", "a\n", "session.id"),
    ("session.id", "x" * 129, "session.id"),
    ("session.id", "elsewhere", "tasks[0].session_id"),
    ("session.created_at", "2026-11-22T12:00:00Z", "session.created_at"),
    ("session.created_at", "2026-02-30T12:00:00.000000Z", "session.created_at"),
    ("session.updated_at", "9999-12-31T23:59:59.999999Z", "session.updated_at"),
    ("session.updated_at", "2026-11-22T11:59:59.999999Z", "session.updated_at"),
    ("session.owner", "ada", "session.owner"),
    ("session.session_key", 1, "session.session_key"),
    ("session.metadata", {"a": 1}, "session.metadata[...]"),
    ("session.metadata", {str(n): "" for n in range(17)}, "session.metadata"),
    ("session.forked_from", "a/b", "session.forked_from"),
    # Messages.
    ("messages.0.role", "system", "messages[0].role"),
    ("messages.0.content", None, "messages[0].content"),
    ("messages.0.content", "x" * (LONGEST_RECORDED + 1), "messages[0].content"),
    ("messages.1.more", "", "messages[1].more"),
    # Tasks.
    ("tasks.0.task_id", "task-b", "tasks"),
    ("tasks.0.task_id", "a b", "tasks[0].task_id"),
    ("tasks.0.task_id", "task-c", "events[0].task_id"),
    ("tasks.0.status", "failed", "tasks[0]"),
    ("tasks.0.status", "done", "tasks[0].status"),
    ("tasks.1.status", "completed", "tasks[1]"),
    ("tasks.0.task", " ", "tasks[0].task"),
    ("tasks.0.task", "Something else", "tasks[0]"),
    ("tasks.0.tokens_used", 8, "tasks[0]"),
    ("tasks.0.tokens_used", -1, "tasks[0].tokens_used"),
    ("tasks.0.tokens_used", 2**53, "tasks[0].tokens_used"),
    ("tasks.0.tokens_used", 7.5, "tasks[0].tokens_used"),
    ("tasks.0.total_tokens", 0, "tasks[0]"),
    ("tasks.0.current_iteration", 2, "tasks[0]"),
    ("tasks.0.completed_at", None, "tasks[0]"),
    ("tasks.0.completed_at", at(5), "tasks[0]"),
    ("tasks.0.created_at", at(1), "tasks[0].created_at"),
    ("tasks.0.termination_reason", "timeout", "tasks[0]"),
    ("tasks.0.error", "None", "tasks[0]"),
    ("tasks.0.result", None, "tasks[0].result"),
    ("tasks.1.result", {}, "tasks[1].result.answer"),
    ("tasks.0.result.answer", "5", "tasks[0].result.answer"),
    ("tasks.0.result.session_id", "other", "tasks[0].result.session_id"),
    ("tasks.0.parent_task_id", "task-z", "tasks[0].parent_task_id"),
    ("tasks.0.parent_task_id", "task-a", "tasks[0].parent_task_id"),
    ("tasks.0.parent_task_id", "task-b", "tasks[0].parent_task_id"),
    ("tasks.1.parent_task_id", "task-a", "events[5].parent_task_id"),
    ("tasks.0.agent_preset", "../..", "tasks[0].agent_preset"),
    ("tasks.0.agent_preset", "", "tasks[0].agent_preset"),
    ("tasks.0.tool_preset", "safe\n", "tasks[0].tool_preset"),
    ("tasks.0.tool_preset", "x" * 65, "tasks[0].tool_preset"),
    ("tasks.0.model", "\x1b[31m", "tasks[0].model"),
    ("tasks.0.model", "x" * 129, "tasks[0].model"),
    ("tasks.0.cost_usd", -0.5, "tasks[0].cost_usd"),
    ("tasks.0.timeout_seconds", 0, "tasks[0].timeout_seconds"),
    ("tasks.0.max_iterations", 1001, "tasks[0].max_iterations"),
    ("tasks.0.multitask_strategy", "rollback", "tasks[0].multitask_strategy"),
    ("tasks.0.trace_id", "x", "tasks[0].trace_id"),
    ("tasks.0.metadata", DELETED, "tasks[0].metadata"),
    # Events.
    ("events.0", DELETED, "tasks[0]"),
    ("events.4", DELETED, "tasks[0]"),
    ("events.0.event_id", 0, "events[0].event_id"),
    ("events.1.event_id", 10, "events[1].event_id"),
    ("events.1.event_id", 10**30, "events[1].event_id"),
    ("events.1.event_type", "task_exploded", "events[1].event_type"),
    ("events.1.event_type", "iteration_start", "events[1].iteration"),
    ("events.1.event_type", 1, "events[1].event_type"),
    ("events.1.task_id", "task-b", "events[4].duration"),
    ("events.1.session_id", "other", "events[1].session_id"),
    ("events.1.agent_level", "subagent", "events[1].agent_level"),
    ("events.1.timestamp", at(9), "tasks[0]"),
    ("events.1.timestamp", "2026-11-24T12:00:00.000000Z", "events[1].timestamp"),
    ("events.1.more", 1, "events[1].more"),
    ("events.2.iteration", "1", "events[2].iteration"),
    ("events.2.iteration", 10**30, "events[2].iteration"),
    ("events.2.iteration", 2**53, "events[2].iteration"),
    ("events.2.total_iters", -1, "events[2].total_iters"),
    ("events.3.tokens_used", -1, "events[3].tokens_used"),
    ("events.3.tools_run", -3, "events[3].tools_run"),
    ("events.2.iteration", DELETED, "events[2].iteration"),
    ("events.4.status", "failed", "events[4].status"),
    ("events.4.final_answer", "5", "tasks[0].result.answer"),
    ("events.4.total_iterations", 12345, "events[4].total_iterations"),
    ("events.4.total_tokens", 0, "events[4].total_tokens"),
    ("events.4.duration", -5, "events[4].duration"),
    ("events.4.termination_reason", "error", "events[4].termination_reason"),
    ("events.4.stop_reason", "max_iterations", "tasks[0].result.stop_reason"),
]


@pytest.mark.parametrize(("path", "value", "field"), WRONG)
def test_each_wrong_part_is_refused_and_named(path: str, value: object, field: str) -> None:
    found = faults(changed(path, value))

    assert field in found, found


def test_a_second_end_is_refused() -> None:
    made = document()
    made["events"].insert(5, made["events"][4] | {"event_id": 15})

    assert "events[5] comes after its end" in faults(made)["tasks[0]"]


def test_an_event_after_the_end_is_refused() -> None:
    made = document()
    made["events"].insert(5, made["events"][2] | {"event_id": 15})

    assert "events[5] comes after its end" in faults(made)["tasks[0]"]


def test_what_was_sent_comes_back_shortened() -> None:
    problem = refused(json.dumps(changed("tasks.0.status", "x" * MIB)).encode())

    assert len(problem.encode()) < 2000


# What is no document, however large.


@pytest.mark.parametrize("text", ["", "null", "[]", "1", '"x"', "{", "{}", "nonsense", "\ufeff{}", "{'a': 1}"])
def test_what_is_no_document_is_refused(text: str) -> None:
    refused(text.encode())


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ('"version": 1', '"version": 1, "version": 1'),
        ('"forked_from": "other"', '"forked_from": "other", "forked_from": "other"'),
        ('"content": "Hi"', '"content": "Hi", "content": "Hi"'),
        ('"status": "running"', '"status": "running", "status": "running"'),
        ('"total_iters": 50', '"total_iters": 50, "total_iters": 50'),
        ('"events": [', '"events": [], "events": ['),
        ('"events": [', f'"events": [{" " * 50_000}], "events": ['),
    ],
)
def test_no_name_may_be_there_twice(what: str, instead: str) -> None:
    # Longer than what may stand between the parts, so that each part is looked into by itself.
    text = json.dumps(document()).replace("What is 2 + 2?", "?" * 5000).replace('"Hello"', f'"{"o" * 5000}"')
    assert what in text

    problem = refused(text.replace(what, instead, 1).encode())

    assert "twice" in problem.detail or "2 times" in problem.detail


@pytest.mark.parametrize("text", ["Hi\xff".encode("latin-1"), b"\\ud800", b"Hi\n", b"\\x41"])
def test_text_that_is_none_is_refused(text: bytes) -> None:
    data = json.dumps(document()).encode()

    refused(data.replace(b'"Hi"', b'"' + text + b'"'))


def nested(what: str) -> bytes:
    """Return a document whose tool was called with arguments of this JSON."""
    made = document()
    made["events"][2] = made["events"][2] | {
        "event_type": "tool_call_start", "call_id": "1", "tool_name": "think", "arguments": {"a": "HERE"},
    }  # fmt: skip
    del made["events"][2]["total_iters"]
    return json.dumps(made).encode().replace(b'"HERE"', what.encode())


def test_arguments_may_be_any_json() -> None:
    made = nested('[1, {"b": null}, "c"]')

    # Nothing else is wrong: the iteration was counted by the event that is gone.
    assert faults(json.loads(made)).keys() == {"events[4].total_iterations"}


@pytest.mark.parametrize("what", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_what_is_nested_too_deeply_is_refused(what: str) -> None:
    problem = refused(nested(what))

    assert "too deeply" in problem.detail


@pytest.mark.parametrize("number", ["1e999", "9" * 5000])
def test_numbers_that_are_too_large_are_refused(number: str) -> None:
    assert "events[2]" in refused(nested(number)).detail


def test_an_event_that_is_larger_than_any_agent_records_is_refused() -> None:
    assert "has more than 1,048,576 bytes" in faults(json.loads(nested(f'"{"x" * MIB}"')))["events[2]"]


@pytest.mark.parametrize(
    "start",
    [
        b"[",
        b'{"a":',
        b'{"format":',
        b'{"events":[',
        b'{"events":[[],',
        b'{"tasks":[0,',
        b'{"session":{"metadata":{',
    ],
)
def test_as_much_nonsense_as_fits_is_refused_quickly(start: bytes) -> None:
    data = start * (16 * MIB // len(start))
    began = time.monotonic()

    refused(data)

    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("count", "fits"), [(MOST_MESSAGES, True), (MOST_MESSAGES + 1, False)])
def test_an_import_brings_at_most_so_many_messages(count: int, *, fits: bool) -> None:
    made = document() | {"messages": [{"role": "user", "content": ""}] * count}

    if fits:
        assert len(read(made).messages) == count
    else:
        assert "length <= 100000" in faults(made)["messages"]


def test_two_million_short_messages_are_refused_before_they_take_memory() -> None:
    start, rest = json.dumps(document() | {"messages": []}).encode().split(b'"messages": []')
    messages = b",".join([b'{"role":"user","content":""}'] * 2_000_000)
    data = start + b'"messages": [' + messages + b"]" + rest
    began = time.monotonic()

    problem = refused(data)

    assert isinstance(problem, BadFields)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("more", [1, 9_999_999])
def test_an_answer_that_was_cut_is_exported_and_imported(more: int) -> None:
    answer = checked(Answer("\x01" * (LONGEST_ANSWER + more)), NO_SECRETS).text
    made = with_answer(answer)

    brought = read(made)

    assert "[cut: the answer had" in answer
    assert brought.tasks[0].progress.answer == answer
    assert brought.messages[1].content == answer


def test_an_answer_that_is_longer_than_any_that_is_recorded_is_refused() -> None:
    assert set(faults(with_answer("x" * (LONGEST_RECORDED + 1)))) == {"messages[1].content"}


def with_answer(answer: str) -> Json:
    """Return a document whose first task, and a message from before, have an answer."""
    made = document()
    made["messages"][1]["content"] = made["tasks"][0]["result"]["answer"] = answer
    (completed,) = [one for one in made["events"] if one["event_type"] == "task_completed"]
    completed["final_answer"] = answer
    return made


def test_a_wrong_body_says_so_as_one() -> None:
    problem = refused(b"[]")

    assert isinstance(problem, BadBody)
    assert "Expected `object`, got `array`" in problem.detail
