"""The check of a log: what a log does not prove is not held against a task."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from random import Random

import pytest

from alex_actors.logs.reading import LONGEST
from alex_actors.tracing.check import check_lines
from alex_actors.tracing.checking import check_files
from alex_actors.tracing.findings import Checked
from tests.unit.written_logs import WrittenLog

FIELDS = ("task_id", "session_id", "event_id", "place", "ahead", "strategy", "status", "owner", "actor", "lines")
"""What a line of a fact may have."""

CHILD = "task-5b159733-d0bc-54ae-a984-06403559b0ec"
"""The ID of a sub-agent's task, a UUID of version 5: it does not say when it was made."""


def rules(checked: Checked) -> list[str]:
    return [one.rule for one in checked.violations]


def test_a_log_that_begins_in_the_middle_accuses_no_task_whose_beginning_is_not_there() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id).fact("task.created", task_id).started(task_id)
    log.say("http.request", method="GET", path="/health", status=200, duration=1.0)
    log.ended(task_id).task()

    for begin in range(len(log.lines)):
        checked = check_lines(log.lines[begin:])

        assert rules(checked) == [], f"from line {begin + 1} on"
    assert check_lines(log.lines[4:]).begun_before == 1


def test_what_is_missing_of_a_task_that_was_made_after_the_log_began_is_held_against_it() -> None:
    log = WrittenLog(starts=False)
    log.task()
    task_id = log.wait(3).new_task()
    log.fact("task.created", task_id)

    checked = check_lines(log.lines)

    assert [(one.task_id, one.rule) for one in checked.violations] == [(task_id, "recorded-first")]


def test_lines_that_were_lost_are_counted_and_held_against_nobody() -> None:
    log = WrittenLog()
    first, second, third = log.new_task(), log.new_task(), log.new_task()
    log.confirmed(first).fact("task.created", first).fact("agent.started", first)
    log.say("log.lost", "warning", lines=3)  # among them the first's end
    log.fact("task.created", second).started(third).ended(second, "failed").task()

    checked = check_lines(log.lines)

    assert rules(checked) == []
    assert (checked.lost, checked.begun_before) == (3, 2)


def test_a_line_that_was_cut_short_may_have_told_anything() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id)
    cut = len(log.lines)
    log.fact("task.created", task_id).fact("agent.started", task_id)
    log.lines[cut] = log.lines[cut][:50] + b"\n"

    checked = check_lines(log.lines)

    assert (rules(checked), checked.unreadable) == ([], 1)


def test_what_is_no_line_of_a_log_is_counted() -> None:
    log = WrittenLog()
    log.task()
    log.lines[3:3] = [b"Traceback (most recent call last):\n", b"[1, 2]\n", b"\xff\n", b"\n", b'{"event": 3}\n']

    checked = check_lines(log.lines)

    assert (rules(checked), checked.unreadable, checked.tasks) == ([], 4, 1)


def test_what_a_killed_server_left_is_not_held_against_it() -> None:
    log = WrittenLog()
    ended, resumed, unrecorded = log.new_task(), log.new_task(), log.new_task()
    for ahead, task_id in enumerate((ended, resumed)):
        log.confirmed(task_id, strategy="parallel", ahead=ahead).fact("task.created", task_id).started(task_id)
    log.confirmed(unrecorded, ahead=2)
    log.say("server.starting").fact("task.recovered", resumed).fact("agent.resumed", resumed)
    log.say("server.listening").ended(resumed).task()

    checked = check_lines(log.lines)

    assert rules(checked) == []
    assert (checked.runs, checked.killed, checked.left, checked.unfinished) == (2, 1, 2, 0)


def test_a_kill_of_a_server_that_was_just_starting_is_told_apart_from_its_next_start() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id).fact("task.created", task_id).started(task_id)
    for _ in range(2):
        log.say("server.starting").fact("task.recovered", task_id).fact("agent.resumed", task_id)
    log.say("server.listening").ended(task_id)

    checked = check_lines(log.lines)

    assert (rules(checked), checked.killed) == ([], 2)


