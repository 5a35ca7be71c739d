"""Models of Anthropic and of Google by their own APIs, by ``any-llm-sdk``, whose chunks are OpenAI's.

The package makes the call with the provider's official SDK. It is an optional extra of this one: ``anthropic``,
``gemini``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import httpx
import httpx2
from any_llm import AnyLLM
from any_llm.exceptions import AnyLLMError

from alex_actors.models.chat_messages import Json
from alex_actors.models.chat_model import ChatModel
from alex_actors.models.error_bodies import beginning, cut_error
from alex_actors.models.faults import Fault
from alex_actors.models.spec import ModelSpec
from alex_actors.models.usage import Rates
from alex_actors.ports import Clock

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk

GOOGLE_API_VERSION = "v1beta"
"""It has all models; v1 has no previews."""

GOOGLE_ANSWER_SECONDS = 600.0
"""For a whole answer: ten minutes, as the official SDKs of the others have it."""

IDLE_CONNECTIONS = 100
"""That are kept. Of those in use there is no limit here: it is the number of running tasks."""

_TIMEOUTS = (httpx.TimeoutException, httpx2.TimeoutException)
_UNREACHABLE = (httpx.ConnectError, httpx2.ConnectError, httpx.ConnectTimeout, httpx2.ConnectTimeout)
_CUT = (httpx.HTTPError, httpx2.HTTPError)
"""Of the HTTP clients that the official SDKs use: one the first, one the second."""


class AnyLLMModel(ChatModel):
    """A model that is asked by its provider's own protocol.

    The provider's SDK is loaded at once, which takes a second or two, so that no task waits for it. Raises
    ImportError if it is not installed.
    """

    def __init__(self, *, spec: ModelSpec, rates: Rates, clock: Clock) -> None:
        super().__init__(spec=spec, rates=rates, clock=clock)
        self._http: httpx.AsyncClient | httpx2.AsyncClient
        self._http, options = _google(spec) if spec.provider == "gemini" else _anthropic()
        self._client = AnyLLM.create(
            spec.provider,
            api_key=spec.api_key,
            api_base=spec.home,
            unified_exceptions=True,
            max_retries=0,  # each retry is an event of the task: they are made elsewhere
            **options,
        )

    async def chunks(self, messages: list[Json], tools: list[Json]) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Yield a completion's chunks. Raises Fault."""
        try:
            stream = await self._client.acompletion(
                self.spec.name,
                list(messages),
                tools=tools or None,
                stream=True,
                max_tokens=self.spec.output_limit,
                timeout=self.spec.timeout_seconds,
            )
            # Its iterator closes the connection with itself, and does not say that it can be closed.
            async with aclosing(cast("AsyncGenerator[ChatCompletionChunk, None]", stream)) as pieces:
                async for chunk in pieces:
                    yield chunk
        except (AnyLLMError, ValueError, RecursionError, *_CUT) as error:
            raise fault_of(error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


# HTTP clients of our own: those of the SDKs follow redirects, and the key would go where nobody said that it may.


def _anthropic() -> tuple[httpx.AsyncClient, dict[str, object]]:
    from anthropic import DefaultAsyncHttpxClient  # only one of the two packages need be there

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS)
    hooks = {"response": [_cut_error]}
    http = DefaultAsyncHttpxClient(follow_redirects=False, limits=limits, event_hooks=hooks)
    return http, {"http_client": http}


def _google(spec: ModelSpec) -> tuple[httpx2.AsyncClient, dict[str, object]]:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS)
    http = httpx2.AsyncClient(follow_redirects=False, limits=limits, event_hooks={"response": [cut_error]})
    # Its SDK would have the server give up after the time that is meant for the pieces of an answer.
    whole = {"X-Server-Timeout": f"{max(GOOGLE_ANSWER_SECONDS, spec.timeout_seconds):.0f}"}
    options = {
        "api_version": spec.api_version or GOOGLE_API_VERSION,
        "headers": whole,
        "httpx_async_client": http,
    }
    return http, {"http_options": options, "vertexai": False}  # whatever its environment variables say


async def _cut_error(response: httpx.Response) -> None:
    """Do what ``cut_error`` does, with the other HTTP client."""
    if response.is_error and isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Beginning(response.stream)


class _Beginning(httpx.AsyncByteStream):
    """The beginning of a body."""

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return beginning(self._body)

    async def aclose(self) -> None:
        await self._body.aclose()


def fault_of(error: Exception) -> Fault:
    """Return what an error of any-llm, of an SDK below it, or of an HTTP client means."""
    for cause in _causes(error):
        if isinstance(cause, _UNREACHABLE):
            return Fault("unreachable", str(cause))
        if isinstance(cause, _TIMEOUTS):
            return Fault("timeout")
        status = _status(cause)
        if status is not None:
            headers = getattr(getattr(cause, "response", None), "headers", None)
            return Fault("status", _said(cause), status=status, codes=_codes(cause), headers=headers)
        if isinstance(cause, _CUT):
            return Fault("cut", str(cause))
    return Fault("status", str(error)) if isinstance(error, AnyLLMError) else Fault("cut", str(error))


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it comes from, innermost first: that one knows best."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = getattr(cause, "original_exception", None) or cause.__cause__
    return chain[::-1]


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an SDK's error; Google's calls it its code."""
    for name in ("status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int):
            return status
    return None


def _said(error: BaseException) -> str:
    """Return the provider's own text, out of whatever it is packed in."""
    said = _inner(error).get("message") or getattr(error, "message", None)
    return said if isinstance(said, str) and said else str(error)


def _codes(error: BaseException) -> tuple[str, ...]:
    inner = _inner(error)
    return tuple(
        code for code in (inner.get("type"), inner.get("code"), inner.get("status")) if isinstance(code, str)
    )


def _inner(error: BaseException) -> dict[str, object]:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    return inner if isinstance(inner, dict) else {}
