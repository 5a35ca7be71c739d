"""Models that are asked by Anthropic's and by Google's own protocol, at a server that says what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from alex_actors.events import Usage
from alex_actors.models.any_llm_model import AnyLLMModel
from alex_actors.models.faults import ModelFailure
from alex_actors.models.spec import ModelSpec, Provider
from alex_actors.models.usage import Rates
from alex_actors.ports import (
    AgentError,
    ContextOverflow,
    Message,
    ModelEvent,
    ModelReply,
    TextDelta,
    ToolCall,
    ToolSpec,
)
from tests.unit.actor_fakes import OwnedClock
from tests.unit.model_fakes import ASKED, CALCULATOR, KEY

CALL = ToolCall("call-1", "calculator", {"expression": "1 + 1"})
TALK = (
    *ASKED,
    Message(role="assistant", content="Let me see.", tool_calls=(CALL,)),
    Message(role="tool", content="2", call_id="call-1"),
)


class Server:
    """Answers each request with the next reply, and keeps the requests and when their connections were closed."""

    def __init__(self, replies: Sequence[bytes | None]) -> None:
        self._replies = list(replies)
        self.requests: list[tuple[str, dict[str, Any]]] = []  # Any: JSON, as each API has it
        self.came = asyncio.Event()
        self.left = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.partition(":")[2]) for line in head.splitlines() if line.lower().startswith("content-length")
        )
        self.requests.append((head, json.loads(await reader.readexactly(length))))
        self.came.set()
        reply = self._replies.pop(0)
        if reply is None:
            await reader.read()
            self.left.set()
        else:
            writer.write(reply)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(*replies: bytes | None) -> AsyncGenerator[tuple[Server, str], None]:
    """Serve on a free port."""
    there = Server(replies)
    listener = await asyncio.start_server(there.answer, "127.0.0.1", 0)
    try:
        yield there, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


def http(status: str, body: str, *headers: str, kind: str = "application/json") -> bytes:
    lines = (f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close")
    return "\r\n".join((*lines, *headers, "", body)).encode()


def sse(*events: dict[str, Any]) -> bytes:  # Any: JSON, as each API has it
    """Return a stream of events, named as Anthropic does."""
    named = (f"event: {event['type']}\n" if "type" in event else "" for event in events)
    body = "".join(f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(named, events, strict=True))
    return http("200 OK", body, kind="text/event-stream")


def anthropic(*blocks: dict[str, Any], stop: str = "end_turn") -> bytes:  # Any: as above
    """Return an answer of Anthropic's: of each block, its start and its only delta."""
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
    counted = {
        "input_tokens": 20,
        "output_tokens": 1,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 0,
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**message, "usage": counted}}]
    for index, block in enumerate(blocks):
        events += [
            {"type": "content_block_start", "index": index, "content_block": block["start"]},
            {"type": "content_block_delta", "index": index, "delta": block["delta"]},
            {"type": "content_block_stop", "index": index},
        ]
    end = {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 9}}
    return sse(*events, {"type": "message_delta", **end}, {"type": "message_stop"})


def says(text: str) -> dict[str, Any]:  # Any: as above
    return {"start": {"type": "text", "text": ""}, "delta": {"type": "text_delta", "text": text}}


def wants(call_id: str, arguments: str) -> dict[str, Any]:  # Any: as above
    start = {"type": "tool_use", "id": call_id, "name": "calculator", "input": {}}
    return {"start": start, "delta": {"type": "input_json_delta", "partial_json": arguments}}