def test_a_sub_agent_that_begins_before_the_server_listens_again_begins_no_other_run() -> None:
    log = WrittenLog()
    parent, other = log.new_task(), log.new_task()
    for ahead, task_id in enumerate((parent, other)):
        log.confirmed(task_id, strategy="parallel", ahead=ahead).fact("task.created", task_id).started(task_id)
    log.say("server.starting")
    for task_id in (parent, other):
        log.fact("task.recovered", task_id).fact("agent.resumed", task_id)
    log.confirmed(CHILD, strategy="parallel", ahead=2).fact("task.created", CHILD).started(CHILD)
    log.say("server.listening").ended(CHILD).ended(parent).ended(other)

    for begin in range(len(log.lines)):
        assert rules(check_lines(log.lines[begin:])) == [], f"from line {begin + 1} on"
    checked = check_lines(log.lines)
    assert (checked.runs, checked.left, checked.unfinished) == (2, 0, 0)


@pytest.mark.parametrize("listens", [True, False])
def test_a_sub_agent_that_was_only_confirmed_may_be_confirmed_again_by_the_next_server(
    listens: bool,
) -> None:
    log = WrittenLog()
    log.confirmed(CHILD, strategy="parallel").say("server.starting")
    if listens:
        log.say("server.listening")
    log.confirmed(CHILD, strategy="parallel").fact("task.created", CHILD)
    if not listens:
        log.say("server.listening")
    log.started(CHILD).ended(CHILD)

    checked = check_lines(log.lines)

    assert (rules(checked), checked.tasks, checked.ended) == ([], 1, 1)


def test_a_sub_agent_whose_place_was_released_may_be_confirmed_again() -> None:
    log = WrittenLog()
    log.confirmed(CHILD, strategy="parallel").fact("session.released", CHILD)
    log.confirmed(CHILD, strategy="parallel").fact("task.created", CHILD).started(CHILD).ended(CHILD)

    assert rules(check_lines(log.lines)) == []
    without = [line for line in log.lines if b"session.confirmed" not in line or b'"place":1,' in line]
    assert set(rules(check_lines(without))) == {"recorded-first"}


def test_a_task_that_completes_and_was_never_started_is_accused() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id).fact("task.created", task_id).fact("agent.started", task_id).ended(task_id)

    assert [(one.task_id, one.rule) for one in check_lines(log.lines).violations] == [(task_id, "recorded-first")]


def test_two_owners_may_have_a_session_of_the_same_name() -> None:
    log = WrittenLog()
    first, second = log.new_task(), log.new_task()
    log.confirmed(first).fact("task.created", first).started(first)
    log.confirmed(second, owner="somebody").fact("task.created", second).started(second)
    log.say("session.deleted", session_id="s", tasks=0, owner="nobody")
    log.ended(first).ended(second)

    assert rules(check_lines(log.lines)) == []


def test_one_owner_may_not() -> None:
    log = WrittenLog()
    first, second = log.new_task(), log.new_task()
    log.confirmed(first).fact("task.created", first).started(first)
    log.confirmed(second, ahead=1).fact("task.created", second).started(second)

    checked = check_lines(log.lines)

    assert [(one.task_id, one.rule) for one in checked.violations] == [(second, "in-line")]


def test_a_parallel_task_starts_beside_others() -> None:
    log = WrittenLog()
    first, second = log.new_task(), log.new_task()
    log.confirmed(first).fact("task.created", first).started(first)
    log.confirmed(second, strategy="parallel", ahead=1).fact("task.created", second).started(second)

    assert rules(check_lines(log.lines)) == []


def test_a_place_that_was_released_holds_up_nobody() -> None:
    log = WrittenLog()
    first, second = log.new_task(), log.new_task()
    log.confirmed(first).confirmed(second, ahead=1).fact("task.created", second)
    log.fact("session.released", first).started(second).ended(second)

    assert rules(check_lines(log.lines)) == []


def test_what_a_store_actor_tells_again_after_a_crash_is_no_second_end() -> None:
    log = WrittenLog()
    task_id = log.task()
    end = log.lines[-1]
    log.say("actor.restarted", "warning", actor="TaskStoreActor", restarts=1)
    log.lines.append(end)

    checked = check_lines(log.lines)

    assert (rules(checked), checked.told_again, checked.ended) == ([], 1, 1)
    assert [(one.task_id, one.rule) for one in check_lines([*log.lines[:-2], end]).violations] == [
        (task_id, "ids-grow"),
        (task_id, "one-end"),
    ]


def test_a_confirmation_that_nobody_got_may_be_made_anew() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id, session="made-for-nobody")
    log.say("actor.restarted", "warning", actor="SessionActor", restarts=1)
    log.confirmed(task_id).fact("task.created", task_id).started(task_id).ended(task_id)

    assert rules(check_lines(log.lines)) == []


