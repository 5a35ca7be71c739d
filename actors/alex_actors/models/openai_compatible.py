"""Models of OpenAI, of Azure, and of all servers that speak OpenAI's chat completions, by the official SDK."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import msgspec
import openai
from openai import AsyncAPIResponse, AsyncOpenAI, Omit

from alex_actors.models.chat_messages import Json
from alex_actors.models.chat_model import ChatModel
from alex_actors.models.event_stream import data_of, whole_of
from alex_actors.models.faults import CONNECT_SECONDS, Fault
from alex_actors.models.sdk_clients import SdkClients
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Rates
from alex_actors.ports import Clock

DRAIN_SECONDS = 0.1
"""For the end of a reply after its last event: if it is read, the connection can be kept. Mostly it is there."""

_OLD_LIMIT, _NEW_LIMIT = "max_tokens", "max_completion_tokens"
"""OpenAI's newer models take only the second; most compatible servers know only the first."""

_NOT_TAKEN = re.compile(r"unsupported|not supported|unrecognized|unknown|not permitted|extra|unexpected", re.I)
"""How servers say that they do not know a parameter."""


class OpenAICompatible(ChatModel):
    """A model that is asked by OpenAI's protocol. ``transport`` takes the network's place, for tests.

    It asks for the count of tokens. A server that refuses a request since it does not know that option, or the
    name of the limit of output tokens, is asked again at once without the one, or by the other name, and never
    again otherwise.
    """

    def __init__(
        self, *, spec: ModelSpec, rates: Rates, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__(spec=spec, rates=rates, clock=clock)
        self._clients = SdkClients(spec=spec, transport=transport)
        self._asks_usage = True
        is_new = spec.provider == "azure" or spec.is_providers_own
        self._limit = _NEW_LIMIT if is_new else _OLD_LIMIT

    async def chunks(self, messages: list[Json], tools: list[Json]) -> AsyncGenerator[object, None]:
        """Yield a completion's chunks. Raises Fault."""
        try:
            async with self._clients.one() as client, self._reply(client, messages, tools) as reply:
                yield {}  # it is connected: from now on the answer is waited for
                if "application/json" in reply.headers.get("content-type", ""):  # it does not stream
                    yield _whole(await whole_of(reply.iter_bytes()))
                    return
                events = data_of(reply.iter_bytes())
                async for data in events:
                    if data == b"[DONE]":
                        await _drain(events)
                        break
                    yield _chunk(data)
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise fault_of(error) from error
        except ValueError as error:  # of json, or of UTF-8: what came is no stream of JSON
            raise Fault("cut", f"it sent what is not JSON: {error}") from error
        except RecursionError as error:
            raise Fault("cut", "it sent what is nested too deep") from error

    async def aclose(self) -> None:
        """Close the connections. A call after this opens new ones."""
        await self._clients.aclose()

    @asynccontextmanager
    async def _reply(
        self, client: AsyncOpenAI, messages: list[Json], tools: list[Json]
    ) -> AsyncIterator[AsyncAPIResponse[object]]:
        """Make the request, and have the reply until its end."""
        reply = await self._open(client, messages, tools)
        try:
            yield reply
        finally:
            await reply.close()

    async def _open(
        self, client: AsyncOpenAI, messages: list[Json], tools: list[Json]
    ) -> AsyncAPIResponse[object]:
        tried: set[frozenset[str]] = set()
        while True:
            options = self._options(tools)
            tried.add(frozenset(options))
            try:
                reply = client.chat.completions.with_streaming_response.create(
                    model=self.spec.name, messages=cast("Any", messages), stream=True, **options
                )  # Any: TypedDicts of the SDK, which the functions that write them need not import
                return cast("AsyncAPIResponse[object]", await reply.__aenter__())  # closed by whoever reads it
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                self._adapt(error, options)
                if frozenset(self._options(tools)) in tried:
                    raise

    def _options(self, tools: list[Json]) -> dict[str, Any]:  # Any: of the SDK's own types
        options: dict[str, Any] = {}
        if tools:
            options["tools"] = tools
        if not self.spec.api_key:
            options["extra_headers"] = {"Authorization": Omit()}  # what the SDK wants to be told of a call without
        if self._asks_usage:
            options["stream_options"] = {"include_usage": True}
        if self.spec.max_output_tokens is not None:
            options[self._limit] = self.spec.max_output_tokens
        return options

    def _adapt(self, error: openai.APIStatusError, options: dict[str, Any]) -> None:  # Any: as above
        """Take back what a server does not know of a request, for this call and all that follow."""
        said = f"{error.param or ''} {_said(error)}"
        if "stream_options" in options and re.search("stream_options|include_usage", said):
            self._asks_usage = False
            return
        is_unknown = error.code == "unsupported_parameter" or _NOT_TAKEN.search(said) is not None
        for used, other in ((_OLD_LIMIT, _NEW_LIMIT), (_NEW_LIMIT, _OLD_LIMIT)):
            if used in options and used in said and is_unknown:
                self._limit = other


async def _drain(events: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(TimeoutError, Fault):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in events:
                pass


def _chunk(data: bytes) -> Json:
    """Return a chunk. Raises ValueError if it is none, and Fault if it is the provider's error."""
    try:
        chunk = msgspec.json.decode(data)
    except ValueError:  # it is stricter than some servers: half of a surrogate pair
        chunk = json.loads(data)
    if not isinstance(chunk, dict):
        raise ValueError(f"no chunk: {data[:100]!r}")  # noqa: TRY004 - what came is wrong, not what was passed
    error = chunk.get("error")
    if error:
        inner = error if isinstance(error, dict) else {"message": error}
        codes = tuple(str(inner[name]) for name in ("code", "type") if inner.get(name) is not None)
        raise Fault("status", str(inner.get("message") or "an error without a text"), codes=codes)
    return chunk


def _whole(body: bytes) -> Json:
    """Return a completion that came in one piece, as a chunk."""
    completion = _chunk(body)
    choices = completion.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            choice["delta"] = choice.get("message")
    return completion


def fault_of(error: Exception) -> Fault:
    """Return what an error of the SDK, or of its HTTP client, means."""
    match error:
        case openai.APITimeoutError() | httpx2.TimeoutException():
            cause = error if isinstance(error, httpx2.TimeoutException) else error.__cause__
            if isinstance(cause, httpx2.ConnectTimeout):
                return Fault("unreachable", f"no connection within {CONNECT_SECONDS:g} seconds")
            return Fault("timeout")
        case openai.APIConnectionError():
            return _connection_fault(error.__cause__)
        case httpx2.HTTPError():
            return _connection_fault(error)
        case openai.APIStatusError():
            return Fault(
                "status",
                _said(error),
                status=error.status_code,
                codes=_codes(error),
                headers=error.response.headers,
            )
        case _:
            return Fault("cut", str(error))


def _connection_fault(cause: BaseException | None) -> Fault:
    if isinstance(cause, httpx2.ConnectError | httpx2.UnsupportedProtocol | httpx2.ProxyError):
        return Fault("unreachable", str(cause))
    return Fault("cut", str(cause) if cause is not None else "")


def _said(error: openai.APIError) -> str:
    """Return the provider's own text, out of whatever it is packed in."""
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        said = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(said, str) and said:
            return said
    return error.message


def _codes(error: openai.APIError) -> tuple[str, ...]:
    return tuple(code for code in (error.code, error.type) if isinstance(code, str))
