"""A model's text as it streams: merged into few pieces, and without secrets, also those split over two pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Generic, TypeVar

from alex_actors.ports import ModelTrouble, TextDelta
from alex_actors.redact import Redactor
from alex_actors.redact_streams import RedactedStream
from alex_actors.text import encodable
from alex_actors.tools.tool import to_its_end

T = TypeVar("T")

SECONDS_BETWEEN: Final = 0.05
"""From one piece to the next: 20 a second are as smooth as a reader can see, and few enough to record."""

LONGEST_PIECE: Final = 65_536
"""Characters of a piece: a longer one is told in several, so that each fits into an event."""


class Pace:
    """When a task's next piece of text may be told, in the time of its event loop."""

    def __init__(self) -> None:
        self.due = 0.0


async def merged(
    source: AsyncGenerator[TextDelta | T, None], *, redactor: Redactor, pace: Pace | None = None
) -> AsyncGenerator[TextDelta | T, None]:
    """Yield what ``source`` does, its text in pieces that are at least SECONDS_BETWEEN apart, without secrets.

    The first piece comes at once, and none waits longer than that, though the source stalls; but for the end of
    it that may be the beginning of a secret: see RedactedStream. Before anything that is no text comes the rest of
    the text before it; a ModelTrouble drops that. Joined, the pieces are ``redactor.text`` of what they were.
    Raises what the source raises. Closing it, or cancelling what waits for it, closes the source at once; it
    ends when the source has. With one ``pace`` several of them, one after the other, keep the pace together.
    """
    inbox: _Inbox[T] = _Inbox(Pace() if pace is None else pace)
    text = RedactedStream(redactor)
    reading = asyncio.create_task(_read(source, inbox))
    try:
        while True:
            said, others = await inbox.take()
            piece = text.add(encodable(said)) if said else ""
            if isinstance(others, ModelTrouble):
                text, piece = RedactedStream(redactor), ""
            elif others is not None:
                piece += text.rest()
                text = RedactedStream(redactor)
            for begin in range(0, len(piece), LONGEST_PIECE):
                inbox.note_told()
                yield TextDelta(piece[begin : begin + LONGEST_PIECE])
            if isinstance(others, _End):
                if others.error is not None:
                    raise others.error
                return
            if others is not None:
                yield others
                inbox.go_on()
    finally:
        reading.cancel()
        await to_its_end(reading)


class _End:
    """The source is at its end, or raised."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Inbox(Generic[T]):
    """What was read and not told: text, and after it maybe one thing that is none. One reads, one tells."""

    def __init__(self, pace: Pace) -> None:
        self._loop = asyncio.get_running_loop()
        self._pace = pace
        self._text: list[str] = []
        self._other: T | _End | None = None
        self._ready = asyncio.Event()
        self._told = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def add_text(self, text: str) -> None:
        """Add a piece, which is due when the pace allows it."""
        self._text.append(text)
        if self._timer is None and not self._ready.is_set():
            wait = self._pace.due - self._loop.time()
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._ready.set)
            else:
                self._ready.set()

    def add(self, other: T | _End) -> None:
        """Add what is no text: due at once."""
        self._other = other
        self._told.clear()
        self._ready.set()

    async def until_told(self) -> None:
        """Wait for ``go_on``: nothing is read ahead of what is not told, since an agent stops at checkpoints."""
        await self._told.wait()

    def go_on(self) -> None:
        """Have the next be read."""
        self._told.set()

    def note_told(self) -> None:
        """Note that a piece of text is told now."""
        self._pace.due = self._loop.time() + SECONDS_BETWEEN

    async def take(self) -> tuple[str, T | _End | None]:
        """Wait for what is due, and return it."""
        await self._ready.wait()
        self._ready.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        text, self._text = "".join(self._text), []
        other, self._other = self._other, None
        return text, other


async def _read(source: AsyncGenerator[TextDelta | T, None], inbox: _Inbox[T]) -> None:
    """Read a source to its end. What it raises, SystemExit included, is for who takes: a task lets that out."""
    try:
        async with aclosing(source):
            async for item in source:
                if isinstance(item, TextDelta):
                    inbox.add_text(item.text)
                else:
                    inbox.add(item)
                    await inbox.until_told()
    except BaseException as error:  # noqa: BLE001 - see above
        inbox.add(_End(error))
    else:
        inbox.add(_End(None))