def test_a_cancel_a_request_and_a_message_may_come_after_the_end() -> None:
    log = WrittenLog()
    task_id = log.task()
    log.fact("task.cancel_requested", task_id).message("AgentActor", "SessionActor", "TurnEnded", task_id)
    log.fact("http.request", task_id, method="GET", path="/", status=200)

    assert rules(check_lines(log.lines)) == []


def test_a_message_under_another_session_is_held_against_the_task() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id, session="another").message("AgentActor", "SessionActor", "RequestTurn", task_id)

    assert rules(check_lines(log.lines)) == ["one-session"]


def test_the_task_of_a_sub_agent_whose_parent_is_older_than_the_log_is_not_accused() -> None:
    log = WrittenLog()
    log.lines[1:1] = [WrittenLog(starts=False).fact("task.recovered", CHILD).lines[0]]
    log.fact("agent.resumed", CHILD).ended(CHILD)

    checked = check_lines(log.lines)

    assert (rules(checked), checked.begun_before) == ([], 1)


def test_a_line_that_stands_too_early_has_not_all_after_it_accused() -> None:
    log = WrittenLog()
    tasks = [log.task() for _ in range(20)]
    log.lines.insert(6, log.lines.pop())

    checked = check_lines(log.lines)

    assert {one.task_id for one in checked.violations} == {tasks[0], tasks[-1]}


def test_what_has_no_line_end_is_not_read_into_memory_whole(tmp_path: Path) -> None:
    path = tmp_path / "alex.jsonl"
    with path.open("wb") as file:
        file.seek(20 * LONGEST)  # after zeros, which take no room on the disk
        file.write(b"\n")
    tracemalloc.start()

    checked = check_files([path])

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (checked.unreadable, checked.lines) == (20, 21)
    assert most < 10 * LONGEST


def test_rotated_files_are_one_log_whatever_their_order(tmp_path: Path) -> None:
    log = WrittenLog()
    task_id = log.task()
    log.lines.append(WrittenLog().ended(task_id).lines[-1])
    oldest, older, newest = (tmp_path / name for name in ("alex.jsonl.2.gz", "alex.jsonl.1", "alex.jsonl"))
    oldest.write_bytes(gzip.compress(b"".join(log.lines[:4])))
    older.write_bytes(b"".join(log.lines[4:6]))
    newest.write_bytes(b"".join(log.lines[6:]) + b'{"ts":"2026-11-23T12:0')

    for paths in ([newest], [newest, older, oldest]):
        checked = check_files(paths)

        assert (checked.lines, checked.unreadable) == (len(log.lines), 0)
        assert checked.files == [str(oldest), str(older), str(newest)]
        last = checked.violations[0].lines[-1]
        assert (last.file, last.number) == (str(newest), 2)
        assert task_id in (last.text or "")


def test_whatever_is_wrong_in_a_log_the_check_comes_to_its_end() -> None:
    log = WrittenLog()
    for session in ("s", "s", "t"):
        task_id = log.new_task()
        log.confirmed(task_id, session=session).fact("task.created", task_id).started(task_id).ended(task_id)
        log.say("session.deleted", session_id=session).say("log.lost", lines=1).start()
        log.say("actor.restarted", actor="SessionActor").fact("task.recovered", task_id)
    values: list[object] = [
        None,
        "",
        "s",
        "t",
        -1,
        10**9,
        1.5,
        [],
        {},
        "task.ended",
        "session.confirmed",
        "task.created",
    ]

    for seed in range(300):
        random = Random(seed)
        lines = [json.loads(line) for line in log.lines]
        for _ in range(random.randint(1, 20)):
            random.choice(lines)[random.choice(["event", "ts", *FIELDS])] = random.choice(values)
            lines.insert(random.randrange(len(lines)), dict(random.choice(lines)))
        if seed % 2:
            random.shuffle(lines)

        checked = check_lines(json.dumps(line).encode() for line in lines)

        assert checked.lines == len(lines)


def test_a_log_of_another_program_with_fields_of_ours_is_read(tmp_path: Path) -> None:
    log = WrittenLog()
    log.say("custom", place="here", event_id="x", task_id=7, lines="many", status=[1]).task()

    checked = check_lines(log.lines)

    assert (rules(checked), checked.unreadable) == ([], 0)
