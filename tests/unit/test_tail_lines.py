"""How a line of the log is shown, and which lines are wanted."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from alex_actors.logs.searching import DISORDER
from alex_http.terminal.tail_filters import Filter, moment
from alex_http.terminal.tail_lines import LineFormat, columns

TASK, SESSION = "task-01a20648-5a74-7000-8000-01bf0f78155c", "session-01a20648-5a74-7000-8000-07fc84bc3462"
COLOR = re.compile(r"\x1b\[[0-9;]*m")


def line(
    event: str = "task.created", *, at: str = "20:00:00.000000", level: str = "info", **fields: object
) -> bytes:
    return json.dumps({"ts": f"2026-11-22T{at}Z", "level": level, "event": event, **fields}).encode()


def plain_format() -> LineFormat:
    return LineFormat(color=False, width=None, zone=UTC)


def shown(*lines: bytes, width: int | None = None, color: bool = False) -> list[str]:
    """Return the lines that show some, without that of the day."""
    formats = LineFormat(color=color, width=width, zone=UTC)
    text = "".join(formats(each) for each in lines)
    assert text.endswith("\n") or not text
    return [each for each in text.splitlines() if "times are UTC" not in each]


def test_a_line_has_its_time_the_time_since_the_one_before_its_level_who_what_and_its_values() -> None:
    created = line(task_id=TASK, session_id=SESSION, place="queue 1")
    ended = line("task.ended", at="20:00:00.001200", task_id=TASK, status="completed")

    assert shown(created, ended) == [
        (
            f"2026-11-22T20:00:00.000Z          info  TaskStoreActor   task.created{' ' * 9}task={TASK} "
            f"place='queue 1' session={SESSION}"
        ),
        (
            f"2026-11-22T20:00:00.001Z   +1.2ms info  TaskStoreActor   task.ended{' ' * 11}task={TASK} "
            "status=completed"
        ),
    ]


def test_what_a_request_came_to_stands_before_its_path_which_has_no_id_in_full() -> None:
    request = {"method": "POST", "path": f"/api/tasks/{TASK}/cancel", "status": 409, "duration": 0.5}
    logged = line("http.request", **(request | {"task_id": TASK}))  # type: ignore[arg-type]  # none is a level

    (narrow,) = shown(logged, width=80)
    (wider,) = shown(logged, width=150)
    (whole,) = shown(logged)

    assert "task=…78155c status=409" in narrow
    assert wider.endswith(" duration=0.5 method=POST path=/api/tasks/…78155c/cancel")
    assert whole.endswith(f" duration=0.5 method=POST path=/api/tasks/{TASK}/cancel")


def test_what_is_called_like_the_session_is_not_shortened_with_it() -> None:
    logged = line("tool.ended", tool="calculator", path="/calculators/calculator", session_id="calculator")

    (narrow,) = shown(logged, width=130)

    assert narrow.endswith(" tool=calculator path=/calculators/…ulator session=…ulator")


def test_a_message_is_shown_as_from_whom_to_whom() -> None:
    message = line("message", level="debug", sender="http", receiver="SessionActor", type="Confirm", took=0.1)

    (text,) = shown(message)

    assert text.split(maxsplit=2)[1:] == ["debug", "http             → SessionActor Confirm took=0.1"]


@pytest.mark.parametrize(
    ("event", "fields", "who"),
    [
        ("http.request", {}, "http"),
        ("agent.started", {}, "AgentActor"),
        ("session.confirmed", {}, "SessionActor"),
        ("actor.crashed", {"actor": "BroadcasterActor"}, "BroadcasterActor"),
        ("log", {"logger": "py.warnings"}, "py.warnings"),
        ("mcp.started", {}, "mcp"),
        ("something.else", {}, "something"),
        ("log", {}, "log"),
        ("message", {}, "-"),
    ],
)
def test_who_tells_of_an_event_is_seen_in_one_column(event: str, fields: dict[str, str], who: str) -> None:
    assert shown(line(event, **fields))[0][40:57].rstrip() == who


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0012, "+1.2ms"), (-0.0003, "-0.3ms"), (0, "+0.0ms"), (0.99999, "+1.0s"), (1.5, "+1.5s"),
        (59.99, "+1m00s"), (125, "+2m05s"), (3600, "+1h00m"), (100_000, "+1d03h"),
    ],
)  # fmt: skip
def test_the_time_since_the_line_before_is_short(seconds: float, text: str) -> None:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    first, second = (
        b'{"ts":"%s","level":"info","event":"a"}' % (start + timedelta(seconds=each)).isoformat().encode()
        for each in (0, seconds)
    )

    assert shown(first, second)[1].split()[1] == text


def test_a_terminal_has_the_date_and_its_zone_on_a_line_where_a_day_begins() -> None:
    formats = LineFormat(color=False, width=100, zone=timezone(timedelta(hours=1), "CET"))

    text = [formats(line("a.b", at=at)) for at in ("22:59:59.999000", "22:59:59.999000", "23:00:00.000000")]

    assert [each.splitlines()[0] for each in text] == [
        "Sunday, 2026-11-22, times are CET (UTC+01:00)",
        "23:59:59.999   +0.0ms I a                a.b",
        "Monday, 2026-11-23, times are CET (UTC+01:00)",
    ]


def test_a_terminal_has_lines_that_fit_and_ids_that_are_short() -> None:
    long = line(task_id=TASK, session_id=SESSION, reason="x" * 500)

    narrow, wide = shown(long, width=80)[0], shown(long, width=200)[0]

    assert len(narrow) == 80
    assert narrow.endswith("…")
    assert narrow.startswith("20:00:00          I TaskStoreActor   task.created task=…78155c reason=xxx")
    assert len(wide) == 200
    assert f"task={TASK} reason=xx" in wide


@pytest.mark.parametrize(
    ("ts", "hours"), [("0001-01-01T00:00:00Z", -5), ("9999-12-31T23:59:59Z", 5)], ids=["year 1", "year 9999"]
)
def test_a_time_that_this_zone_does_not_have_is_shown_as_it_is(ts: str, hours: int) -> None:
    for width in (None, 80):
        formats = LineFormat(color=False, width=width, zone=timezone(timedelta(hours=hours)))

        text = formats(json.dumps({"ts": ts, "level": "info", "event": "a.b"}).encode())

        assert text.split() == [ts, "I" if width else "info", "a", "a.b"]


def test_characters_of_two_columns_are_counted_as_such() -> None:
    (text,) = shown(line("a", value="漢字" * 50), width=80)

    assert 79 <= columns(text) <= 80
    assert columns("e\u0301漢") == 3


def test_colours_change_nothing_but_the_colour() -> None:
    lines = [
        line(level=level, task_id=TASK, a=1) for level in ("debug", "info", "warning", "error", "critical", "odd")
    ]

    for width in (None, 60, 200):
        colored = shown(*lines, width=width, color=True)

        assert [COLOR.sub("", each) for each in colored] == shown(*lines, width=width)
        assert all(each.count("\x1b[0m") >= 2 for each in colored)


def test_a_task_has_the_same_colour_in_all_lines_and_another_one_mostly_another() -> None:
    colors = [
        COLOR.findall(shown(line(task_id=f"task-{n // 2}"), color=True)[0].split("task=")[1])[1] for n in range(40)
    ]

    assert colors[::2] == colors[1::2]
    assert len(set(colors)) > 4


def test_a_traceback_stands_below_its_line_behind_a_bar() -> None:
    assert shown(line("agent.failed", exception="Traceback:\n  File x\nValueError: \x1b[2J"))[1:] == [
        "    | Traceback:", "    |   File x", "    | ValueError: \\x1b[2J",
    ]  # fmt: skip


HOSTILE = [
    "\x1b]52;c;aGk=\x07",
    "\x9b2J",
    "\r\x08",
    "\u202e",
    "\u2028",
    "\u200b",
    "\ud800",
    "\x00",
    "\n2026-11-22 fake",
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
@pytest.mark.parametrize("width", [None, 80, 300])
def test_nothing_in_a_line_steers_the_terminal(hostile: str, width: int | None) -> None:
    in_fields = [
        line(**{field: f"a{hostile}b"})
        for field in ("level", "task_id", "session_id", "owner", "exception")
    ] + [
        line(f"a{hostile}b"),
        line("message", sender=f"a{hostile}b", receiver=hostile, type=hostile),
        json.dumps({"event": "a", "ts": hostile, hostile: hostile, "x": [hostile], "level": [hostile]}).encode(),
    ]  # fmt: skip
    garbage = f"no JSON: {hostile}".encode(errors="surrogatepass").replace(b"\n", b"")

    for each in (*in_fields, garbage):
        formats = LineFormat(color=False, width=width, zone=UTC)
        texts = formats(each).split("\n")

        assert texts[-1] == ""
        assert all(text.isprintable() for text in texts)
        assert len(texts) <= 2 + (width is not None) + 2 * (b"exception" in each)


@pytest.mark.parametrize(
    ("garbage", "text"),
    [
        (b"plain text\r", ["plain text"]),
        (b"\xef\xbb\xbftext", ["text"]),
        (b"a\tb", ["a       b"]),
        (b"\xff\x00", ["\\xff\\x00"]),
        (b'{"ts":"2026-11-22T20:00', ['{"ts":"2026-11-22T20:00']),
        (b'{"message":"of another program"}', ['{"message":"of another program"}']),
        (b" \r", []),
    ],
)
def test_garbage_is_passed_through(garbage: bytes, text: list[str]) -> None:
    assert shown(garbage) == text


def test_a_long_line_is_shown_whole_to_programs() -> None:
    assert len(shown(line(value="x" * 5_000_000))[0]) > 5_000_000


# Filters.


def wanted(*lines: bytes, **filters: object) -> list[int]:
    """Return the numbers of the lines that are wanted."""
    chosen = Filter(**filters)  # type: ignore[arg-type] # as each test gives them
    return [number for number, each in enumerate(lines) if chosen.wants(each)]


def test_lines_of_a_task_are_those_with_its_id_or_its_end() -> None:
    lines = line(task_id=TASK), line(task_id=f"{TASK}0"), line(trace_id=TASK), line(session_id=TASK), line(), b"x"

    assert wanted(*lines, task=TASK) == [0]
    assert wanted(*lines, task="0f78155c") == [0]
    assert wanted(*lines, task="55c") == []
    assert wanted(*lines, session="0f78155c") == [3]
    assert wanted(line(session_id='my "own"'), task=None, session='my "own"') == [0]


def test_events_may_be_patterns_and_several() -> None:
    lines = line("task.created"), line("task.ended"), line("http.request"), line("message"), b"message"

    assert wanted(*lines, events=("task.*",)) == [0, 1]
    assert wanted(*lines, events=("message", "*.ended")) == [1, 3]
    assert wanted(*lines, events=("task",)) == []


def test_a_level_has_those_above_it() -> None:
    lines = [line(level=level) for level in ("debug", "info", "warning", "error", "critical", "odd")]

    assert wanted(*lines, b"garbage", level="warning") == [2, 3, 4]
    assert wanted(*lines, b"garbage", level="debug") == [0, 1, 2, 3, 4]


def test_garbage_is_wanted_unless_a_field_is_asked_for() -> None:
    since = datetime(2026, 11, 22, 20, 0, 1, tzinfo=UTC)

    assert wanted(b"garbage", line(), line(at="20:00:02.000000"), since=since) == [0, 2]
    assert wanted(b"garbage", line(), line(at="20:00:02.000000"), until=since) == [0, 1]


def test_a_moment_is_a_time_ago_or_in_iso_8601() -> None:
    now = datetime(2026, 11, 22, 20, tzinfo=UTC)

    assert moment("10m", now=now) == now - timedelta(minutes=10)
    assert moment("1.5h", now=now) == now - timedelta(hours=1.5)
    assert moment("250ms", now=now) == now - timedelta(milliseconds=250)
    assert moment("2026-11-22T20:00Z", now=now) == now
    assert moment("2026-11-22T21:00+01:00", now=now) == now
    assert moment("2026-11-22", now=now) == datetime(2026, 11, 22).astimezone()
    assert moment("9999999d", now=now) < now
    assert moment("0001-01-01T00:00Z", now=now) - DISORDER < now < moment("9999-12-31T23:59Z", now=now) + DISORDER
    for text in ("", "10", "ten minutes", "10 parsecs", "-5m", "2026-13-01"):
        with pytest.raises(ValueError, match=r".*"):
            moment(text, now=now)
