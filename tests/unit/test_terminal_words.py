"""Progress from events, figures in words, and how errors are told."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alex_http.client import (
    AlexError,
    BadReply,
    BadRequest,
    Conflict,
    ConnectionFailed,
    FieldError,
    Forbidden,
    GaveUp,
    KeyReused,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnknownSession,
    UnknownTask,
)
from alex_http.terminal.exits import Exit, failure
from alex_http.terminal.progress import LONGEST_STREAMED, Progress, Tasks
from alex_http.terminal.words import age, counted, duration, money, summary
from tests.unit.test_terminal_harmless import event, events_with

DOCS = Path(__file__).parents[2] / "docs" / "terminal.md"
URL = "http://127.0.0.1:8080"
AWAY = ConnectionFailed("It broke.", maybe_received=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"), (0.0123, "12 ms"), (0.9996, "1.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"),
        (125.0, "2 min 5 s"), (3599.6, "1 h 0 min"), (11_040.0, "3 h 4 min"), (183_600.0, "2 d 3 h"),
    ],
)  # fmt: skip
def test_a_time_is_written_as_it_is_said(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_ages_amounts_and_numbers_are_short() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)

    ages = [age(now - timedelta(seconds=seconds), now) for seconds in (-5, 59, 61, 7200, 800_000)]

    assert ages == ["0s", "59s", "1m", "2h", "9d"]
    assert [money(amount) for amount in (0.0, 0.00012, 0.5, 12.345)] == ["$0.00", "$0.0001", "$0.5000", "$12.35"]
    assert [counted(number, "task") for number in (0, 1, 1234)] == ["0 tasks", "1 task", "1,234 tasks"]


def test_progress_is_that_of_the_events() -> None:
    progress = Progress(task_id="task-1")
    events = events_with("x")

    for each in events[:4]:
        progress.take(each)
    streamed, limit = progress.streaming, progress.most_iterations
    progress.take(event(5, "iteration_complete", iteration=1, tokens_used=60, tools_run=0, cost_usd=0.25))
    running = progress.seconds(events[1].timestamp + timedelta(seconds=7))
    progress.take(events[-1])

    assert (streamed, limit, progress.cost, running) == ("x", 50, 0.25, 7.0)
    assert progress.seconds(datetime.now(UTC)) == 0.003
    assert summary(progress) == "completed · 1 iteration · 2 tokens · $0.2500 · 3 ms"


def test_what_a_model_says_takes_bounded_memory() -> None:
    progress = Progress(task_id="task-1")

    for number in range(100):
        progress.take(event(number + 1, "assistant_delta", iteration=1, delta="x" * 1000))

    assert len(progress.streaming) == LONGEST_STREAMED


def test_a_session_that_is_followed_for_weeks_takes_bounded_memory() -> None:
    tasks = Tasks()

    for each in events_with("x"):
        tasks.take(each)

    assert tasks.by_id == {}


def test_a_call_is_asked_about_until_somebody_decides() -> None:
    progress = Progress(task_id="task-1")
    progress.take(event(1, "approval_requested", iteration=1, call_id="a", tool_name="shell", arguments={}))
    progress.take(event(2, "approval_requested", iteration=1, call_id="b", tool_name="shell", arguments={}))
    asked = [call.call_id for call in progress.waiting]

    progress.take(event(3, "approval_resolved", call_id="a", approved=False, reason=None))
    left = [call.call_id for call in progress.waiting]
    ended = progress.take(
        event(4, "tool_call_complete", call_id="a", tool_name="shell", result=None, error="No.", duration=0.0)
    )

    assert (asked, left) == (["a", "b"], ["b"])
    assert ended is not None


def test_a_question_is_still_there_when_the_task_goes_on_after_a_restart() -> None:
    """The server asks once: what is on record is not asked for again."""
    progress = Progress(task_id="task-1")
    progress.take(event(1, "approval_requested", iteration=1, call_id="a", tool_name="shell", arguments={}))

    progress.take(event(2, "task_resumed", attempt=1))

    assert [call.call_id for call in progress.waiting] == ["a"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConnectionFailed("x", maybe_received=False), Exit.NO_SERVER, f"No server at {URL}: start one with"),
        (AWAY, Exit.NO_SERVER, "It broke."),
        (GaveUp(300.0, AWAY), Exit.NO_SERVER, "No contact with the server for 300 seconds."),
        (BadReply("<html>"), Exit.NO_SERVER, f"What answers at {URL} is no Alex Runtime"),
        (NotFound("x", status=404, title="x"), Exit.NO_SERVER, f"What answers at {URL} is no Alex Runtime"),
        (Unauthorized("No token.", status=401, title="x"), Exit.REFUSED, "The server asks for a token: put one"),
        (Forbidden("Wrong token.", status=403, title="x"), Exit.REFUSED, "Wrong token."),
        (UnknownTask("None. GET /x", status=404, title="x"), Exit.UNKNOWN, "None. `alex tasks` lists"),
        (UnknownSession("None.", status=404, title="x"), Exit.UNKNOWN, "None. `alex sessions` lists"),
        (
            BadRequest("Bad.", status=400, title="x", errors=[FieldError("model", "must be known")] * 2),
            Exit.USAGE, "Bad.\n  model: must be known\n  model: must be known",
        ),
        (Conflict("Busy.", status=409, title="x"), Exit.CONFLICT, "Busy."),
        (KeyReused("Used.", status=422, title="x"), Exit.CONFLICT, "Used."),
        (TooManyRequests("Full.", status=429, title="x", retry_after=5.0), Exit.LATER, "Full. Try again in 5 s."),
        (Unavailable("Away.", status=503, title="x", retry_after=1.0), Exit.LATER, "Away. Try again in 1 s."),
        (ServerError("Fault.", status=500, title="x", request_id="r"), Exit.LATER, f"Fault. (500 from {URL})"),
        (ServerError("<html>", status=501, title="x"), Exit.NO_SERVER, f"What answers at {URL} is no Alex"),
        (Unavailable("Of a proxy.", status=502, title="x"), Exit.LATER, f"Of a proxy. (502 from {URL})"),
    ],
)  # fmt: skip
def test_each_error_has_its_exit_code_and_says_what_to_do(error: AlexError, code: Exit, words: str) -> None:
    failed = failure(error, URL)

    assert failed.exit_code == failed.code == code
    assert failed.message.startswith(words)


def test_the_documentation_has_every_exit_code() -> None:
    told = re.findall(r"^\| (\d+) \| ", DOCS.read_text(), re.MULTILINE)

    assert [int(code) for code in told] == sorted(Exit)
