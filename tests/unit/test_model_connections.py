"""How streams are read from bytes, and how many clients share the calls of a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from openai._streaming import SSEDecoder  # private, and the one to be like

from alex_actors.models.event_stream import data_of
from alex_actors.models.sdk_clients import CALLS_A_CLIENT, SdkClients
from tests.unit.model_fakes import SPEC, Provider

STREAM = (
    ": hello\n\nevent: x\ndata: {}\n\ndata:a\u2028b\r\n\r\ndata: 1\ndata: 2\nid: 7\n\n\n\ndata: [DONE]"
).encode()
EVENTS = [b"{}", "a\u2028b".encode(), b"1\n2", b"[DONE]"]


def events_of(*pieces: bytes) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def read() -> list[bytes]:
        return [data async for data in data_of(stream())]

    return asyncio.run(read())


@given(st.sets(st.integers(0, len(STREAM))))
def test_events_are_read_wherever_their_bytes_are_cut(cuts: set[int]) -> None:
    ends = [*sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    assert events_of(*pieces) == EVENTS


LINES = st.sampled_from(
    ["data: a", "data:b", "data:  c", "data: \u2028\u00e9", "event: x", "id: 1", ": d", "other", ""]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(st.lists(LINES), ENDS, st.lists(st.integers(1, 9)))
def test_events_are_those_that_the_sdk_reads(lines: list[str], end: str, lengths: list[int]) -> None:
    body = "".join(line + end for line in [*lines, "", ""]).encode()
    pieces = []
    for length in lengths:
        pieces.append(body[:length])
        body = body[length:]
    pieces.append(body)

    official = [event.data.encode() for event in SSEDecoder().iter_bytes(iter(pieces)) if event.data]

    assert events_of(*pieces) == official


@pytest.mark.parametrize("body", [b"", b"\n\n", b": only a comment\n\n", b"event: x\n\n", b"retry: 3\n"])
def test_a_stream_without_data_has_no_events(body: bytes) -> None:
    assert events_of(body) == []


def test_a_hundred_calls_share_a_client_and_those_beyond_have_another_while_they_last() -> None:
    async def scenario() -> list[AsyncOpenAI]:
        clients = SdkClients(spec=SPEC, transport=Provider())
        async with AsyncExitStack() as calls:
            taken = [await calls.enter_async_context(clients.one()) for _ in range(CALLS_A_CLIENT + 1)]
        async with clients.one() as again:
            assert again is taken[0]
            assert not again.is_closed()
        await clients.aclose()
        return taken

    first, *_, last = asyncio.run(scenario())

    assert last is not first
    assert last.is_closed()
    assert first.is_closed()
