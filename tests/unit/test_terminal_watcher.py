"""Following a task when something goes wrong meanwhile: the task is deleted, the server is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from threading import Event as Flag
from typing import Any, cast

from alex_http.client import AlexError, ConnectionFailed, Event
from alex_http.terminal.connection import Connection
from alex_http.terminal.exits import Exit
from alex_http.terminal.interrupts import Interrupts, Keys
from alex_http.terminal.progress import Call, Progress, Tasks
from alex_http.terminal.watcher import Watcher
from tests.live.process import SOON

AWAY = ConnectionFailed("The server cannot be reached", maybe_received=False)


def event(event_id: int, kind: str, **data: Any) -> Event:  # Any: JSON
    return Event(
        event_id=event_id, event_type=kind, task_id="task-1", session_id="session-1", parent_task_id=None,
        timestamp=datetime(2026, 11, 23, tzinfo=UTC), agent_level="core", data=data,
    )  # fmt: skip


CREATED = event(1, "task_created", task="x")
STARTED = event(2, "task_started")
ASKED = event(3, "approval_requested", iteration=1, call_id="c", tool_name="shell", arguments={})
COMPLETED = event(
    9, "task_completed", status="completed", final_answer="y", stop_reason="final_answer",
    termination_reason="completed", total_iterations=1, total_tokens=2, duration=3.0,
)  # fmt: skip


class FakeServer:
    """A client and its stream: events, the last ones when ``goes_on`` is set; ``fails`` to be told anything."""

    def __init__(
        self, now: Sequence[Event], later: Sequence[Event] = (), *, deleted: bool = False, fails: bool = False
    ) -> None:
        self.url = "http://test"
        self.client = self
        self.goes_on = Flag()
        self.told: list[str] = []
        self.deleted = deleted
        self._now, self._later, self._fails = now, later, fails

    def events(self, **_of: str) -> FakeServer:
        return self

    def __iter__(self) -> Iterator[Event]:
        yield from self._now
        if self._later:
            assert self.goes_on.wait(SOON)
        yield from self._later

    def cancel(self, task_id: str) -> None:
        self._tell(f"cancel {task_id}")

    def approve(self, task_id: str, call_id: str) -> None:
        self._tell(f"approve {task_id} {call_id}")

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if self._fails:
            error: AlexError = AWAY
            raise error


class FakeView:
    """Keeps what is said. ``after_tick`` is called with each picture of how things are."""

    def __init__(self, after_tick: Callable[[], None] = lambda: None) -> None:
        self.said: list[str] = []
        self.open: list[str] = []
        self._after_tick = after_tick

    def event(self, event: Event, progress: Progress, call: Call | None) -> None:
        pass

    def notice(self, text: str) -> None:
        self.open.append(text)

    def tick(self, tasks: Tasks, asking: tuple[Progress, Call] | None) -> None:
        self.close()
        self._after_tick()

    def close(self) -> None:
        self.said += self.open
        self.open.clear()


class FakePresses:
    """Ctrl-C so many times, at once."""

    def __init__(self, presses: int = 0) -> None:
        self.presses = presses

    def pressed(self, *, within: float = 0.0) -> bool:
        self.presses -= 1
        return self.presses >= 0


class FakeKeys:
    """The key ``y``, as often as it is asked for."""

    def pressed(self) -> str:
        return "y"

    def forget(self) -> None:
        pass


def watcher(server: FakeServer, view: FakeView, *, presses: int = 0, keys: bool = False) -> Watcher:
    return Watcher(
        cast(Connection, server), view,  # cast: a connection is made with its server's address alone
        interrupts=cast(Interrupts, FakePresses(presses)),  # cast: a real one takes the process' signals
        keys=cast(Keys, FakeKeys()) if keys else None,  # cast: a real one takes a terminal
        come_back="alex watch task-1",
    )  # fmt: skip


def test_a_task_that_is_deleted_meanwhile_is_said_to_be_gone() -> None:
    view = FakeView()

    code = watcher(FakeServer([CREATED, STARTED], deleted=True), view).task("task-1")

    assert code is Exit.UNKNOWN
    assert view.said == ["The task is gone: it was deleted, or the server has other data now."]


def test_the_end_of_a_session_is_said_and_not_only_noted() -> None:
    view = FakeView()

    code = watcher(FakeServer([CREATED], deleted=True), view).session("session-1")

    assert (code, view.said) == (Exit.DONE, ["The session was deleted."])


def test_a_cancel_that_the_server_does_not_get_is_said_and_the_task_is_followed_on() -> None:
    server = FakeServer([CREATED, STARTED], [COMPLETED], fails=True)
    view = FakeView(lambda: server.goes_on.set() if server.told else None)

    code = watcher(server, view, presses=2).task("task-1")

    assert (code, server.told) == (Exit.DONE, ["cancel task-1"])
    assert any(said.startswith("It is not cancelled: No server at http://test") for said in view.said)


def test_a_word_that_the_server_does_not_get_leaves_the_question_open() -> None:
    server = FakeServer([CREATED, STARTED, ASKED], [COMPLETED], fails=True)
    view = FakeView(lambda: server.goes_on.set() if len(server.told) > 1 else None)

    code = watcher(server, view, keys=True).task("task-1")

    assert code is Exit.DONE
    assert server.told[:2] == ["approve task-1 c"] * 2, "it is asked again"
    assert view.said[0].startswith("No server at http://test")
