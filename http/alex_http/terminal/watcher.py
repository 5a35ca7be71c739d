"""Following a task, or a session, until it ends or the person who watches leaves."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread
from typing import TypeAlias

from alex_http.client import AlexError, Event, EventStream, NothingWaits, TaskHasEnded
from alex_http.terminal.connection import Connection
from alex_http.terminal.exits import Exit, Failed, failure
from alex_http.terminal.interrupts import Interrupts, Keys
from alex_http.terminal.progress import Call, Progress, Tasks
from alex_http.terminal.views import View

TICK = 0.1
"""Seconds from one drawing to the next."""
SECOND_PRESS = 2.0
"""Seconds in which a second Ctrl-C cancels the task."""
AHEAD = 1000
"""Events that are read before they are shown: a long task is not in memory as a whole."""
EXITS = {"completed": Exit.DONE, "failed": Exit.FAILED, "cancelled": Exit.CANCELLED}


class _Away:
    """The server is not there; it is tried again."""


class _Back:
    """The server is there again."""


class _Over:
    """There are no more events: the task has ended, or the session was deleted."""


@dataclass(frozen=True)
class _Told:
    """The server was told something, or could not be."""

    then: Callable[[AlexError | None], None]
    error: AlexError | None


_News: TypeAlias = "Event | _Away | _Back | _Over | _Told | Exception"


class Watcher:
    """Shows events of a task, or of a session, in a view. ``keys``: None where nobody can answer questions."""

    def __init__(
        self, connection: Connection, view: View, *, interrupts: Interrupts, keys: Keys | None, come_back: str
    ) -> None:
        """``come_back`` is the command that watches it again."""
        self._connection = connection
        self._client = connection.client
        self._view = view
        self._interrupts = interrupts
        self._keys = keys
        self._come_back = come_back
        self._news: Queue[_News] = Queue(AHEAD)
        self._tasks = Tasks()
        self._asked: tuple[str, str] | None = None
        """The task and the call of the question that is shown: tasks of a session have calls of the same IDs."""
        self._last: Progress | None = None

    def task(self, task_id: str) -> Exit:
        """Follow a task until it has ended; return how."""
        return self._follow(self._client.events(task_id=task_id), cancels=task_id)

    def session(self, session_id: str) -> Exit:
        """Follow a session until it is deleted."""
        return self._follow(self._client.events(session_id=session_id), cancels=None)

    def _follow(self, stream: EventStream, *, cancels: str | None) -> Exit:
        connection, news = self._connection, self._news
        connection.away = lambda: news.put(_Away())
        connection.back = lambda: news.put(_Back())
        # It blocks on the network, and this thread on the terminal. It ends with the process if not before.
        Thread(target=self._read, args=(stream,), name="events", daemon=True).start()
        try:
            while not self._take():
                if self._interrupts.pressed() and self._leaves(cancels):
                    return Exit.DETACHED
                self._ask()
                self._view.tick(self._tasks, self._question())
        finally:
            self._view.close()
        if cancels is None:
            self._say("The session was deleted.")
            return Exit.DONE
        if self._last is None or not self._last.has_ended or stream.deleted:
            self._say("The task is gone: it was deleted, or the server has other data now.")
            return Exit.UNKNOWN
        return EXITS[self._last.status]

    def _say(self, text: str) -> None:
        """Say the last word, or what is to be read before something else is awaited."""
        self._view.notice(text)
        self._view.close()

    def _read(self, stream: EventStream) -> None:
        try:
            for event in stream:
                self._news.put(event)
            self._news.put(_Over())
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
            self._news.put(error)

    def _take(self) -> bool:
        """Show what has come, for a tick at most; return whether it is over."""
        try:
            news = self._news.get(timeout=TICK)
            for _ in range(AHEAD):
                if self._shown(news):
                    return True
                news = self._news.get_nowait()
        except Empty:
            pass
        return False

    def _shown(self, news: _News) -> bool:
        match news:
            case Event():
                self._show(news)
            case _Away():
                if not self._tasks.away:
                    self._view.notice("The server is away: trying again.")
                self._tasks.away = True
            case _Back():
                self._tasks.away = False
                self._view.notice("The server is there again.")
            case _Told():
                news.then(news.error)
            case _Over():
                return True
            case AlexError():
                failed = failure(news, self._connection.url)
                raise Failed(f"{failed.message} Come back: {self._come_back}", failed.code) from news
            case Exception():
                raise news
        return False

    def _show(self, event: Event) -> None:
        try:
            progress, call = self._tasks.take(event)
            self._last = progress
            self._view.event(event, progress, call)
        except (KeyError, TypeError, ValueError) as error:
            text = f"The event {event.event_id} ({event.event_type}) is not as this version of alex knows it."
            raise Failed(text, Exit.NO_SERVER) from error

    def _tell(self, word: Callable[[], object], then: Callable[[AlexError | None], None]) -> None:
        """Have ``word`` tell the server something. ``then`` gets what went wrong, or None, on this thread."""

        def tell() -> None:
            try:
                word()
            except AlexError as error:
                self._news.put(_Told(then, error))
            except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
                self._news.put(error)
            else:
                self._news.put(_Told(then, None))

        # A server may take its time to answer, and meanwhile things go on here.
        Thread(target=tell, name="word", daemon=True).start()

    # Leaving.

    def _leaves(self, cancels: str | None) -> bool:
        """Detach, after Ctrl-C; return False if it came twice, and the task is to be cancelled."""
        self._view.close()
        if any(call.saying is not None for one in self._tasks.by_id.values() for call in one.waiting):
            self._say("Your word is still on its way to the server: it may not arrive.")
        if cancels is None or self._tasks.cancelling:
            before = " before the task's end was told" if self._tasks.cancelling else ""
            self._say(f"Detached{before}. Come back: {self._come_back}")
            return True
        self._say(
            f"Detached: the task goes on. Ctrl-C again within {SECOND_PRESS:g} seconds cancels it.\n"
            f"Come back: {self._come_back}"
        )
        if not self._interrupts.pressed(within=SECOND_PRESS):
            return True
        self._view.notice("Cancelling.")
        self._tasks.cancelling = True
        self._tell(lambda: self._client.cancel(cancels), self._cancel_told)
        return False

    def _cancel_told(self, error: AlexError | None) -> None:
        if error is None or isinstance(error, TaskHasEnded):  # its end comes as an event
            return
        self._tasks.cancelling = False  # it is still followed, and may be left or cancelled
        self._say(f"It is not cancelled: {failure(error, self._connection.url).message}")

    # Questions.

    def _question(self) -> tuple[Progress, Call] | None:
        """Return the call that waits for this person's word, if they can give it."""
        if self._keys is None:
            return None
        for progress in self._tasks.by_id.values():
            for call in progress.waiting:
                return progress, call
        return None

    def _ask(self) -> None:
        """Ask about the call that waits, and take the key that answers."""
        question = self._question()
        if question is None or self._keys is None or question[1].saying is not None:
            return
        progress, call = question
        if self._asked != (progress.task_id, call.call_id):
            self._asked = progress.task_id, call.call_id
            self._keys.forget()
            return
        key = self._keys.pressed()
        if key not in ("y", "n"):
            return
        call.saying = key == "y"
        decide = self._client.approve if call.saying else self._client.deny
        self._tell(lambda: decide(progress.task_id, call.call_id), lambda error: self._word_told(call, error))

    def _word_told(self, call: Call, error: AlexError | None) -> None:
        call.saying = None
        if error is None:
            call.decided = True
        elif isinstance(error, NothingWaits):
            call.decided = True
            self._view.notice(error.detail)
        else:  # the server is away, say: the question stays, and what happens is followed
            self._asked = None
            self._view.notice(failure(error, self._connection.url).message)


def watch_command(*arguments: str) -> str:
    """Return a command of ours as it is typed."""
    return " ".join(["alex", *map(shlex.quote, arguments)])
