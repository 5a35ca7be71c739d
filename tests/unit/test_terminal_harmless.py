"""What a stranger wrote does not steer a terminal: in no view, whatever it is."""

from __future__ import annotations

import io
import json
import re
import time
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from alex_http.client import Event
from alex_http.terminal.harmless import harmless, harmless_json, one_line
from alex_http.terminal.live_view import LiveView
from alex_http.terminal.markdown import LONGEST, LONGEST_CODE, MarkdownAnswers
from alex_http.terminal.progress import Tasks
from alex_http.terminal.words import fact

HOSTILE = [
    "\x1b]0;title\x07", "\x1b]52;c;aGk=\x1b\\", "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H", "\x9b31m", "\x9d0;x\x9c", "\r overwritten", "\x08\x08\x08", "\x00", "\x7f", "\ud800",
    "\u202egnp.exe", "\u2066a\u2069", "a\u200bb", "\u2028", "\U000e0041\U000e0042",
    "[link=https://evil.example]x[/link]", "[bold]", ":smile:", "&#27;[31m", "&#x202e;", "<b>x</b>",
    "[a](https://b.example/\u202e \"\x1b[31m\")", "```\x1b[31m\n\x1b]0;x\x07\n```", "| a |\n|---|\n| \x1b[2J |",
]  # fmt: skip
OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[2K|\x1b\[1A|\r(?=\x1b\[2K)")
"""What the views write themselves: styles, and what erases their own lines at the bottom."""


def steers(text: str) -> bool:
    """Return whether a text has anything but what can be seen."""
    return any(
        unicodedata.category(sign) in ("Cc", "Cs", "Cf", "Zl", "Zp") and sign not in "\n\t\u200c\u200d"
        for sign in text
    )


def console(width: int = 80) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, height=24, markup=False, emoji=False, highlight=False
    )


def written(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def event(event_id: int, kind: str, **data: Any) -> Event:  # Any: JSON
    return Event(
        event_id=event_id, event_type=kind, task_id="task-1", session_id="session-1", parent_task_id=None,
        timestamp=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=event_id), agent_level="core", data=data,
    )  # fmt: skip


def events_with(text: str) -> list[Event]:
    """Return a task's events, with a text wherever a stranger has a say."""
    return [
        event(1, "task_created", task=text),
        event(2, "task_started"),
        event(3, "iteration_start", iteration=1, total_iters=50),
        event(4, "assistant_delta", iteration=1, delta=text),
        event(5, "think_complete", iteration=1, content=text, tool_call_count=2),
        event(6, "approval_requested", iteration=1, call_id=text, tool_name=text, arguments={text: [text]}),
        event(7, "approval_resolved", call_id=text, approved=False, reason=text),
        event(8, "tool_call_start", iteration=1, call_id="c", tool_name=text, arguments={text: {text: text}}),
        event(9, "tool_call_stream", call_id="c", chunk=f"a\n{text}", is_complete=False),
        event(10, "tool_call_complete", call_id="c", tool_name=text, result=text, error=None, duration=1.0),
        event(11, "tool_call_complete", call_id=text, tool_name=text, result=None, error=text, duration=1.0),
        event(12, "error", iteration=1, phase="think", error=text, recoverable=True),
        event(
            13, "task_completed", status="completed", final_answer=text, stop_reason="final_answer",
            termination_reason="completed", total_iterations=1, total_tokens=2, duration=3.0,
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_hostile_text_is_shown_and_does_nothing(text: str) -> None:
    assert not steers(harmless(text))
    assert not steers(one_line(text))
    assert len(harmless(text)) == len(text), "each sign has another in its place"


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_the_live_view_writes_nothing_of_a_stranger_that_steers(text: str) -> None:
    shown = console()
    view = LiveView(console=shown, answers=MarkdownAnswers(shown), shows="task", monotonic=lambda: 0.0)
    tasks = Tasks()

    for each in events_with(text):
        progress, call = tasks.take(each)
        view.event(each, progress, call)
        waiting = [(progress, call) for call in progress.waiting]
        view.tick(tasks, waiting[0] if waiting else None)
    view.notice(text)
    view.close()

    assert not steers(OWN.sub("", written(shown)))
    assert "\x1b]" not in written(shown)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_lines_have_nothing_of_a_stranger_that_steers(text: str) -> None:
    tasks = Tasks()

    lines = [fact(each, *tasks.take(each)) for each in events_with(text)]

    assert len([line for line in lines if line is not None]) == 11
    assert not any(steers(line) or "\n" in line for line in lines if line is not None)


@given(st.text() | st.sampled_from(HOSTILE))
def test_json_for_a_terminal_says_the_same_and_steers_nothing(text: str) -> None:
    document = harmless_json(json.dumps({"text": text}, ensure_ascii=False))

    assert json.loads(document) == {"text": text}
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", document)
    assert not re.search(r"[\U000e0000-\U000e007f]", document)


@given(st.text(alphabet=st.sampled_from("#*`|->_[]()!<&;\\ \n\tab1.~\x1b\u202e")))
def test_any_answer_is_laid_out_and_steers_nothing(text: str) -> None:
    shown = console(40)

    MarkdownAnswers(shown).show(text)

    assert not steers(OWN.sub("", written(shown)))


def test_an_answer_keeps_its_lines_and_its_html() -> None:
    shown = console()

    MarkdownAnswers(shown).show(
        "a.txt\nb.txt\n\n# Title\n\nuse `List<T>` or <b>bold</b>\n\n[x](https://e.example)"
    )

    text = OWN.sub("", written(shown))
    assert text == "a.txt\nb.txt\n\nTitle\n\nuse List<T> or <b>bold</b>\n\nx (https://e.example)\n"


def test_an_answer_of_a_megabyte_is_shown_as_it_is() -> None:
    shown = console()
    answer = "*long* " * (LONGEST // 7 + 1)

    MarkdownAnswers(shown).show(answer)

    assert written(shown).count("*long*") == LONGEST // 7 + 1


def test_code_is_coloured_if_its_language_is_known_and_it_is_not_long() -> None:
    def is_coloured(language: str, code: str = "def f(): return None\n") -> bool:
        shown = Console(file=io.StringIO(), force_terminal=True, color_system="standard", no_color=False, width=80)
        MarkdownAnswers(shown).show(f"```{language}\n{code}\n```")
        return "\x1b[" in written(shown)

    assert is_coloured("python")
    assert is_coloured("Python title=x")
    assert not is_coloured("perl"), "its lexer takes the square of a text of <<"
    assert not is_coloured("python", "return\n" * LONGEST_CODE)


def test_an_answer_made_to_take_long_is_there_soon() -> None:
    shown = console()
    begun = time.process_time()

    MarkdownAnswers(shown).show("```perl\n" + "<<" * (LONGEST // 2 - 10))

    assert time.process_time() - begun < 5, "it took 48 s with colours"


def test_a_question_is_shown_in_full_or_says_that_it_is_not() -> None:
    shown = console()
    view = LiveView(console=shown, answers=MarkdownAnswers(shown), shows="task")
    tasks = Tasks()
    asked = event(
        1, "approval_requested", iteration=1, call_id="c", tool_name="shell", arguments={"command": "x\n" * 150}
    )

    view.event(asked, *tasks.take(asked))
    view.tick(tasks, None)

    text = OWN.sub("", written(shown))
    assert text.count("x\n") == 100
    assert "… and 50 more lines: alex watch task-1 --json" in text


def test_a_task_of_a_hundred_thousand_characters_begins_with_a_few_rows() -> None:
    shown = console()
    view = LiveView(console=shown, answers=MarkdownAnswers(shown), shows="task")
    tasks = Tasks()
    created = event(1, "task_created", task="word " * 20_000)

    view.event(created, *tasks.take(created))
    view.close()

    rows = OWN.sub("", written(shown)).splitlines()
    assert rows[1].startswith("● word word ")
    assert rows[5:7] == ["  …", "  task-1"]
    assert all(len(row) <= 80 for row in rows)
