"""Models of OpenAI, of Azure, and of all servers that speak OpenAI's chat completions, by the official SDK."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import httpx2
import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI, Omit

from alex_actors.models.chat_messages import Json
from alex_actors.models.chat_model import ChatModel
from alex_actors.models.faults import CONNECT_SECONDS, Fault
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Rates
from alex_actors.ports import Clock

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types.chat import ChatCompletionChunk

IDLE_CONNECTIONS = 1_000
"""That are kept for the next turns of tasks: a new one to a provider costs two or three round trips."""

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
        self._transport = transport
        self._client: AsyncOpenAI | None = None
        self._asks_usage = True
        is_new = spec.provider == "azure" or spec.is_providers_own
        self._limit = _NEW_LIMIT if is_new else _OLD_LIMIT

    async def chunks(self, messages: list[Json], tools: list[Json]) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Yield a completion's chunks. Raises Fault."""
        try:
            async with aclosing(await self._open(messages, tools)) as stream:
                async for chunk in stream:
                    yield chunk
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise fault_of(error) from error
        except ValueError as error:  # of json, or of UTF-8: what came is no stream of JSON
            raise Fault("cut", f"it sent what is not JSON: {error}") from error

    async def aclose(self) -> None:
        """Close the connections. A call after this opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _open(self, messages: list[Json], tools: list[Json]) -> AsyncStream[ChatCompletionChunk]:
        tried: set[frozenset[str]] = set()
        while True:
            options = self._options(tools)
            tried.add(frozenset(options))
            try:
                stream = await self._connected().chat.completions.create(
                    model=self.spec.name, messages=cast("Any", messages), stream=True, **options
                )  # Any: TypedDicts of the SDK, which the functions that write them need not import
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                self._adapt(error, options)
                if frozenset(self._options(tools)) in tried:
                    raise
            else:
                return cast("AsyncStream[ChatCompletionChunk]", stream)  # the overload is lost with **options

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

    def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            timeout = httpx2.Timeout(self.spec.timeout_seconds, connect=CONNECT_SECONDS, pool=None)
            self._client = _client(
                self.spec,
                max_retries=0,  # each retry is an event of the task: they are made elsewhere
                timeout=timeout,
                http_client=openai.DefaultAsyncHttpxClient(
                    # As many as there are tasks: these have a limit of their own.
                    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS),
                    timeout=timeout,
                    transport=self._transport,
                ),
            )
        return self._client


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
        case openai.APIError():  # in the middle of a stream: the response's own status was 200
            return Fault("status", _said(error), codes=_codes(error))
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


def _client(
    spec: ModelSpec,
    *,
    max_retries: int,
    timeout: httpx2.Timeout,
    http_client: httpx2.AsyncClient,
) -> AsyncOpenAI:
    # What the SDK would take from its own environment variables, and send to any server, is given or left out.
    nobody = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
    if spec.provider == "azure":
        return AsyncAzureOpenAI(
            azure_endpoint=spec.home,
            api_version=spec.api_version,
            api_key=spec.api_key,
            max_retries=max_retries,
            timeout=timeout,
            http_client=http_client,
            default_headers=cast("dict[str, str]", nobody),  # the SDK takes Omit there, and does not say so
        )
    return AsyncOpenAI(
        base_url=spec.home,
        api_key=spec.api_key or "none",
        max_retries=max_retries,
        timeout=timeout,
        http_client=http_client,
        default_headers=cast("dict[str, str]", nobody),  # as above
    )
