"""Runs as sequence diagrams: what is drawn, and the drawing as text."""

from __future__ import annotations

import random

import pytest

from alex_actors.diagrams.rows import Diagram, brief, duration
from alex_actors.diagrams.terminal import diagram_lines
from alex_actors.diagrams.trace import TIMERS, Trace
from tests.simulation.drawn_runs import (
    WHOSE,
    Confirm,
    Say,
    Settle,
    as_done,
    as_seen,
    at,
    example,
    handle,
    random_run,
    send,
)

EXAMPLE = """\
                  alice
                  │     SessionActor
                  │     │     AgentActor(task-1)
                  │     │     │     TaskStoreActor
 step      time   │     │     │     │     Timers
    2       0 s   │────▶│     │     │     │     Confirm(task_id='task-1', strategy='enqueue')
                  │     ◇     │     │     │     session.confirmed session_id='s1'
                  │◀╌╌╌╌│     │     │     │     Confirmed(session_id='s1', place=1)
    3             │     │     ●     │     │     (1) sent to SessionActor: TaskEnded(task_id='task-1', …)
                  │     │     ■     │     │     stopped
    5             │─────┼──────────▶│     │     Create(task_id='task-1', session_id='s1')
                  │     │           ✖     │     CRASHED: ValueError: disk full
                  │     │           ◆     │     restarted
    7    250 ms   │     │◀──────────┼─────│     Settle(task_id='task-1')
                  │     │────✗      │     │     never handled: Settle(task_id='task-1')
    8             │     │◀────○     │     │     (1) TaskEnded(task_id='task-1', status='completed')
    9 1 min 5 s   │✗╌╌╌╌┼╌╌╌╌╌╌╌╌╌╌╌│     │     gave up on Create(task_id='task-1', session_id='s1')

✖ FAILED in step 9, at 1 min 5 s
  A task has one terminal event.
  task-1 has none, and its agent is gone."""

PART = """\
8 of 16 entries: what led here. The rest does not matter.
               AgentActor(task-1)
               │     SessionActor
               │     │     TaskStoreActor
 step   time   │     │     │     Timers
               ⋮     ⋮     ⋮     ⋮     … 4 entries that do not matter …
    3    0 s   ●     │     │     │     (1) sent to SessionActor: TaskEnded(task_id='task-1', …)
               ■     │     │     │     stopped
                     ⋮     ⋮     ⋮     … 3 entries that do not matter …
    5                │     ◆     │     restarted
    7 250 ms         │◀────┼─────│     Settle(task_id='task-1')
                ✗────│     │     │     never handled: Settle(task_id='task-1')
    8          ○────▶│     │     │     (1) TaskEnded(task_id='task-1', status='completed')

✖ FAILED in step 9, at 1 min 5 s
  A task has one terminal event.
  task-1 has none, and its agent is gone."""


def test_a_run_is_drawn_as_it_was_before() -> None:
    assert diagram_lines(example()) == EXAMPLE


def test_what_does_not_matter_is_left_out() -> None:
    assert diagram_lines(example(), shown=[4, 5, 9, 10, 11, 12, 13, 15]) == PART


def test_with_more_participants_than_fit_it_is_a_list() -> None:
    text = diagram_lines(example(), width=72)

    assert "│" not in text
    assert "    3             AgentActor(task-1) ●  (1) sent to SessionActor: Task" in text
    assert "TaskStoreActor ╌╌✗ alice  gave up on Create" in text


@pytest.mark.parametrize("width", [20, 40, 60, 80, 110, 200])
def test_no_line_is_longer_than_the_width(width: int) -> None:
    trace = example()
    send(trace, "bob", Say("long " * 50, 1, "r1"), "A" * 150)
    trace.add("failed", "bob", "word " * 90 + "w" * 300)

    assert max(map(len, diagram_lines(trace, width=width).splitlines())) <= width


