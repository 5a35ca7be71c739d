"""Providers of models that say what a test has them say, over the official SDK, without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeAlias

import httpx2

from alex_actors.models.openai_compatible import OpenAICompatible
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Price, Rates
from alex_actors.ports import Message, Model, ModelEvent, ModelReply, TextDelta, ToolSpec
from tests.unit.actor_fakes import OwnedClock

Json: TypeAlias = dict[str, Any]  # as the API has it

KEY = "sk-a-key-that-nobody-may-see"
SPEC = ModelSpec(name="a-model", base_url="http://models.test/v1", api_key=KEY)
ASKED = (Message(role="system", content="Be brief."), Message(role="user", content="Hello"))
CALCULATOR = ToolSpec(
    name="calculator",
    description="Does sums.",
    parameters={"type": "object", "properties": {"expression": {"type": "string"}}},
    repeatable=True,
)


def chunk(
    content: str | None = None, *, finish: str | None = None, calls: Sequence[Json] = (), **delta: object
) -> Json:
    """Return a chunk of an answer."""
    delta = {**delta, **({} if content is None else {"content": content})}
    if calls:
        delta["tool_calls"] = list(calls)
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


def usage(prompt: int, completion: int, **more: object) -> Json:
    """Return the last chunk, with the count of tokens."""
    total = prompt + completion
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}
    return {**chunk(), "choices": [], "usage": counted}


def piece(index: int | None, call_id: str | None, name: str | None, arguments: object) -> Json:
    """Return a piece of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    fields = (("index", index), ("id", call_id), ("function", function))
    return {"type": "function"} | {key: value for key, value in fields if value is not None}


def streamed(*chunks: Json, done: bool = True) -> httpx2.Response:
    """Return a reply with a stream of chunks."""
    lines = [f"data: {json.dumps(one)}\n\n" for one in chunks] + ["data: [DONE]\n\n"] * done
    return httpx2.Response(200, text="".join(lines), headers={"content-type": "text/event-stream"})


def refused(
    status: int, message: str, *, headers: dict[str, str] | None = None, **error: object
) -> httpx2.Response:
    """Return an error as OpenAI has it."""
    return httpx2.Response(status, json={"error": {"message": message, **error}}, headers=headers)


class BrokenStream(httpx2.AsyncByteStream):
    """A reply's body that ends with an error of the network, or never, and knows whether it was closed."""

    def __init__(self, chunks: Iterable[Json], error: Exception | None) -> None:
        self._chunks = chunks
        self._error = error
        self.waits = asyncio.Event()
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for one in self._chunks:
            yield f"data: {json.dumps(one)}\n\n".encode()
        self.waits.set()
        if self._error is None:
            await asyncio.Event().wait()
        else:
            raise self._error

    async def aclose(self) -> None:
        self.is_closed = True


def broken(stream: BrokenStream) -> httpx2.Response:
    """Return a reply with a body that has no good end."""
    return httpx2.Response(200, stream=stream, headers={"content-type": "text/event-stream"})


class Provider(httpx2.AsyncBaseTransport):
    """Answers one request after the other with what the test gives it, and keeps what it was asked."""

    def __init__(self, *replies: httpx2.Response | Exception) -> None:
        self._replies = list(replies)
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def bodies(self) -> list[Json]:
        """Return the bodies of all requests."""
        return [json.loads(request.content) for request in self.requests]


def model_at(
    provider: Provider, spec: ModelSpec = SPEC, *, prices: dict[str, Price] | None = None
) -> OpenAICompatible:
    """Return a model that is asked at a provider."""
    return OpenAICompatible(spec=spec, rates=Rates(spec, prices=prices), clock=OwnedClock(), transport=provider)


def heard(
    model: Model, messages: Sequence[Message] = ASKED, tools: Sequence[ToolSpec] = (CALCULATOR,)
) -> list[ModelEvent]:
    """Return all that a model says."""

    async def listen() -> list[ModelEvent]:
        return [event async for event in model.complete(messages, tools)]

    return asyncio.run(listen())


def reply_of(events: Sequence[ModelEvent]) -> ModelReply:
    """Return the reply, which has to be the last, and to have the joined deltas as its text."""
    reply = events[-1]
    assert isinstance(reply, ModelReply)
    joined = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert joined == reply.content
    return reply
