"""``alex trace``, and the check of a log, on that of a real server: as it is, and with one thing wrong in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner

from alex_actors.tracing.check import check_lines
from alex_http.terminal.trace_command import trace
from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import Json, ServerProcess, run_alex, until

Log: TypeAlias = list[Json]
SESSION = "traced"
DELETED = "traced-and-deleted"


class Traced:
    """The log of a server, and the tasks that are looked at in it."""

    def __init__(self, server: ServerProcess, *, first: str, second: str, last: str) -> None:
        """``first`` and ``second`` are of one session; that of ``last`` was deleted."""
        self.server = server
        self.lines = server.log()
        self.first, self.second, self.last = first, second, last

    def log(self) -> Log:
        """Return a copy of the log, to change it."""
        return [dict(line) for line in self.lines]


@pytest.fixture(scope="module")
def traced(server: ServerProcess, client: Client) -> Traced:
    first, second = (
        client.submit("Simulate 2 steps of 5 ms", session_id=SESSION)["task_id"],
        client.submit("What is 2 + 2?", session_id=SESSION)["task_id"],
    )
    last = client.submit("Echo gone", session_id=DELETED)["task_id"]
    for task_id in (first, second, last):
        client.ended(task_id)
    client.http.delete(f"/api/sessions/{DELETED}")
    until(lambda: [one for one in server.log("session.deleted") if one["session_id"] == DELETED], "its deletion")
    until(lambda: server.log("task.ended", task_id=second), "the second's end")
    return Traced(server, first=first, second=second, last=last)


def found_in(log: Log) -> list[tuple[str, str]]:
    """Return who broke which rule."""
    checked = check_lines(json.dumps(line).encode() for line in log)
    return [(one.task_id, one.rule) for one in checked.violations]


def at(log: Log, event: str, task_id: str) -> int:
    """Return where a fact of a task is."""
    return next(i for i, line in enumerate(log) if line["event"] == event and line.get("task_id") == task_id)


def posted(log: Log, task_id: str) -> int:
    """Return where it is told that the submit was answered."""
    places = (i for i, line in enumerate(log) if line["event"] == "http.request" and line["status"] == 201)
    return next(i for i in places if log[i].get("task_id") == task_id)


def without(event: str) -> Callable[[Log, Traced], Log]:
    def change(log: Log, traced: Traced) -> Log:
        del log[at(log, event, traced.first)]
        return log

    return change


def move(event: str, before: str, *, of: str = "first") -> Callable[[Log, Traced], Log]:
    """Have a fact told before another one, of the first task."""

    def change(log: Log, traced: Traced) -> Log:
        line = log.pop(at(log, event, getattr(traced, of)))
        log.insert(at(log, before, traced.first), line)
        return log

    return change


def say(of: str, **fields: object) -> Callable[[Log, Traced], Log]:
    """Have a fact say something else."""

    def change(log: Log, traced: Traced) -> Log:
        log[at(log, of, traced.first)].update(fields)
        return log

    return change


def add(event: str, **fields: object) -> Callable[[Log, Traced], Log]:
    """Have a fact told after the end, with an id that is larger than all others."""

    def change(log: Log, traced: Traced) -> Log:
        line = log[at(log, "task.ended", traced.first)]
        return [*log, {**line, "event": event, "event_id": 10**9, **fields}]

    return change


def session_of_the_answer(log: Log, traced: Traced) -> Log:
    log[posted(log, traced.first)]["session_id"] = "another"
    return log


def answered_before_recorded(log: Log, traced: Traced) -> Log:
    line = log.pop(posted(log, traced.first))
    log.insert(at(log, "task.created", traced.first), line)
    return log


def behind_nobody(log: Log, traced: Traced) -> Log:
    # As a session actor would that had lost its line: the second is then confirmed before the first has ended.
    line = log.pop(at(log, "session.confirmed", traced.second))
    line["ahead"] = 0
    log.insert(at(log, "task.created", traced.first), line)
    return log


def place_given_twice(log: Log, traced: Traced) -> Log:
    first, second = (log[at(log, "session.confirmed", one)] for one in (traced.first, traced.second))
    second["place"] = first["place"]
    return log


def session_deleted_early(log: Log, traced: Traced) -> Log:
    place = next(
        i for i, line in enumerate(log) if line["event"] == "session.deleted" and line["session_id"] == DELETED
    )
    line = log.pop(place)
    log.insert(at(log, "task.ended", traced.last), line)
    return log


def restarted_and_forgotten(log: Log, traced: Traced) -> Log:
    head = {"ts": log[-1]["ts"], "level": "info"}
    end = at(log, "task.ended", traced.first)
    restart = [
        {**head, "event": "server.stopped", "exit_code": 0},
        {**head, "event": "server.starting"},
        {**head, "event": "server.listening"},
    ]
    return log[:end] + restart


BROKEN: dict[str, tuple[Callable[[Log, Traced], Log], str, str]] = {
    "never confirmed": (without("session.confirmed"), "first", "recorded-first"),
    "never created": (without("task.created"), "first", "recorded-first"),
    "never started": (without("agent.started"), "first", "recorded-first"),
    "created before confirmed": (move("task.created", "session.confirmed"), "first", "recorded-first"),
    "started before created": (move("agent.started", "task.created"), "first", "recorded-first"),
    "answered before recorded": (answered_before_recorded, "first", "recorded-first"),
    "started twice": (add("agent.started"), "first", "one-end"),
    "no session": (say("task.created", session_id=""), "first", "one-session"),
    "another session": (say("task.started", session_id="another"), "first", "one-session"),
    "another session in the answer": (session_of_the_answer, "first", "one-session"),
    "ended twice": (add("task.ended"), "first", "one-end"),
    "goes on after its end": (add("model.replied"), "first", "one-end"),
    "ended as nothing": (say("task.ended", status="running"), "first", "one-end"),
    "an id below": (say("task.ended", event_id=1), "first", "ids-grow"),
    "resumed and not recovered": (say("agent.started", event="agent.resumed"), "first", "goes-on"),
    "not its turn": (move("agent.started", "task.ended", of="second"), "second", "in-line"),
    "a line that was lost": (behind_nobody, "second", "in-line"),
    "a place that was given before": (place_given_twice, "second", "in-line"),
    "deleted before its end": (session_deleted_early, "last", "ended-before-deleted"),
    "stopped and forgotten": (restarted_and_forgotten, "first", "goes-on"),
}
"""What can be wrong in a log: how, whose it is, and the rule that is broken."""


def test_the_log_is_clean(traced: Traced) -> None:
    assert found_in(traced.log()) == []


@pytest.mark.parametrize("wrong", BROKEN)
def test_what_is_wrong_in_a_log_is_found_and_the_task_is_named(wrong: str, traced: Traced) -> None:
    change, whose, rule = BROKEN[wrong]

    found = found_in(change(traced.log(), traced))

    assert (getattr(traced, whose), rule) in found


def test_the_check_tells_who_broke_what_where(traced: Traced, tmp_path: Path) -> None:
    log = add("task.ended")(traced.log(), traced)
    first_end = at(log, "task.ended", traced.first) + 1
    file = tmp_path / "alex.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in log))

    done, as_json = (CliRunner().invoke(trace, ["--check", str(file), *more]) for more in ([], ["--json"]))

    assert done.exit_code == as_json.exit_code == 1
    assert f"{traced.first} of {SESSION} broke one-end:" in done.stdout
    assert f"{file}:{first_end}: {log[first_end - 1]['ts']} task.ended session_id={SESSION} " in done.stdout
    assert f"{file}:{len(log)}: " in done.stdout
    assert done.stdout.endswith("1 violation, of 1 task.\n")
    told = json.loads(as_json.stdout)
    assert (told["clean"], told["broken"], told["lines"]) == (False, 1, len(log))
    assert [place["number"] for place in told["violations"][0]["lines"]] == [first_end, len(log)]


def test_a_task_is_drawn_from_the_log_of_this_machine(traced: Traced, tmp_path: Path) -> None:
    data = str(traced.server.data_dir)

    done = run_alex("trace", traced.second[-12:], "--data-dir", data, "--width", "100", directory=tmp_path)

    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 100
    words = ("Confirm ", "session.confirmed", "Create ", "task.created", "TurnGranted", "agent.started", "Record ")
    places = [done.stdout.index(word) for word in words]
    assert places == sorted(places)
    assert "It completed after" in done.stdout
    assert "tool.ended calculator" in done.stdout


def test_a_restart_is_no_fault_of_a_task(start: Start) -> None:
    first = start()
    with Client(first.url) as client:
        task = client.submit("Simulate 3 steps of 200 ms")
        client.running(task["task_id"])
    first.kill()
    second = start()
    with Client(second.url) as client:
        client.ended(task["task_id"])
    second.stop()

    log = second.log()

    assert found_in(log) == []
    assert [line["event"] for line in log if line.get("task_id") == task["task_id"]].count("task.recovered") == 1
