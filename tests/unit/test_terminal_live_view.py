"""What is drawn for a person who follows a task, or a session, on a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from alex_http.client import Event
from alex_http.terminal.live_view import LiveView
from alex_http.terminal.progress import Tasks
from alex_http.terminal.views import PlainAnswers, Shows

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def event(event_id: int, kind: str, of: str = "task-1", /, **data: Any) -> Event:  # Any: JSON
    return Event(
        event_id=event_id, event_type=kind, task_id=of, session_id="session-1", parent_task_id=None,
        timestamp=NOW + timedelta(seconds=event_id), agent_level="core", data=data,
    )  # fmt: skip


class Drawn:
    """A view, and what it has written."""

    def __init__(self, shows: Shows) -> None:
        self._file = io.StringIO()
        console = Console(
            file=self._file, force_terminal=True, color_system=None, width=80, height=24, highlight=False
        )
        self._view = LiveView(console=console, answers=PlainAnswers(), shows=shows, now=lambda: NOW)
        self.tasks = Tasks()

    def take(self, *events: Event) -> None:
        for each in events:
            self._view.event(each, *self.tasks.take(each))

    def tick(self) -> str:
        """Return what a drawing writes. It asks about the first call that waits."""
        before = len(self._file.getvalue())
        waiting = [(one, call) for one in self.tasks.by_id.values() for call in one.waiting]
        self._view.tick(self.tasks, waiting[0] if waiting else None)
        return self._file.getvalue()[before:]


def asked(event_id: int, task: str = "task-1", tool: str = "shell") -> Event:
    return event(event_id, "approval_requested", task, iteration=1, call_id="c", tool_name=tool, arguments={})


def test_a_question_says_of_which_task_of_a_session_it_is() -> None:
    drawn = Drawn("session")

    for task, text in (("task-1", "Tidy up"), ("task-2", "Look round")):
        drawn.take(event(1, "task_created", task, task=text), event(2, "task_started", task))
    drawn.take(asked(3, "task-2"))

    assert "? Look round: Run shell? y: yes, n: no" in drawn.tick()


def test_a_tool_of_a_long_name_leaves_room_for_the_keys_that_answer() -> None:
    drawn = Drawn("task")
    drawn.take(event(1, "task_created", task="x"), event(2, "task_started"), asked(3, tool="server__" + "t" * 120))

    assert "…? y: yes, n: no" in drawn.tick()


def test_a_word_that_is_on_its_way_is_shown_in_place_of_the_keys() -> None:
    drawn = Drawn("task")
    drawn.take(event(1, "task_created", task="x"), event(2, "task_started"), asked(3))
    before = drawn.tick()

    drawn.tasks.by_id["task-1"].waiting[0].saying = False
    after = drawn.tick()

    assert "waiting for your word" in before
    assert "? Run shell? y: yes, n: no" in before
    assert "waiting for the server" in after
    assert "? Run shell? no: telling the server" in after


def test_a_task_that_is_being_cancelled_says_so() -> None:
    drawn = Drawn("task")
    drawn.take(event(1, "task_created", task="x"), event(2, "task_started"))

    drawn.tasks.cancelling = True

    assert "cancelling · iteration 0" in drawn.tick()


def test_where_sub_agents_are_at_work_it_is_said_how_to_see_what_they_ask() -> None:
    drawn = Drawn("task")
    drawn.take(event(1, "task_created", task="x"), event(2, "task_started"))
    before = drawn.tick()

    drawn.take(
        event(3, "tool_call_start", iteration=1, call_id="c", tool_name="delegate", arguments={"task": "y"})
    )

    hint = "alex watch --session session-1"
    assert hint not in before
    assert hint in drawn.tick()
