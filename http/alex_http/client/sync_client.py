"""The client that blocks."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Any, Self, TypeVar, overload
from uuid import uuid4

import httpx

from alex_http.client.calls import Call, Calls
from alex_http.client.following import Follower, Following
from alex_http.client.frames import Frames
from alex_http.client.over_httpx import (
    Address,
    check_encoding,
    content_type,
    failure_from,
    limits,
    read_reply,
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


class Client:
    """A client of one server. Any number of threads may share it; `close` it, or use it in a ``with``.

    * ``token`` is sent as ``Authorization: Bearer``.
    * ``timeout``: seconds for a connection, and for a reply to begin or go on.
    * ``give_up_after``: seconds for which `wait` and `events` try to reach a server that is away; None: for ever.
    * ``silence``: seconds without a byte after which an event stream counts as cut. The server sends one every 10.
    * ``http``: is used instead of a client of its own, and not closed.
    * ``new_key`` makes the idempotency key of a submit.
    * ``sleep``, ``monotonic``, ``chance`` (a number from 0 to 1): for tests.

    Raises ValueError for a ``base_url`` that is none, or a ``token`` that cannot be sent.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        *,
        token: str | None = None,
        timeout: float = 30.0,
        give_up_after: float | None = 300.0,
        silence: float = 45.0,
        http: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
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
        self._http = http or httpx.Client(limits=limits(), trust_env=self._address.trust_env)

    def close(self) -> None:
        """Close its connections, unless ``http`` was given."""
        if self._borrowed is None:
            self._http.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    # Tasks.

    def submit(
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
        return self._run(
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

    def task(self, task_id: str) -> Task:
        """Return a task as it is now. Raises UnknownTask."""
        return self._run(self._calls.task(task_id))

    def tasks(
        self, *, limit: int = 10, offset: int = 0, session_id: str | None = None, status: Status | None = None
    ) -> TaskPage:
        """Return some tasks, newest first: those of a session or in a status, if given. ``limit``: 1 to 1000."""
        return self._run(self._calls.tasks(limit, offset, session_id, status))

    def wait(self, task_id: str, *, timeout: float | None = None) -> Task:
        """Wait until a task has ended, and return it. Lives through restarts of the server.

        ``timeout`` in seconds; None: as long as it takes. Raises WaitTimedOut, UnknownTask, GaveUp.
        """
        return self._run(self._calls.wait(task_id, timeout))

    def cancel(self, task_id: str) -> None:
        """Cancel a task; return when that is recorded. Raises TaskHasEnded, UnknownTask."""
        self._run(self._calls.cancel(task_id))

    def approvals(
        self, *, limit: int = 10, cursor: str | None = None, session_id: str | None = None
    ) -> ApprovalPage:
        """Return some tool calls that wait for a person's word, oldest first: those of a session, if given.

        ``limit``: 1 to 1000. ``cursor``: the ``next_cursor`` of the page before.
        """
        return self._run(self._calls.approvals(limit, cursor, session_id))

    def approve(
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
        return self._run(self._calls.decide(task_id, call_id, approved=True, reason=reason, arguments=arguments))

    def deny(self, task_id: str, call_id: str, *, reason: str | None = None) -> Task:
        """Have a tool call not run that waits for approval; the agent is told why. Otherwise as `approve`."""
        return self._run(self._calls.decide(task_id, call_id, approved=False, reason=reason))

    def recorded_events(self, task_id: str, *, after: int = 0, limit: int = 100) -> EventPage:
        """Return the events of a task after ``after``, at most ``limit`` (1 to 1000). Raises UnknownTask."""
        return self._run(self._calls.recorded_events(task_id, after, limit))

    # Events, live.

    @overload
    def events(self, *, task_id: str, after: int = 0) -> EventStream: ...
    @overload
    def events(self, *, session_id: str, after: int = 0) -> EventStream: ...
    def events(self, *, task_id: str | None = None, session_id: str | None = None, after: int = 0) -> EventStream:
        """Follow a task until it has ended, or a session until it is deleted: events with ids above ``after``.

        The first `next` connects. Raises ValueError unless exactly one of the two is given.
        """
        following = self._calls.events(task_id=task_id, session_id=session_id, after=after)
        return EventStream(following=following, http=self._http, address=self._address, sleep=self._sleep)

    # Sessions.

    def make_session(self, session_id: str | None = None, *, metadata: Mapping[str, str] | None = None) -> Session:
        """Make a session, or return it as it is if it exists. Sent once."""
        return self._run(self._calls.make_session(session_id, metadata))

    def session(self, session_id: str) -> SessionDetail:
        """Return a session, with its conversation and its tasks. Raises UnknownSession."""
        return self._run(self._calls.session(session_id))

    def sessions(self, *, limit: int = 10, offset: int = 0) -> SessionPage:
        """Return some sessions, last used first. ``limit``: 1 to 1000."""
        return self._run(self._calls.sessions(limit, offset))

    def delete_session(self, session_id: str) -> None:
        """Cancel a session's tasks, and delete it with all that belongs to it. Raises UnknownSession."""
        self._run(self._calls.delete_session(session_id))

    def fork(
        self, session_id: str, *, new_session_id: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> SessionDetail:
        """Copy a session, its conversation and its files, and return the copy. Sent once.

        Raises UnknownSession, CopyRefused.
        """
        return self._run(self._calls.fork(session_id, new_session_id, metadata))

    def export_session(self, session_id: str) -> bytes:
        """Return all of a session, its tasks and their events, as a JSON document.

        Raises UnknownSession; CopyRefused if that is more than an import takes.
        """
        return self._run(self._calls.export_session(session_id))

    def import_session(self, document: bytes) -> SessionDetail:
        """Make the session that was exported, here or elsewhere. Sent once. Raises BadRequest, CopyRefused."""
        return self._run(self._calls.import_session(document))

    # The server.

    def health(self) -> Health:
        """Return how the server is. Raises ConnectionFailed at once if it is away."""
        return self._run(self._calls.health())

    def _run(self, call: Call[T]) -> T:
        """Send what a call asks for, until it has its result."""
        try:
            request = next(call)
            while True:
                if request.pause:
                    self._sleep(request.pause)
                try:
                    response = self._http.send(self._address.build(self._http, request), stream=True)
                    with closing(response):
                        check_encoding(response)
                        reply = read_reply(response)
                except httpx.RequestError as error:
                    request = call.throw(failure_from(error, request))
                else:
                    request = call.send(reply)
        except StopIteration as done:
            result: T = done.value  # typeshed has Any here
            return result


class EventStream(Follower, Iterator[Event]):
    """The events of a task or a session: each once, in order, over any number of connections.

    Ends after a task's terminal event, or when the session is deleted. When an error, such as GaveUp or
    KeyboardInterrupt, comes out of `next`, no event is lost: the next `next` goes on where it was. One thread at a
    time may use it.
    """

    def __init__(
        self, *, following: Following, http: httpx.Client, address: Address, sleep: Callable[[float], None]
    ) -> None:
        super().__init__(following)
        self._http = http
        self._address = address
        self._sleep = sleep
        self._connection: Generator[Event, None, None] | None = None

    def __next__(self) -> Event:
        """Return the next event; wait for it. Raises UnknownTask or UnknownSession, GaveUp."""
        while not self._following.ended:
            # Held by this frame alone: a connection that an error comes out of is not used again.
            connection, self._connection = self._connection or self._connected(), None
            for event in connection:
                self._connection = connection
                return event
        self.close()
        raise StopIteration

    def _connected(self) -> Generator[Event, None, None]:
        return connection_of(self._following, self._http, self._address, self._sleep)

    def close(self) -> None:
        """Close its connection. A `next` after that opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def connection_of(
    following: Following, http: httpx.Client, address: Address, sleep: Callable[[float], None]
) -> Generator[Event, None, None]:
    """Follow on one connection.

    No method of the stream, which would be in a cycle with its generator: one that is dropped unclosed is to close
    its connection there and then. In the garbage collection, which comes at any moment, also while httpcore holds
    the lock that closing needs, the thread would wait for itself.
    """
    request = following.request()
    if request.pause:
        sleep(request.pause)
    try:
        response = http.send(address.build_stream(http, request), stream=True)
        with closing(response):
            check_encoding(response)
            if not following.is_stream(response.status_code, content_type(response)):
                following.refused(read_reply(response))
                return
            frames = Frames()
            for piece in response.iter_bytes():
                for frame in frames.received(piece):
                    event = following.received(frame)
                    if event is not None:
                        yield event
                    if following.ended:
                        return
        following.cut(stream_ended(request))
    except httpx.RequestError as error:
        following.cut(failure_from(error, request))