def test_a_long_diagram_has_the_names_at_its_end_too() -> None:
    trace = Trace()
    for number in range(40):
        at(trace, number + 1)
        handle(trace, send(trace, "alice", Settle(f"task-{number}"), "SessionActor"))

    lines = diagram_lines(trace).splitlines()

    assert [line.split()[-1] for line in lines[:2]] == ["alice", "SessionActor"]
    assert [line.split()[-1] for line in lines[-2:]] == ["SessionActor", "alice"]


def test_an_empty_run_is_drawn_as_nothing() -> None:
    assert diagram_lines(Trace()) == ""


def test_clients_come_first() -> None:
    trace = Trace()
    send(trace, TIMERS, Settle("task-1"), "SessionActor")
    send(trace, "http 1", Confirm(context=WHOSE, task_id="task-1"), "SessionActor")

    assert Diagram(trace).participants == ["http 1", TIMERS, "SessionActor"]


def test_who_only_ends_takes_no_part() -> None:
    trace = Trace()
    trace.add("stopped", "scenario", "")

    assert diagram_lines(trace) == ""


def test_a_message_is_one_arrow_when_its_sender_and_receiver_did_nothing_meanwhile() -> None:
    trace = Trace()
    first = send(trace, "a", Settle("1"), "b")
    second = send(trace, "c", Settle("2"), "d")
    handle(trace, second)
    handle(trace, first)

    assert shapes(trace) == ["message", "message"]


def test_a_message_that_arrives_after_one_that_was_sent_later_has_a_number() -> None:
    trace = Trace()
    first = send(trace, "a", Settle("1"), "b")
    second = send(trace, "a", Settle("2"), "c")
    handle(trace, second)
    handle(trace, first)

    rows = Diagram(trace).rows

    assert [row.label(80) for row in rows] == [
        "(1) sent to b: Settle(task_id='1')",
        "Settle(task_id='2')",
        "(1) Settle(task_id='1')",
    ]


def test_messages_that_arrive_in_the_order_of_their_sending_have_no_numbers() -> None:
    trace = Trace()
    first = send(trace, "a", Settle("1"), "b")
    second = send(trace, "a", Settle("2"), "c")
    handle(trace, first)
    handle(trace, second)

    assert shapes(trace) == ["message", "message"]


def test_a_message_that_arrives_after_its_sender_got_an_answer_has_a_number() -> None:
    trace = Trace()
    asked = send(trace, "a", Settle("1"), "b")
    handle(trace, asked)
    told = send(trace, "a", Settle("2"), "c")
    trace.add("answered", "b", True, peer="a", cause=asked)
    handle(trace, told)

    assert shapes(trace) == ["message", "sent", "answer", "arrival"]


def test_the_line_of_who_crashed_is_dotted_until_the_restart() -> None:
    trace = Trace()
    trace.add("crashed", "a", KeyError("x"))
    trace.add("logged", "b", "meanwhile")
    trace.add("restarted", "a", "")
    trace.add("logged", "b", "after that")

    lines = [line.split()[-4:] for line in diagram_lines(trace).splitlines()]

    assert lines[3] == ["┆", "◇", "meanwhile"]
    assert lines[5] == ["│", "◇", "after", "that"]


def test_a_message_that_waits_while_its_receiver_handles_another_has_a_number() -> None:
    trace = Trace()
    first = send(trace, "a", Settle("1"), "c")
    second = send(trace, "b", Settle("2"), "c")
    handle(trace, second)
    handle(trace, first)

    assert shapes(trace) == ["sent", "message", "arrival"]


def test_a_message_that_time_passes_over_has_a_number() -> None:
    trace = Trace()
    sent = send(trace, "a", Settle("1"), "b")
    trace.at = 3.0
    handle(trace, sent)

    assert shapes(trace) == ["sent", "arrival"]


def test_timers_are_independent_of_each_other() -> None:
    trace = Trace()
    first, second = (send(trace, TIMERS, Settle("1"), name) for name in "ab")
    handle(trace, second)
    handle(trace, first)

    assert shapes(trace) == ["message", "message"]


