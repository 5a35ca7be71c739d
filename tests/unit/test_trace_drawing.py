"""What a log tells of a task, drawn: in the order of cause and effect, with times, and not too long."""

from __future__ import annotations

import re

import pytest

from alex_actors.diagrams.rows import MOST_LINES
from alex_actors.tracing.drawing import Drawing
from alex_actors.tracing.drawn import trace_of
from alex_actors.tracing.task_log import NotInLog, SeveralTasks, TaskLog, overview, task_log
from tests.unit.written_logs import WrittenLog

HOSTILE = "\x1b[2J\u202e</text><script>alert(1)</script>"


def read(log: WrittenLog, wanted: str, *, children: bool = False) -> TaskLog:
    return task_log(lambda: iter(log.lines), wanted, children=children)


def drawing(log: WrittenLog, task_id: str, *, everything: bool = False, children: bool = False) -> Drawing:
    return Drawing(
        read(log, task_id, children=children), source="alex.jsonl", children=children, everything=everything
    )


def submitted(log: WrittenLog) -> str:
    """Add a task and what its actors send each other until its agent starts."""
    task_id = log.new_task()
    log.confirmed(task_id).message("http", "SessionActor", "Confirm", task_id, took=2.0)
    log.message("http", "TaskStoreActor", "Create", task_id, took=0.01)
    log.fact("task.created", task_id).message("TaskStoreActor", "TaskStoreActor", "Commit", task_id, took=1.5)
    log.fact("agent.started", task_id).message("SessionActor", "AgentActor", "TurnGranted", task_id, waited=0.5)
    return task_id


def test_facts_come_after_the_message_in_whose_handling_they_were_told() -> None:
    log = WrittenLog()
    task_id = submitted(log)

    trace = trace_of(read(log, task_id).entries, main=task_id)

    told = [str(entry.what).split(" ")[0] for entry in trace if entry.kind != "sent"]
    assert told == [
        "Confirm", "session.confirmed", "Create", "Commit", "task.created", "TurnGranted", "agent.started",
    ]  # fmt: skip
    assert [entry.index for entry in trace if entry.kind == "handled" and entry.cause >= entry.index] == []


def test_a_time_that_was_taken_late_does_not_have_a_fact_before_its_message() -> None:
    """A line's time is taken after the handling was measured: meanwhile other threads may have had their turn."""
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id).message("http", "SessionActor", "Confirm", task_id, waited=0.01, took=0.02)

    trace = trace_of(read(log, task_id).entries, main=task_id)

    assert [(entry.kind, entry.who) for entry in trace] == [
        ("sent", "http"), ("handled", "SessionActor"), ("logged", "SessionActor"),
    ]  # fmt: skip


def test_a_fact_of_a_commit_of_another_task_draws_no_later_message_to_itself() -> None:
    """A commit is of many tasks, and its line is of the first: then this one's fact has none of its own here."""
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id).message("http", "TaskStoreActor", "Create", task_id, took=0.01)
    log.fact("task.created", task_id)
    log.message("SessionActor", "AgentActor", "TurnGranted", task_id, took=0.01)
    log.message("AgentActor", "TaskStoreActor", "Record", task_id, took=0.01)
    log.message("TaskStoreActor", "TaskStoreActor", "Commit", task_id, took=0.01)

    trace = trace_of(read(log, task_id).entries, main=task_id)

    told = [str(entry.what).split(" ")[0] for entry in trace if entry.kind != "sent"]
    assert told == ["session.confirmed", "Create", "task.created", "TurnGranted", "Record", "Commit"]


def test_the_times_of_a_message_stand_at_its_arrow() -> None:
    log = WrittenLog()
    task_id = log.new_task()
    log.confirmed(task_id).message("http", "SessionActor", "Confirm", task_id, waited=1234.5, took=0.0261)

    text = drawing(log, task_id).text(100)

    assert "Confirm 1.23 s + 26 µs" in text


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_the_diagram_fits_its_width(width: int) -> None:
    log = WrittenLog()
    task_id = submitted(log)

    lines = drawing(log, task_id).text(width).splitlines()

    assert max(map(len, lines)) <= width
    assert any("Confirm" in line for line in lines)


@pytest.mark.parametrize("width", [60, 80])
def test_what_has_no_room_beside_its_arrow_goes_on_below_itself(width: int) -> None:
    log = WrittenLog()
    task_id = submitted(log)
    asked = {"tool": "file_write", "call_id": "call-1-1", "reason": "c" * 40}
    log.fact("approval.requested", task_id, iteration=1, **asked)
    log.message("http", "AgentActor", "Decide", task_id, waited=3.5, took=0.25)

    text = drawing(log, task_id).text(width)
    said = " ".join(re.sub("[│⋮]", "", text).split())

    assert "approval.requested iteration=1 tool='file_write' call_id='call-1-1'" in said
    assert "c" * 40 in said.replace(" ", "")
    assert "Decide 3.5 ms + 250 µs" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_text_that_would_take_many_lines_is_cut() -> None:
    log = WrittenLog()
    task_id = submitted(log)
    log.fact("approval.resolved", task_id, **{f"field_{number}": "x" * 50 for number in range(20)})

    lines = drawing(log, task_id).text(80).splitlines()

    [last] = [number for number, line in enumerate(lines) if line.endswith("…")]
    assert "approval.resolved" in lines[last - MOST_LINES + 1]


def test_lifelines_stand_closer_where_that_saves_lines() -> None:
    log = WrittenLog()
    task_id = submitted(log)
    wide = drawing(log, task_id).text(80)
    log.fact("approval.resolved", task_id, tool="f" * 20)
    close = drawing(log, task_id).text(80)

    assert max(map(len, re.findall("─+", wide))) > max(map(len, re.findall("─+", close)))
    assert f"tool='{'f' * 20}'" in close


