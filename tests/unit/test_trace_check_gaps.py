"""The check of a log of which lines are missing: what may have stood in them is held against nobody."""

from __future__ import annotations

import pytest

from alex_actors.tracing.check import check_lines
from tests.unit.test_trace_check import CHILD, rules
from tests.unit.written_logs import WrittenLog


def test_a_log_that_begins_with_a_line_that_is_older_than_those_before_it_accuses_nobody() -> None:
    log = WrittenLog(starts=False)
    log.say("session.forked", session_id="s")
    task_id = log.wait(0.01).new_task()  # it was confirmed before that line was written, and is the younger one
    log.fact("task.created", task_id).started(task_id).ended(task_id)

    checked = check_lines(log.lines)

    assert (rules(checked), checked.begun_before) == ([], 1)


def test_a_power_cut_may_have_taken_the_lines_about_what_the_next_server_takes_up() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.say("server.starting").fact("task.recovered", task_id).fact("agent.resumed", task_id)
    log.say("server.listening").ended(task_id)

    checked = check_lines(log.lines)

    assert (rules(checked), checked.begun_before) == ([], 1)


def test_after_a_stop_in_order_what_is_taken_up_must_have_been_told_before() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.say("server.stopped", exit_code=0).say("server.starting").fact("task.recovered", task_id)

    assert rules(check_lines(log.lines)) == ["recorded-first"]


@pytest.mark.parametrize("gap", [b'{"ts":"2026-11\n', b"\0\0\0\n", None], ids=["cut short", "zeros", "log.lost"])
def test_what_stood_in_missing_lines_explains_whatever_comes_after_them(gap: bytes | None) -> None:
    """Of each log that is checked, some lines are missing: wherever that is, no task is accused."""
    log = WrittenLog()
    first, second, third = log.new_task(), log.new_task(), log.new_task()
    log.confirmed(first).fact("task.created", first).confirmed(CHILD, strategy="parallel", ahead=1)
    log.fact("agent.started", first).fact("task.started", first).fact("session.released", CHILD)
    log.confirmed(second, ahead=1).fact("task.created", second)
    log.say("actor.restarted", "warning", actor="TaskStoreActor").lines.append(log.lines[-2])
    log.confirmed(third, ahead=2, session="another")
    log.say("actor.restarted", "warning", actor="SessionActor")
    log.confirmed(third, ahead=0, session="s").ended(first).started(second)
    log.say("server.starting").fact("task.recovered", second).fact("agent.resumed", second)
    log.confirmed(CHILD, strategy="parallel", ahead=1).fact("task.created", CHILD).say("server.listening")
    log.started(CHILD).ended(CHILD).ended(second).say("server.stopped", exit_code=0)
    log.start().task()
    assert rules(check_lines(log.lines)) == []

    for begin in range(len(log.lines)):
        for end in range(begin + 1, len(log.lines)):
            told = gap or WrittenLog(starts=False).say("log.lost", lines=end - begin).lines[0]
            checked = check_lines([*log.lines[:begin], told, *log.lines[end:]])

            assert [(one.task_id, one.what) for one in checked.violations] == [], f"without {begin} to {end}"


def test_a_run_that_was_not_logged_here_explains_what_the_next_one_takes_up_and_what_it_does_not() -> None:
    log = WrittenLog()
    before = log.new_task()
    log.confirmed(before).fact("task.created", before).say("server.stopped", exit_code=0)
    meanwhile = log.wait(60).new_task()  # by a server that logged warnings only
    log.say("server.starting").fact("task.recovered", meanwhile).fact("agent.resumed", meanwhile)
    log.say("server.listening").ended(meanwhile)

    checked = check_lines(log.lines)

    assert (rules(checked), checked.left, checked.begun_before) == ([], 1, 1)


@pytest.mark.parametrize(("seconds", "broken"), [(1, ["goes-on"]), (60, [])])
def test_what_a_restart_does_not_take_up_is_forgotten_unless_another_server_may_have_run(
    seconds: int, broken: list[str]
) -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id).fact("task.created", task_id).started(task_id).say("server.stopped", exit_code=0)
    log.wait(seconds).start()

    assert rules(check_lines(log.lines)) == broken