def test_the_picture_keeps_the_order_of_what_each_participant_does() -> None:
    for seed in range(300):
        trace = random_run(random.Random(seed))
        picture = as_seen(trace)

        for name in picture:
            assert picture[name] == as_done(trace, name), f"seed {seed}, {name}"


def test_a_message_to_itself_is_drawn_on_its_line() -> None:
    trace = Trace()
    handle(trace, send(trace, "a", Settle("1"), "a"))

    assert diagram_lines(trace).splitlines()[-1].split() == ["0", "0", "s", "↻", "Settle(task_id='1')"]


def test_a_message_that_came_after_the_end_of_its_receiver_is_lost_there() -> None:
    trace = Trace()
    message = Settle("1")
    send(trace, "a", message, "b")
    trace.add("stopped", "b", "")
    trace.add("lost", "b", message)

    assert [row.label(80) for row in Diagram(trace).rows] == [
        "(1) sent to b: Settle(task_id='1')",
        "stopped",
        "(1) never handled: Settle(task_id='1')",
    ]


def test_a_message_that_still_waits_at_the_end_says_so() -> None:
    trace = Trace()
    send(trace, "a", Settle("1"), "b")

    assert (
        diagram_lines(trace).splitlines()[-1].endswith("│────────▷│         still unhandled: Settle(task_id='1')")
    )


def test_a_message_in_flight_at_the_end_of_what_is_shown_says_when_it_is_handled() -> None:
    trace = Trace()
    sent = send(trace, "a", Settle("1"), "b")
    at(trace, 7)
    handle(trace, sent)

    assert [row.label(80) for row in Diagram(trace, [sent]).rows] == [
        "not handled until step 7: Settle(task_id='1')"
    ]


def test_a_message_whose_handling_did_not_matter_is_left_out_with_it() -> None:
    trace = Trace()
    handle(trace, send(trace, "a", Settle("1"), "b"))
    last = trace.add("logged", "a", "the end")

    diagram = Diagram(trace, trace.causes_of([last]))

    assert [row.what for row in diagram.rows] == ["the end"]
    assert diagram.summary() == "1 of 3 entries: what led here. The rest does not matter."


def test_what_is_handled_again_after_a_crash_says_so() -> None:
    trace = Trace()
    sent = send(trace, "a", Settle("1"), "b")
    handle(trace, sent)
    trace.add("crashed", "b", KeyError("x"))
    trace.add("restarted", "b", "")
    handle(trace, sent)

    assert Diagram(trace).rows[-1].label(80) == "again: Settle(task_id='1')"


def test_an_answer_says_whether_it_is_late_and_whether_it_is_an_error() -> None:
    trace = Trace()
    asked = send(trace, "a", Settle("1"), "b")
    trace.add("gave up", "a", Settle("1"), peer="b", cause=asked)
    trace.add("answered", "b", OSError("disk full"), peer="a", cause=asked)

    assert Diagram(trace).rows[-1].label(80) == "too late: raises OSError: disk full"


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (80, "Say(text='hello to all of you', count=3, reply_id='r1')"),
        (40, "Say(count=3, reply_id='r1', …)"),
        (24, "Say(reply_id='r1', …)"),
        (8, "Say(…)"),
        (4, "Say…"),
    ],
)
def test_a_short_label_keeps_the_ids(room: int, text: str) -> None:
    assert brief(Say("hello to all of you", 3, "r1"), room) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.000015, "15 µs"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (123, "2 min 3 s"),
        (3600, "1 h"),
        (7384.5, "2 h 3 min 4.5 s"),
    ],
)
def test_virtual_time_is_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_a_terminal_would_obey_is_not_in_the_text() -> None:
    trace = Trace()
    trace.add("crashed", "a", ValueError("\x1b[31mred\x07 \ud800"))
    trace.add("failed", "a", "\x1b[2Jgone")

    lines = diagram_lines(trace).splitlines()

    assert lines[1].endswith("CRASHED: ValueError: �[31mred� �")
    assert lines[-1] == "  �[2Jgone"


def shapes(trace: Trace) -> list[str]:
    return [row.shape for row in Diagram(trace).rows]