def test_what_repeats_a_thousand_times_is_shown_at_its_beginning_and_its_end() -> None:
    log = WrittenLog()
    task_id = submitted(log)
    for _ in range(1000):
        log.message("AgentActor", "TaskStoreActor", "Record", task_id)
        log.message("TaskStoreActor", "AgentActor", "Recorded", task_id)
    log.ended(task_id)

    short, whole = (drawing(log, task_id, everything=all_).text(120) for all_ in (False, True))

    assert len(short.splitlines()) < 40
    assert re.search(r"… 1,988 more in 1\.99 s: 994 Record, 994 Recorded …", short)
    assert "--all" in short
    assert "task.ended completed" in short
    assert len(re.findall(r"\bRecord\b", whole)) == 1000


def test_facts_alone_are_drawn_with_the_time_since_the_one_before() -> None:
    log = WrittenLog()
    task_id = log.task()

    text = drawing(log, task_id).text(140)

    assert re.search(r"◇ +│ +│ +session\.confirmed enqueue, 0 ahead\n", text)
    assert "task.created +1 ms" in text
    assert "alex serve --log-level debug" in text


def test_sub_agents_are_named_and_drawn_if_they_are_wanted() -> None:
    log = WrittenLog()
    parent = submitted(log)
    child = "task-5b159733-d0bc-54ae-a984-06403559b0ec"
    log.confirmed(child, strategy="parallel", ahead=1).fact("task.created", child, parent_task_id=parent)
    log.message("SessionActor", "AgentActor", "TurnGranted", child)

    alone, together = (drawing(log, parent, children=children).text(120) for children in (False, True))

    assert "1 in all: --children" in alone
    assert "59b0ec" not in alone
    assert "AgentActor(…59b0ec)" in together


def test_the_end_of_the_session_is_part_of_it() -> None:
    log = WrittenLog()
    task_id = log.task()
    log.say("session.deleted", session_id="s", tasks=1).say("session.deleted", session_id="other", tasks=1)

    assert drawing(log, task_id).text(100).count("session.deleted") == 1


def test_what_a_stranger_wrote_neither_steers_a_terminal_nor_runs_in_a_page() -> None:
    log = WrittenLog()
    task_id = submitted(log)
    log.fact("tool.ended", task_id, tool=HOSTILE, duration=1.0, error=False)
    log.fact(f"odd{HOSTILE}", task_id, session=HOSTILE, **{HOSTILE: HOSTILE})
    log.message(HOSTILE, HOSTILE, HOSTILE, task_id)

    drawn = drawing(log, task_id)

    for text in (drawn.text(200), drawn.mermaid(), drawn.html()):
        assert not set(text) & {"\x1b", "\u202e"}
    assert "<script" not in drawn.html()
    assert "<script" not in drawn.mermaid()


def test_a_page_has_nothing_from_elsewhere() -> None:
    log = WrittenLog()

    page = drawing(log, submitted(log)).html()

    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<img|@import|url\(|\b(?:src|href)=|https?://", page)
    assert "prefers-color-scheme: dark" in page


def test_mermaid_has_an_arrow_for_each_message() -> None:
    log = WrittenLog()

    text = drawing(log, submitted(log)).mermaid()

    assert "sequenceDiagram" in text
    assert len(re.findall(r"p\d+->>p\d+: ", text)) == 4


@pytest.mark.parametrize("part", [slice(None), slice(None, 13), slice(5, 13), slice(-12, None)])
def test_the_beginning_or_the_end_of_an_id_is_enough(part: slice) -> None:
    log = WrittenLog()
    task_id = submitted(log)

    assert read(log, task_id[part]).task_id == task_id


def test_last_is_the_task_that_was_recorded_last_and_is_no_sub_agents() -> None:
    log = WrittenLog()
    log.task()
    parent = log.task()
    log.fact("task.created", "task-of-a-sub-agent", parent_task_id=parent)

    assert read(log, "last").task_id == parent


def test_an_id_that_several_tasks_have_is_refused_with_their_names() -> None:
    log = WrittenLog()
    names = [log.task() for _ in range(7)]

    with pytest.raises(SeveralTasks, match=names[0]):
        read(log, "task-")


@pytest.mark.parametrize("wanted", ["last", "task-0", "http", "s"])
def test_a_task_that_is_not_there_is_not_found(wanted: str) -> None:
    log = WrittenLog()

    with pytest.raises(NotInLog):
        read(log, wanted)


def test_an_id_that_only_stands_in_what_cannot_be_read_is_of_no_task() -> None:
    log = WrittenLog()
    log.lines.append(b'{"ts":"2026","task_id":"task-torn"')

    with pytest.raises(NotInLog):
        read(log, "task-torn")


def test_lines_without_times_are_drawn_as_far_as_they_go() -> None:
    log = WrittenLog()
    log.lines.append(b'{"event":"task.created","task_id":"task-odd"}')
    log.lines.append(
        b'{"ts":"2026-01-01T00:00:00Z","event":"message","task_id":"task-odd","waited":1e300,"took":-1}'
    )

    drawn = drawing(log, "task-odd")

    assert "Task task-odd" in drawn.text(80)
    assert "Task task-odd" in drawn.html()


def test_what_there_is_instead_is_told() -> None:
    log = WrittenLog()
    task_id = log.task()

    there = overview(log.lines)

    assert (there.lines, there.tasks, there.latest) == (len(log.lines), 1, [task_id])
    assert (there.first, there.last) == ("2026-11-23T12:00:00.001000Z", "2026-11-23T12:00:00.007000Z")
