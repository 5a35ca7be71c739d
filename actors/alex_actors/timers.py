"""Messages that are sent later, by one thread."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

import pykka

from alex_actors.messages import Tell, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from alex_actors.ports import Clock

A = TypeVar("A", bound=pykka.Actor)

FOREVER = float("inf")

MOST_INCOMING = 1_024
"""New messages that may wait until the thread next wakes: sorting as many in takes it about 1 ms."""


class PendingMessage:
    """A message that is on its way."""

    __slots__ = ("_send", "due", "order")

    def __init__(self, due: float, order: int, send: Callable[[], None]) -> None:
        self.due = due
        self.order = order
        self._send: Callable[[], None] | None = send

    def __lt__(self, other: PendingMessage) -> bool:
        """Order by when they are due, then by when they were set."""
        return (self.due, self.order) < (other.due, other.order)

    @property
    def cancelled(self) -> bool:
        """Whether nothing will be sent any more."""
        return self._send is None

    def cancel(self) -> None:
        """Do not send it. What it would have sent is freed at once."""
        self._send = None

    def fire(self) -> None:
        """Send it, unless it was cancelled."""
        send, self._send = self._send, None
        if send is not None:
            send()


class ThreadTimers:
    """Keeps what is due in a heap that only its own thread touches.

    A new message is appended to a deque; the thread is woken only if the message is due before all others
    (waking costs a thread switch, and most timers are set to be cancelled), or if many have come in.
    """

    def __init__(self, *, clock: Clock, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._log = log
        self._order = itertools.count()
        self._incoming: deque[PendingMessage] = deque()
        self._heap: list[PendingMessage] = []
        self._swept = 0  # the heap's length after cancelled messages were last removed
        self._next_due = -FOREVER  # while the thread is awake nobody needs to wake it
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
        self._thread.start()

    def after(self, seconds: float, to: pykka.ActorRef[A], message: Tell[A]) -> PendingMessage:
        """Tell ``message`` to an actor in ``seconds``."""
        due = self._clock.monotonic() + seconds
        pending = PendingMessage(due, next(self._order), lambda: tell(to, message))
        self._incoming.append(pending)
        if due < self._next_due or len(self._incoming) > MOST_INCOMING:
            self._wake.put(None)
        return pending

    def stop(self, *, timeout: float) -> None:
        """Send nothing any more. ``timeout`` in seconds."""
        self._stopping = True
        self._wake.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping:
            self._next_due = -FOREVER
            self._take_incoming()
            self._send_due()
            self._next_due = self._heap[0].due if self._heap else FOREVER
            if self._incoming:  # came in before _next_due was set, and woke nobody
                continue
            self._sleep()

    def _take_incoming(self) -> None:
        while self._incoming:
            pending = self._incoming.popleft()
            if not pending.cancelled:
                heapq.heappush(self._heap, pending)
        if len(self._heap) > 2 * self._swept + 64:
            # What was cancelled must not stay until it would have been due: that may be days.
            self._heap = [pending for pending in self._heap if not pending.cancelled]
            heapq.heapify(self._heap)
            self._swept = len(self._heap)

    def _send_due(self) -> None:
        now = self._clock.monotonic()
        while self._heap and self._heap[0].due <= now:
            try:
                heapq.heappop(self._heap).fire()
            except Exception as error:  # noqa: BLE001 - one message must not stop all others
                self._log.error("timers.failed", exc_info=error)
        self._swept = min(self._swept, len(self._heap))

    def _sleep(self) -> None:
        """Wait until something is due or comes in."""
        wait = None if self._next_due == FOREVER else max(0.0, self._next_due - self._clock.monotonic())
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=wait)
