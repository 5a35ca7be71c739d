"""A model that is asked again when it fails, not at all while it is known not to work, and says so each time.

The waits grow exponentially, with jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
tenacity was looked at: its loop sleeps where an event has to be yielded first, takes the end of a generator for a
failed attempt, and reads the process's clock.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from alex_actors.events import Usage
from alex_actors.models.breaker import Breaker, Leave
from alex_actors.models.chat_model import ChatModel
from alex_actors.models.faults import ModelFailure
from alex_actors.models.usage import added
from alex_actors.ports import Message, ModelError, ModelEvent, ModelReply, ModelTrouble, ToolSpec

FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0
"""Seconds before the second attempt, and before any: doubled each time, less up to half of it by chance."""

LONGEST_RETRY_AFTER = 600.0
"""Seconds that a provider may ask to wait. One that asks for more ends the task, so that somebody sees it."""


class ResilientModel:
    """Asks ``model`` up to ``spec.attempts`` times.

    Of each attempt that fails, but for the last, there is a ModelTrouble before the wait. What such an attempt is
    estimated to have used up is in the usage of the reply, or the ``spent`` of the ModelError that comes in its
    place. ``random`` returns numbers from 0 to 1, ``sleep`` takes seconds.
    """

    def __init__(
        self,
        *,
        model: ChatModel,
        breaker: Breaker,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._model = model
        self._breaker = breaker
        self._sleep = sleep
        self._random = random

    @property
    def context_tokens(self) -> int | None:
        """Return how many tokens a conversation may have, with the reply; None: nobody knows."""
        return self._model.context_tokens

    @property
    def is_priced(self) -> bool:
        """Return whether it is known what the model costs."""
        return self._model.is_priced

    async def aclose(self) -> None:
        """Close the connections."""
        await self._model.aclose()

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield the model's next turn as it comes. Raises ModelFailure, and ContextOverflow."""
        attempts = self._model.spec.attempts
        spent: Usage | None = None
        for attempt in range(1, attempts + 1):
            leave = await self._breaker.admit()
            if not isinstance(leave, Leave):
                failure, wait = self._left_alone(leave), leave
            else:
                try:
                    async with aclosing(self._attempt(leave, messages, tools)) as said:
                        async for one in said:
                            yield _with(one, spent)
                except ModelFailure as error:
                    failure = error
                except ModelError as error:
                    error.spent = _both(error.spent, spent)
                    raise
                else:
                    return
                wait = self._wait(attempt, failure.after)
            failure.spent = spent = _both(failure.spent, spent)
            if not failure.again:
                raise failure
            count = f"{failure.what} (attempt {attempt} of {attempts})"
            if attempt == attempts:
                raise ModelFailure(f"{count}; it is not asked again", spent=spent) from failure
            if failure.after is not None and failure.after > LONGEST_RETRY_AFTER:
                asked = _told(failure.after)
                raise ModelFailure(f"{count}; it wants to be left alone for {asked}", spent=spent) from failure
            yield ModelTrouble(f"{count}; next try in {_told(wait)}.")
            await self._sleep(wait)

    async def _attempt(
        self, leave: Leave, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        """Ask once, and have the breaker know how that goes."""
        is_known = False
        try:
            async with aclosing(self._model.complete(messages, tools)) as said:
                async for one in said:
                    if isinstance(one, ModelReply):
                        self._breaker.worked(leave)
                        is_known = True
                    else:
                        self._breaker.answers(leave)
                    yield one
        except ModelError as error:
            if isinstance(error, ModelFailure) and error.is_down:
                self._breaker.failed(leave)
            else:  # a provider that refuses a request works
                self._breaker.worked(leave)
            is_known = True
            raise
        finally:
            if not is_known:
                self._breaker.gave_up(leave)

    def _wait(self, attempt: int, asked: float | None) -> float:
        longest = min(FIRST_WAIT * 2.0 ** (attempt - 1), LONGEST_WAIT)
        own = longest * (1 - self._random() / 2)
        # Of all who were told the same, not all come back at the same moment.
        return own if asked is None else max(own, asked * (1 + self._random() / 4))

    def _left_alone(self, wait: float) -> ModelFailure:
        spec = self._model.spec
        count = self._breaker.failures
        return ModelFailure(
            f"The model {spec.name} at {spec.place} is not asked, since {count} calls in a row failed",
            again=True,
            after=wait,
        )


def _with(event: ModelEvent, spent: Usage | None) -> ModelEvent:
    """Return an event, a reply with what the attempts before it took."""
    if spent is None or not isinstance(event, ModelReply) or event.usage is None:
        return event
    return msgspec.structs.replace(event, usage=added(event.usage, spent))


def _both(one: Usage | None, other: Usage | None) -> Usage | None:
    return other if one is None else added(one, other)


def _told(seconds: float) -> str:
    """Return a time for people."""
    if seconds >= 120:
        return f"{seconds / 60:.0f} minutes"
    number = f"{seconds:.0f}" if seconds >= 9.95 else f"{seconds:.1f}".removesuffix(".0")
    return f"{number} second{'' if number == '1' else 's'}"
