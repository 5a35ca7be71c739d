"""What a person sees of the log at a terminal, and that no value can steer it."""

from __future__ import annotations

import json
import unicodedata

import pytest

from alex_actors.log_formats import ConsoleFormat, Entry, json_line


def entry(**fields: object) -> Entry:
    return {"ts": "2026-01-02T03:04:05.678901Z", "level": "info", "event": "x", **fields}


def shown(**fields: object) -> str:
    return ConsoleFormat(color=False)(entry(**fields)).decode()


def test_a_readable_line_has_time_level_event_and_fields() -> None:
    line = shown(event="task.created", task_id="task-1", count=2, none=None, some=["a b"])

    assert line == ('03:04:05.678 info     task.created         task_id=task-1 count=2 none=null some=["a b"]\n')


def test_texts_that_could_be_misread_are_quoted() -> None:
    line = shown(empty="", space="a b", equals="a=b", quote="a'b")

    assert line.endswith(" empty='' space='a b' equals='a=b' quote=\"a'b\"\n")


@pytest.mark.parametrize(
    "nasty", ["\n", "\r", "\x1b[2J", "\x00", "\x7f", "\x9b2J", "\u202e", "\u2028", "\ud800", "\ufeff"]
)
def test_nothing_in_an_entry_can_fake_a_line_or_steer_the_terminal(nasty: str) -> None:
    text = f"a{nasty}b"

    line = shown(event=text, value=text, nested={text: [text]}, **{text: 1})

    assert line[:-1].isprintable()
    assert line.endswith("\n")


def test_the_lines_of_an_exception_stand_below_behind_a_bar() -> None:
    line = shown(exception="Traceback:\n  x\nValueError: a\x1b[2J\n03:04:05.678 info faked")

    assert line.splitlines()[1:] == [
        "  | Traceback:",
        "  |   x",
        "  | 'ValueError: a\\x1b[2J'",
        "  | 03:04:05.678 info faked",
    ]


def test_colours_change_nothing_but_the_colour() -> None:
    plain = shown(value="x")

    colored = ConsoleFormat(color=True)(entry(value="x")).decode()

    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m"):
        assert code in colored
        colored = colored.replace(code, "")
    assert colored == plain


def test_no_control_character_of_a_value_is_left_in_a_line_of_json() -> None:
    value = "".join(map(chr, [*range(0x20), *range(0x7E, 0xA2)])) + "\u00c2\u009b"

    line = json_line({"event": value, value: 1})

    text = line.decode().removesuffix("\n")
    assert [character for character in text if unicodedata.category(character) == "Cc"] == []
    assert json.loads(text) == {"event": value, value: 1}
