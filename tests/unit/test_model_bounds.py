"""Models that say too much, nothing, or what cannot be: a turn stays within bounds, and is answered or failed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator

import httpx2
import msgspec
import pytest

from alex_actors.executor import LARGEST_EVENT
from alex_actors.models.chat_messages import Json
from alex_actors.models.chat_model import ChatModel
from alex_actors.models.chat_stream import MOST_CALLS, MOST_WRITTEN, ChatTurn
from alex_actors.models.error_bodies import LARGEST_ERROR
from alex_actors.models.event_stream import LARGEST_PIECE, data_of
from alex_actors.models.faults import Fault, ModelFailure
from alex_actors.models.turn_text import LONG_NOTICE, LONGEST_TEXT
from alex_actors.models.unreadable import UNREADABLE
from alex_actors.models.usage import MOST_DOLLARS, MOST_TOKENS, Counted, Rates
from alex_actors.ports import ModelEvent, ModelReply, TextDelta
from tests.simulation.loop_driver import LoopDriver, now
from tests.unit.actor_fakes import OwnedClock
from tests.unit.model_fakes import ASKED, SPEC, Provider, chunk, heard, model_at, piece, reply_of, streamed, usage

STOP = chunk(finish="stop")


class Endless(httpx2.AsyncByteStream):
    """A body that goes on for as long as it is read."""

    def __init__(self, begin: bytes, more: bytes) -> None:
        self._begin = begin
        self._more = more
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begin
        while self.sent < 20 * LARGEST_PIECE:
            self.sent += len(self._more)
            yield self._more


def sent(stream: Endless, kind: str = "text/event-stream", status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, stream=stream, headers={"content-type": kind})


def failure(reply: httpx2.Response) -> str:
    with pytest.raises(ModelFailure) as raised:
        heard(model_at(Provider(reply)))
    return str(raised.value)


@pytest.mark.parametrize(
    ("begin", "more", "kind"),
    [
        (b"data: ", b"x" * 65_536, "text/event-stream"),
        (b"", b"data: x\n" * 9_000, "text/event-stream"),
        (b'{"choices":[{"message":{"content":"', b"x" * 65_536, "application/json"),
    ],
    ids=["a line", "lines of one event", "JSON in place of a stream"],
)
def test_what_has_no_end_is_a_failed_attempt_and_is_not_read_on(begin: bytes, more: bytes, kind: str) -> None:
    stream = Endless(begin, more)

    assert "it sent more than 4 MiB at once" in failure(sent(stream, kind))

    assert stream.sent < 2 * LARGEST_PIECE


def test_of_an_error_without_end_the_beginning_is_read() -> None:
    reply = sent(Endless(b"no, since ", b"x" * 65_536), status=400)

    assert "refuses the request (400)" in failure(reply)

    assert len(reply.content) == LARGEST_ERROR


def test_a_line_that_comes_in_many_pieces_is_not_looked_at_again_with_each() -> None:
    looked_at = 0

    class Counting(bytes):
        def __radd__(self, other: bytes) -> bytes:
            nonlocal looked_at
            looked_at += len(other)
            return other + bytes(self)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield Counting(b"x" * 100)

    async def read() -> list[bytes]:
        return [data async for data in data_of(pieces())]

    assert asyncio.run(read()) == []
    assert looked_at == 0


@pytest.mark.parametrize(
    "letter", ["x", "\x01", "ü", '"', "😀"], ids=["plain", "control", "wide", "quote", "emoji"]
)
def test_a_text_without_end_is_cut_so_that_its_event_is_not_too_large(letter: str) -> None:
    reply = reply_of(heard(model_at(Provider(streamed(*[chunk(letter * 60_000)] * 30, STOP)))))

    assert reply.content.endswith(LONG_NOTICE)
    size = len(msgspec.json.encode(reply.content))
    assert LONGEST_TEXT - 8 < size < LARGEST_EVENT * 4 / 5


def test_a_text_without_end_is_read_no_further_than_to_where_it_is_cut() -> None:
    stream = Endless(b"", f"data: {json.dumps(chunk('x' * 16_000))}\n\n".encode())

    assert reply_of(heard(model_at(Provider(sent(stream))))).content.endswith(LONG_NOTICE)
    assert stream.sent < 2 * LONGEST_TEXT


def test_arguments_without_end_are_cut_and_the_model_is_told() -> None:
    turn = ChatTurn()
    turn.add(chunk(calls=[piece(0, "a", "think", '{"thought": "')]))
    while not turn.is_full:
        turn.add(chunk(calls=[piece(0, None, None, "x" * 65_536)]))

    turn.end()

    assert turn.written < MOST_WRITTEN + 65_536 + 100
    (call,) = turn.calls()
    assert list(call.arguments) == [UNREADABLE]


def test_calls_and_thoughts_without_end_fill_a_turn() -> None:
    calling, thinking = ChatTurn(), ChatTurn()

    for number in range(MOST_CALLS + 1):
        calling.add(chunk(calls=[piece(number, None, None, None)]))
    while not thinking.is_full:
        thinking.add(chunk(reasoning="x" * 65_536))

    assert calling.is_full
    with pytest.raises(Fault):
        thinking.end()


def test_half_a_character_waits_for_the_other_half() -> None:
    reply = reply_of(heard(model_at(Provider(streamed(chunk("a\ud83d"), chunk("\ude00b\ud83d"), STOP)))))

    assert reply.content == "a😀b?"


def test_characters_of_arguments_that_are_split_are_put_together() -> None:
    calls = [
        chunk(calls=[piece(0, "a", "think", '{"t": "\ud83d')]),
        chunk(calls=[piece(0, None, None, '\ude00"}')]),
    ]

    reply = reply_of(heard(model_at(Provider(streamed(*calls, STOP)))))

    assert reply.tool_calls[0].arguments == {"t": "😀"}


def test_names_that_cannot_be_recorded_are_replaced() -> None:
    turn = ChatTurn()
    turn.add(chunk(calls=[piece(0, "\ud800", "\ud800x", "{}"), piece(1, "b" * 1000, "n" * 1000, "{}")]))

    first, second = turn.calls()

    assert (first.call_id, first.tool_name) == ("?", "?x")
    assert (second.call_id, len(second.tool_name)) == ("call-2", 128)


@pytest.mark.parametrize("reason", [["stop"], {"a": 1}, 5])
def test_a_finish_reason_that_is_none_is_a_failed_attempt(reason: object) -> None:
    last = chunk("x")
    last["choices"][0]["finish_reason"] = reason

    assert "broke off" in failure(streamed(last))


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":'
        + '{"a":' * 50_000
        + "1"
        + "}" * 50_000
        + "}}]}}]}",
    ],
    ids=["lists", "arguments"],
)
def test_what_is_nested_too_deep_is_a_failed_attempt(body: str) -> None:
    said = failure(httpx2.Response(200, text=f"data: {body}\n\n", headers={"content-type": "text/event-stream"}))

    assert "it sent what is nested too deep" in said


@pytest.mark.parametrize("count", [MOST_TOKENS + 1, 10**30])
def test_counts_that_cannot_be_are_not_counted(count: int) -> None:
    counted = reply_of(heard(model_at(Provider(streamed(chunk("4"), STOP, usage(count, 1, cost=1e300))))))

    assert counted.usage is not None
    assert counted.usage.estimated
    assert counted.usage.tokens < 1_000


def test_costs_that_cannot_be_are_not_known() -> None:
    counted = Counted.of({"prompt_tokens": 1, "completion_tokens": 1, "cost": MOST_DOLLARS * 2})

    assert counted is not None
    assert counted.cost is None


class TimedChat(ChatModel):
    """Sends a chunk each second of its event loop."""

    def __init__(self, *chunks: Json) -> None:
        super().__init__(spec=SPEC, rates=Rates(SPEC), clock=OwnedClock())
        self._chunks = chunks

    async def chunks(self, messages: list[Json], tools: list[Json]) -> AsyncGenerator[object, None]:
        for one in self._chunks:
            await asyncio.sleep(1.0)
            yield one

    async def aclose(self) -> None:
        pass


def silence(*chunks: Json) -> tuple[float, list[ModelEvent]]:
    """Return after how many seconds a model is given up, or has replied, and what it said."""

    async def listen() -> tuple[float, list[ModelEvent]]:
        said: list[ModelEvent] = []
        try:
            async for one in TimedChat(*chunks).complete(ASKED, ()):
                said.append(one)  # noqa: PERF401 - kept also if it fails
        except ModelFailure as error:
            assert "120 seconds" in error.what  # noqa: PT017 - it need not be raised
        return now(), said

    return LoopDriver().run(listen())


def test_chunks_that_bring_an_answer_no_further_are_silence() -> None:
    seconds, said = silence(chunk("Hm"), *[chunk()] * 1_000, STOP)

    assert seconds == pytest.approx(121)
    assert said == [TextDelta("Hm")]


def test_a_model_that_writes_what_nobody_is_shown_is_not_silent() -> None:
    seconds, said = silence(*[chunk(reasoning="hm")] * 1_000, chunk("4"), STOP)

    assert seconds == pytest.approx(1_002)
    assert isinstance(said[-1], ModelReply)


def test_a_model_whose_first_chunk_never_comes_is_given_time_to_be_reached() -> None:
    class Unreached(TimedChat):
        async def chunks(self, messages: list[Json], tools: list[Json]) -> AsyncGenerator[object, None]:
            await asyncio.Event().wait()
            yield {}

    async def ask() -> float:
        with pytest.raises(ModelFailure, match="did not answer within 120 seconds"):
            [one async for one in Unreached().complete(ASKED, ())]
        return now()

    assert LoopDriver().run(ask()) == pytest.approx(150)