def google(*parts: dict[str, Any], finish: str = "STOP") -> bytes:  # Any: as above
    """Return an answer of Google's: a chunk for each part."""
    counted = {"promptTokenCount": 20, "candidatesTokenCount": 9, "cachedContentTokenCount": 5}
    chunks = [{"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}]} for part in parts]
    end = {
        "candidates": [{"content": {"parts": []}, "finishReason": finish, "index": 0}],
        "usageMetadata": counted,
    }
    return sse(*chunks, end)


def model_at(url: str, provider: Provider) -> AnyLLMModel:
    spec = ModelSpec(name="m", provider=provider, base_url=url, api_key=KEY, timeout_seconds=30)
    return AnyLLMModel(spec=spec, rates=Rates(spec), clock=OwnedClock())


async def said_by(
    model: AnyLLMModel, messages: Sequence[Message] = ASKED, tools: Sequence[ToolSpec] = (CALCULATOR,)
) -> list[ModelEvent]:
    try:
        return [event async for event in model.complete(messages, tools)]
    finally:
        await model.aclose()


def heard(
    provider: Provider, reply: bytes, messages: Sequence[Message] = ASKED
) -> tuple[list[ModelEvent], Server]:
    """Return what a model says when its provider replies so, and the provider."""

    async def scenario() -> tuple[list[ModelEvent], Server]:
        async with serving(reply) as (server, url):
            return await said_by(model_at(url, provider), messages), server

    return asyncio.run(scenario())


def failure(provider: Provider, reply: bytes) -> AgentError:
    with pytest.raises(AgentError) as raised:
        heard(provider, reply)
    return raised.value


def test_anthropics_text_and_calls_come_as_they_stream() -> None:
    reply = anthropic(
        says("Let me see."), wants("a", '{"expression": "1"}'), wants("b", '{"expression": "2"}'), stop="tool_use"
    )

    events, server = heard("anthropic", reply, TALK)

    assert events == [
        TextDelta("Let me see."),
        ModelReply(
            content="Let me see.",
            tool_calls=(
                ToolCall("a", "calculator", {"expression": "1"}),
                ToolCall("b", "calculator", {"expression": "2"}),
            ),
            usage=Usage(input_tokens=25, output_tokens=9),
        ),
    ]
    ((head, body),) = server.requests
    assert head.startswith("POST /v1/messages ")
    assert f"x-api-key: {KEY}" in head.lower()
    assert body["system"] == "Be brief."
    assert body["max_tokens"] == 8192
    assert body["tools"][0]["input_schema"]["properties"] == CALCULATOR.parameters["properties"]
    assert body["messages"][1]["content"][1]["input"] == {"expression": "1 + 1"}
    assert body["messages"][2]["content"][0]["tool_use_id"] == "call-1"


def test_googles_text_and_calls_come_as_they_stream() -> None:
    calls = [{"functionCall": {"name": "calculator", "args": {"expression": text}}} for text in ("1", "2")]

    events, server = heard("gemini", google({"text": "Let me "}, {"text": "see."}, *calls), TALK)

    assert events[:2] == [TextDelta("Let me "), TextDelta("see.")]
    reply = events[2]
    assert isinstance(reply, ModelReply)
    assert [(call.tool_name, call.arguments) for call in reply.tool_calls] == [
        ("calculator", {"expression": "1"}),
        ("calculator", {"expression": "2"}),
    ]
    assert reply.usage == Usage(input_tokens=20, output_tokens=9)
    ((head, body),) = server.requests
    assert head.startswith("POST /v1beta/models/m:streamGenerateContent?alt=sse ")
    assert f"x-goog-api-key: {KEY}" in head.lower()
    assert "x-server-timeout: 600" in head.lower()
    assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert body["contents"][1]["parts"][1]["functionCall"]["args"] == {"expression": "1 + 1"}


def test_anthropics_refusal_is_an_error() -> None:
    error = failure("anthropic", anthropic(says("Well, "), stop="refusal"))

    assert "refused to answer: Response blocked by Anthropic content filtering." in str(error)


def test_an_answer_of_anthropics_without_an_end_is_cut() -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}

    error = failure("anthropic", sse(start))

    assert isinstance(error, ModelFailure)
    assert error.again


@pytest.mark.parametrize(
    ("provider", "status", "body", "again", "what"),
    [
        (
            "anthropic",
            "401 Unauthorized",
            ("authentication_error", "bad"),
            False,
            "(401): bad: check model.api_key.",
        ),
        ("anthropic", "404 Not Found", ("not_found_error", "m?"), False, "(404): m?: check model.name"),
        (
            "anthropic",
            "529 Overloaded",
            ("overloaded_error", "Overloaded"),
            True,
            "has trouble (529): Overloaded.",
        ),
        ("gemini", "400 Bad Request", ("INVALID_ARGUMENT", "no such field"), False, "(400): no such field."),
        ("gemini", "403 Forbidden", ("PERMISSION_DENIED", "not you"), False, "(403): not you: check what"),
        ("gemini", "503 Unavailable", ("UNAVAILABLE", "overloaded"), True, "has trouble (503): overloaded."),
    ],
)
def test_their_errors_mean_what_openais_do(
    provider: Provider, status: str, body: tuple[str, str], again: bool, what: str
) -> None:
    kind, text = body
    code = int(status.split()[0])
    error = {"type": kind, "status": kind, "code": code, "message": text}

    raised = failure(provider, http(status, json.dumps({"type": "error", "error": error})))

    assert what in str(raised)
    assert isinstance(raised, ModelFailure)
    assert raised.again == again


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_their_redirects_are_not_followed_and_say_where_to_look(provider: Provider) -> None:
    async def scenario() -> list[tuple[str, dict[str, Any]]]:  # Any: JSON, as each API has it
        async with serving(http("400 Bad Request", "{}")) as (elsewhere, other):
            async with serving(http("307 Temporary Redirect", "", f"location: {other}/v1")) as (_, url):
                with pytest.raises(ModelFailure, match=r"a redirect \(307\) to http.*Check model\.base_url\."):
                    await said_by(model_at(url, provider))
            return elsewhere.requests

    assert asyncio.run(scenario()) == []


def test_googles_environment_does_not_say_whom_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")

    _, server = heard("gemini", google({"text": "4"}))

    assert f"x-goog-api-key: {KEY}" in server.requests[0][0].lower()
    assert server.requests[0][0].startswith("POST /v1beta/models/m:")


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_they_say_how_long_to_wait(provider: Provider) -> None:
    body = json.dumps({"type": "error", "error": {"type": "rate_limit_error", "code": 429, "message": "slowly"}})

    error = failure(provider, http("429 Too Many Requests", body, "retry-after: 7"))

    assert isinstance(error, ModelFailure)
    assert error.after == 7.0


def test_anthropic_may_be_overloaded_in_the_middle_of_an_answer() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    raised = failure("anthropic", sse(error))

    assert "has trouble (529): Overloaded." in str(raised)


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        ("anthropic", "prompt is too long: 213462 tokens > 200000 maximum"),
        ("gemini", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    ],
)
def test_a_conversation_that_is_too_long_for_them_is_recognised(provider: Provider, text: str) -> None:
    error = {"type": "invalid_request_error", "code": 400, "message": text}

    raised = failure(provider, http("400 Bad Request", json.dumps({"type": "error", "error": error})))

    assert isinstance(raised, ContextOverflow)


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_server_of_theirs_that_is_not_there_is_unreachable(provider: Provider) -> None:
    async def scenario() -> None:
        async with serving() as (_, url):
            pass
        await said_by(model_at(url, provider))

    with pytest.raises(ModelFailure, match="cannot be reached") as raised:
        asyncio.run(scenario())

    assert raised.value.again


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_cancel_before_the_first_token_closes_the_connection_to_them(provider: Provider) -> None:
    async def scenario() -> None:
        async with serving(None) as (server, url):
            waiting = asyncio.ensure_future(said_by(model_at(url, provider)))
            await server.came.wait()
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await asyncio.wait_for(server.left.wait(), 20)

    asyncio.run(scenario())
