"""Following a task when something goes wrong meanwhile: the task is deleted, the server is away."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from threading import Event as Flag
from typing import Any, cast

import msgspec
import pytest

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
ITERATION = event(4, "iteration_start", iteration=1, total_iters=50)
COMPLETED = event(
    9, "task_completed", status="completed", final_answer="y", stop_reason="final_answer",
    termination_reason="completed", total_iterations=1, total_tokens=2, duration=3.0,
)  # fmt: skip


class FakeServer:
    """A client and its stream: events, the last ones when ``goes_on`` is set; ``fails`` to be told anything.

    One that ``hangs`` answers what it is told when ``answers`` is set.
    """

    def __init__(
        self, now: Sequence[Event], later: Sequence[Event] = (), *, deleted: bool = False, fails: bool = False,
        hangs: bool = False,
    ) -> None:  # fmt: skip
        self.url = "http://test"
        self.client = self
        self.goes_on = Flag()
        self.answers = Flag()
        if not hangs:
            self.answers.set()
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
        assert self.answers.wait(SOON)
        if self._fails:
            error: AlexError = AWAY
            raise error


class FakeView:
    """Keeps what is said. ``after_tick`` is called with each picture of how things are."""

    def __init__(self, after_tick: Callable[[], None] = lambda: None) -> None:
        self.said: list[str] = []
        self.open: list[str] = []
        self.events: list[str] = []
        self.pictures: list[tuple[bool, bool | None]] = []
        """For each tick whether the task is being cancelled, and which word is on its way."""
        self._after_tick = after_tick

    def event(self, event: Event, progress: Progress, call: Call | None) -> None:
        self.events.append(event.event_type)

    def notice(self, text: str) -> None:
        self.open.append(text)

    def tick(self, tasks: Tasks, asking: tuple[Progress, Call] | None) -> None:
        self.close()
        self.pictures.append((tasks.cancelling, asking[1].saying if asking else None))
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


class PressesLater(FakePresses):
    """Ctrl-C once, when ``when`` says so."""

    def __init__(self, when: Callable[[], bool]) -> None:
        super().__init__(1)
        self._when = when

    def pressed(self, *, within: float = 0.0) -> bool:
        return self._when() and super().pressed()


class FakeKeys:
    """The key ``y``, as often as it is asked for."""

    def pressed(self) -> str:
        return "y"

    def forget(self) -> None:
        pass


class KeyTwice(FakeKeys):
    """Has ``y`` twice once the first question is there; what is forgotten is gone."""

    def __init__(self) -> None:
        self.questions = 0
        self._typed: list[str] = []

    def pressed(self) -> str:
        return self._typed.pop() if self._typed else ""

    def forget(self) -> None:
        self.questions += 1
        self._typed = ["y", "y"] if self.questions == 1 else []


def watcher(
    server: FakeServer, view: FakeView, *, presses: FakePresses | None = None, keys: FakeKeys | None = None
) -> Watcher:
    return Watcher(
        cast(Connection, server), view,  # cast: a connection is made with its server's address alone
        interrupts=cast(Interrupts, presses or FakePresses()),  # cast: a real one takes the process' signals
        keys=cast(Keys, keys) if keys else None,  # cast: a real one takes a terminal
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

    code = watcher(server, view, presses=FakePresses(2)).task("task-1")

    assert (code, server.told) == (Exit.DONE, ["cancel task-1"])
    assert any(said.startswith("It is not cancelled: No server at http://test") for said in view.said)


def test_a_word_that_the_server_does_not_get_leaves_the_question_open() -> None:
    server = FakeServer([CREATED, STARTED, ASKED], [COMPLETED], fails=True)
    view = FakeView(lambda: server.goes_on.set() if len(server.told) > 1 else None)

    code = watcher(server, view, keys=FakeKeys()).task("task-1")

    assert code is Exit.DONE
    assert server.told[:2] == ["approve task-1 c"] * 2, "it is asked again"
    assert view.said[0].startswith("No server at http://test")


def test_while_a_word_is_on_its_way_the_drawing_goes_on_and_shows_it() -> None:
    server = FakeServer([CREATED, STARTED, ASKED], [ITERATION, COMPLETED], hangs=True)

    def wait_for_drawings() -> None:
        if view.pictures.count((False, True)) > 2:
            server.goes_on.set()

    view = FakeView(wait_for_drawings)
    code = watcher(server, view, keys=FakeKeys()).task("task-1")
    server.answers.set()

    assert (code, server.told) == (Exit.DONE, ["approve task-1 c"]), "it is told once, however long that takes"
    assert view.events[-2:] == ["iteration_start", "task_completed"], "what happens meanwhile is shown"


def test_ctrl_c_leaves_while_a_word_is_on_its_way_and_says_that_it_may_not_arrive() -> None:
    server = FakeServer([CREATED, STARTED, ASKED], [COMPLETED], hangs=True)
    view = FakeView()
    presses = PressesLater(lambda: bool(server.told))

    code = watcher(server, view, presses=presses, keys=FakeKeys()).task("task-1")
    server.answers.set()
    server.goes_on.set()

    assert code is Exit.DETACHED
    assert view.said[0] == "Your word is still on its way to the server: it may not arrive."
    assert "Come back: alex watch task-1" in view.said[1]


def test_a_key_typed_twice_does_not_answer_the_question_of_another_task_whose_call_has_the_same_id() -> None:
    others = [msgspec.structs.replace(each, task_id="task-2") for each in (CREATED, STARTED, ASKED)]
    server = FakeServer([CREATED, STARTED, ASKED, *others], [COMPLETED], deleted=True)
    keys = KeyTwice()
    view = FakeView(lambda: server.goes_on.set() if keys.questions > 1 or len(server.told) > 1 else None)

    watcher(server, view, keys=keys).session("session-1")

    assert server.told == ["approve task-1 c"]


def test_while_a_cancel_is_on_its_way_the_drawing_goes_on_and_ctrl_c_leaves() -> None:
    server = FakeServer([CREATED, STARTED], [COMPLETED], hangs=True)
    view = FakeView()

    class TwoAndOneLater(FakePresses):
        def pressed(self, *, within: float = 0.0) -> bool:
            return super().pressed() if self.presses > 1 else len(view.pictures) > 3

    code = watcher(server, view, presses=TwoAndOneLater(3)).task("task-1")
    server.answers.set()
    server.goes_on.set()

    assert (code, server.told) == (Exit.DETACHED, ["cancel task-1"])
    assert view.pictures[-1] == (True, None)
    assert view.said[-1] == "Detached before the task's end was told. Come back: alex watch task-1"


def test_ctrl_c_is_kept_until_it_is_taken_and_a_third_that_is_not_ends_the_process() -> None:
    interrupts = Interrupts()

    with interrupts.taken():
        for _ in range(5):
            signal.raise_signal(signal.SIGINT)
            assert interrupts.pressed()
        assert not interrupts.pressed()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
