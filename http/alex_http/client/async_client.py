"""The client for asyncio: `sync_client` with ``await``, over the same calls."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, overload
from uuid import uuid4

import httpx

from alex_http.client.calls import Call, Calls
from alex_http.client.following import Follower, Following
from alex_http.client.frames import Frames
from alex_http.client.over_httpx import (
    Address,
    aread_reply,
    check_encoding,
    content_type,
    failure_from,
    limits,
    stream_ended,
)
from alex_http.client.values import (
    ApprovalPage,
    Event,
    EventPage,
    Health,
    Session,
    SessionDetail,
    SessionPage,
    Status,
    Strategy,
    Task,
    TaskPage,
)

T = TypeVar("T")


class AsyncClient:
    """A client of one server, for the tasks of one event loop; `aclose` it, or use it in an ``async with``.

    Its arguments are those of `Client`. With trio, give it ``sleep=trio.sleep``.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        *,
        token: str | None = None,
        timeout: float = 30.0,
        give_up_after: float | None = 300.0,
        silence: float = 45.0,
        http: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        new_key: Callable[[], str] = lambda: f"{uuid4()}",
    ) -> None:
        self._address = Address(base_url, token=token, timeout=timeout, silence=silence)
        self._calls = Calls(
            monotonic=monotonic, random=chance, new_key=new_key, timeout=timeout, give_up_after=give_up_after
        )
        self._sleep = sleep
        self._borrowed = http
        self._http = http or httpx.AsyncClient(limits=limits(), trust_env=self._address.trust_env)

    async def aclose(self) -> None:
        """Close its connections, unless ``http`` was given."""
        if self._borrowed is None:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    # Tasks.

    async def submit(
        self,
        task: str,
        *,
        session_id: str | None = None,
        agent_preset: str | None = None,
        tool_preset: str | None = None,
        strategy: Strategy | None = None,
        timeout_seconds: float | None = None,
        max_iterations: int | None = None,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Task:
        """Submit a task, and return it as it was recorded. None means the server's default.

        Sent up to four times if the connection fails or the server is not ready, and starts one task: each submit
        has an idempotency key, a new one unless it is given. Give the same one to repeat a submit yourself. Raises
        BadRequest, SessionIsBusy, KeyReused, TooManyRequests, Unavailable, ConnectionFailed.
        """
        return await self._run(
            self._calls.submit(
                task,
                session_id=session_id,
                agent_preset=agent_preset,
                tool_preset=tool_preset,
                strategy=strategy,
                timeout_seconds=timeout_seconds,
                max_iterations=max_iterations,
                model=model,
                metadata=metadata,
                idempotency_key=idempotency_key,
            )
        )

    async def task(self, task_id: str) -> Task:
        """Return a task as it is now. Raises UnknownTask."""
        return await self._run(self._calls.task(task_id))

    async def tasks(
        self, *, limit: int = 10, offset: int = 0, session_id: str | None = None, status: Status | None = None
    ) -> TaskPage:
        """Return some tasks, newest first: those of a session or in a status, if given. ``limit``: 1 to 1000."""
        return await self._run(self._calls.tasks(limit, offset, session_id, status))

    async def wait(self, task_id: str, *, timeout: float | None = None) -> Task:
        """Wait until a task has ended, and return it. Lives through restarts of the server.

        ``timeout`` in seconds; None: as long as it takes. Raises WaitTimedOut, UnknownTask, GaveUp.
        """
        return await self._run(self._calls.wait(task_id, timeout))

    async def cancel(self, task_id: str) -> None:
        """Cancel a task; return when that is recorded. Raises TaskHasEnded, UnknownTask."""
        await self._run(self._calls.cancel(task_id))

    async def approvals(
        self, *, limit: int = 10, cursor: str | None = None, session_id: str | None = None
    ) -> ApprovalPage:
        """Return some tool calls that wait for a person's word, oldest first: those of a session, if given.

        ``limit``: 1 to 1000. ``cursor``: the ``next_cursor`` of the page before.
        """
        return await self._run(self._calls.approvals(limit, cursor, session_id))

    async def approve(
        self,
        task_id: str,
        call_id: str,
        *,
        reason: str | None = None,
        arguments: Mapping[str, Any] | None = None,  # Any: JSON, as the tool takes it
    ) -> Task:
        """Have a tool call run that waits for approval; return its task when that is recorded. Sent once.

        ``call_id`` is that of its ``approval_requested``. With ``arguments`` it is run with those instead. Raises
        NothingWaits, UnknownTask, BadRequest.
        """
        return await self._run(
            self._calls.decide(task_id, call_id, approved=True, reason=reason, arguments=arguments)
        )

    async def deny(self, task_id: str, call_id: str, *, reason: str | None = None) -> Task:
        """Have a tool call not run that waits for approval; the agent is told why. Otherwise as `approve`."""
        return await self._run(self._calls.decide(task_id, call_id, approved=False, reason=reason))

    async def recorded_events(self, task_id: str, *, after: int = 0, limit: int = 100) -> EventPage:
        """Return the events of a task after ``after``, at most ``limit`` (1 to 1000). Raises UnknownTask."""
        return await self._run(self._calls.recorded_events(task_id, after, limit))

    # Events, live.

    @overload
    def events(self, *, task_id: str, after: int = 0) -> AsyncEventStream: ...
    @overload
    def events(self, *, session_id: str, after: int = 0) -> AsyncEventStream: ...
    def events(
        self, *, task_id: str | None = None, session_id: str | None = None, after: int = 0
    ) -> AsyncEventStream:
        """Follow a task until it has ended, or a session until it is deleted: events with ids above ``after``.

        The first `anext` connects. Raises ValueError unless exactly one of the two is given.
        """
        following = self._calls.events(task_id=task_id, session_id=session_id, after=after)
        return AsyncEventStream(following=following, http=self._http, address=self._address, sleep=self._sleep)

    # Sessions.

    async def make_session(
        self, session_id: str | None = None, *, metadata: Mapping[str, str] | None = None
    ) -> Session:
        """Make a session, or return it as it is if it exists. Sent once."""
        return await self._run(self._calls.make_session(session_id, metadata))

    async def session(self, session_id: str) -> SessionDetail:
        """Return a session, with its conversation and its tasks. Raises UnknownSession."""
        return await self._run(self._calls.session(session_id))

    async def sessions(self, *, limit: int = 10, offset: int = 0) -> SessionPage:
        """Return some sessions, last used first. ``limit``: 1 to 1000."""
        return await self._run(self._calls.sessions(limit, offset))

    async def delete_session(self, session_id: str) -> None:
        """Cancel a session's tasks, and delete it with all that belongs to it. Raises UnknownSession."""
        await self._run(self._calls.delete_session(session_id))

    async def fork(
        self, session_id: str, *, new_session_id: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> SessionDetail:
        """Copy a session, its conversation and its files, and return the copy. Sent once.

        Raises UnknownSession, CopyRefused.
        """
        return await self._run(self._calls.fork(session_id, new_session_id, metadata))

    async def export_session(self, session_id: str) -> bytes:
        """Return all of a session, its tasks and their events, as a JSON document.

        Raises UnknownSession; CopyRefused if that is more than an import takes.
        """
        return await self._run(self._calls.export_session(session_id))

    async def import_session(self, document: bytes) -> SessionDetail:
        """Make the session that was exported, here or elsewhere. Sent once. Raises BadRequest, CopyRefused."""
        return await self._run(self._calls.import_session(document))

    # The server.

    async def health(self) -> Health:
        """Return how the server is. Raises ConnectionFailed at once if it is away."""
        return await self._run(self._calls.health())

    async def _run(self, call: Call[T]) -> T:
        """Send what a call asks for, until it has its result."""
        try:
            request = next(call)
            while True:
                if request.pause:
                    await self._sleep(request.pause)
                try:
                    response = await self._http.send(self._address.build(self._http, request), stream=True)
                    async with aclosing(response):
                        check_encoding(response)
                        reply = await aread_reply(response)
                except httpx.RequestError as error:
                    request = call.throw(failure_from(error, request))
                else:
                    request = call.send(reply)
        except StopIteration as done:
            result: T = done.value  # typeshed has Any here
            return result


class AsyncEventStream(Follower, AsyncIterator[Event]):
    """The events of a task or a session: each once, in order, over any number of connections.

    Ends after a task's terminal event, or when the session is deleted. When an error comes out of `anext`, such as
    GaveUp, or a cancellation (`asyncio.timeout`), no event is lost: the next `anext` goes on where it was. One
    asyncio task at a time may use it.
    """

    def __init__(
        self,
        *,
        following: Following,
        http: httpx.AsyncClient,
        address: Address,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__(following)
        self._http = http
        self._address = address
        self._sleep = sleep
        self._connection: AsyncGenerator[Event, None] | None = None

    async def __anext__(self) -> Event:
        """Return the next event; wait for it. Raises UnknownTask or UnknownSession, GaveUp."""
        while not self._following.ended:
            # Held by this frame alone: a connection that an error comes out of is not used again.
            connection, self._connection = self._connection or self._connect(), None
            async for event in connection:
                self._connection = connection
                return event  # nothing is awaited from the moment it counts as handed out until here
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close its connection. An `anext` after that opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    async def _connect(self) -> AsyncGenerator[Event, None]:
        """Follow on one connection."""
        following = self._following
        request = following.request()
        if request.pause:
            await self._sleep(request.pause)
        try:
            response = await self._http.send(self._address.build_stream(self._http, request), stream=True)
            async with aclosing(response):
                check_encoding(response)
                if not following.is_stream(response.status_code, content_type(response)):
                    following.refused(await aread_reply(response))
                    return
                frames = Frames()
                async for piece in response.aiter_bytes():
                    for frame in frames.received(piece):
                        event = following.received(frame)
                        if event is not None:
                            yield event
                        if following.ended:
                            return
            following.cut(stream_ended(request))
        except httpx.RequestError as error:
            following.cut(failure_from(error, request))
