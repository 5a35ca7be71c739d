"""A model's text as it streams, on virtual time: in few pieces, none of them late, and without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise
from typing import TypeAlias

import pytest

from alex_actors.agents.deltas import SECONDS_BETWEEN, Pace, merged
from alex_actors.ports import AgentError, ModelReply, ModelTrouble, TextDelta
from alex_actors.redact import NO_SECRETS, Redactor
from tests.simulation.loop_driver import LoopDriver, now

Said: TypeAlias = str | float | ModelTrouble | Exception
"""What a model says: text, seconds of silence, or trouble."""


async def model(
    *script: Said, closed: list[float] | None = None
) -> AsyncGenerator[TextDelta | ModelTrouble, None]:
    try:
        for turn in script:
            if isinstance(turn, str):
                yield TextDelta(turn)
            elif isinstance(turn, float):
                await asyncio.sleep(turn)
            elif isinstance(turn, Exception):
                raise turn
            else:
                yield turn
    finally:
        if closed is not None:
            closed.append(now())


def told(*script: Said, redactor: Redactor = NO_SECRETS) -> list[tuple[float, str]]:
    """Return what is told of a script, each with the seconds at which it is; "!" for a trouble."""

    async def tell() -> list[tuple[float, str]]:
        async with aclosing(merged(model(*script), redactor=redactor)) as pieces:
            return [(now(), one.text if isinstance(one, TextDelta) else "!") async for one in pieces]

    return LoopDriver().run(tell())


def test_many_small_pieces_become_few_that_are_what_they_were_together() -> None:
    words = [f"word{number} " for number in range(500)]

    pieces = told(*(turn for word in words for turn in (0.001, word)))

    times = [at for at, _ in pieces[:-1]]
    assert "".join(text for _, text in pieces) == "".join(words)
    assert times[0] == pytest.approx(0.001)
    assert all(later - before >= SECONDS_BETWEEN - 1e-9 for before, later in pairwise(times))
    assert len(pieces) == 11


def test_a_piece_waits_for_its_turn_and_not_for_the_next_one() -> None:
    pieces = told("a ", 0.01, "b ", 0.01, "c ", 60.0, "d ")

    assert pieces == [(0.0, "a "), (0.05, "b c "), (pytest.approx(60.02), "d ")]


def test_the_rest_of_a_text_comes_before_what_is_no_text() -> None:
    async def tell() -> list[object]:
        async def source() -> AsyncGenerator[TextDelta | ModelReply, None]:
            yield TextDelta("a b")
            yield TextDelta(" c")
            yield ModelReply(content="a b c")

        async with aclosing(merged(source(), redactor=NO_SECRETS)) as pieces:
            return [one async for one in pieces]

    assert LoopDriver().run(tell()) == [TextDelta("a b c"), ModelReply(content="a b c")]


def test_what_waits_is_dropped_when_the_model_is_asked_again() -> None:
    pieces = told("a ", 0.01, "b ", ModelTrouble("busy"), 1.0, "a ", "x")

    assert [text for _, text in pieces] == ["a ", "!", "a x"]


def test_a_failure_comes_after_what_was_told() -> None:
    with pytest.raises(AgentError, match="broken"):
        told("a ", AgentError("broken"))


def test_a_secret_in_pieces_is_not_told_though_the_model_stalls_in_its_middle() -> None:
    redactor = Redactor(["correct horse battery"])

    pieces = told(
        "It is correct ",
        5.0,
        "horse ",
        5.0,
        "battery, sk-proj-0123",
        5.0,
        "456789abcdef.",
        5.0,
        " So.",
        redactor=redactor,
    )

    texts = [text for _, text in pieces]
    assert texts == ["It is ", "[redacted], ", "[redacted]. So."]


def test_questions_one_after_the_other_keep_the_pace_together() -> None:
    async def tell() -> list[float]:
        pace, times = Pace(), []
        for _ in range(3):
            async with aclosing(merged(model("a ", 0.08, "b "), redactor=NO_SECRETS, pace=pace)) as pieces:
                times += [now() async for _ in pieces]
        return times

    assert LoopDriver().run(tell()) == pytest.approx([0.0, 0.08, 0.13, 0.16, 0.21, 0.24])


def test_what_is_no_text_is_not_read_ahead_of_what_is_told() -> None:
    read: list[int] = []

    async def source() -> AsyncGenerator[TextDelta | int, None]:
        for number in range(3):
            read.append(number)
            yield number

    async def tell() -> list[list[int]]:
        seen = []
        async with aclosing(merged(source(), redactor=NO_SECRETS)) as pieces:
            async for _ in pieces:
                await asyncio.sleep(1)
                seen.append(list(read))
        return seen

    assert LoopDriver().run(tell()) == [[0], [0, 1], [0, 1, 2]]


@pytest.mark.parametrize("script", [(60.0,), ("a ", 60.0), ("a ", "b ", 60.0)])
def test_a_cancel_closes_the_model_at_once(script: tuple[Said, ...]) -> None:
    closed: list[float] = []

    async def tell() -> None:
        async with aclosing(merged(model(*script, closed=closed), redactor=NO_SECRETS)) as pieces:
            async for _ in pieces:
                pass

    async def cancel() -> int:
        telling = asyncio.create_task(tell())
        await asyncio.sleep(0.01)
        telling.cancel()
        turns = 0
        while not closed:
            await asyncio.sleep(0)
            turns += 1
        await asyncio.wait([telling])
        assert telling.cancelled()
        return turns

    assert LoopDriver().run(cancel()) <= 2
    assert closed == [0.01]


def test_a_reader_that_stops_closes_the_model() -> None:
    closed: list[float] = []

    async def tell() -> None:
        async with aclosing(merged(model("a ", 60.0, closed=closed), redactor=NO_SECRETS)) as pieces:
            async for _ in pieces:
                break

    LoopDriver().run(tell())

    assert closed == [0.0]


def test_a_piece_that_no_event_could_hold_is_told_in_several() -> None:
    pieces = told("a" * 131_073)

    assert [len(text) for _, text in pieces] == [65_536, 65_536, 1]
