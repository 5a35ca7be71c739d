"""The whole server in a simulation, and clients that speak HTTP with it: Falcon without sockets."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from alex_actors.clock import SystemClock
from alex_actors.core import Core
from alex_actors.diagrams.trace import NO_CAUSE
from alex_actors.simulation.invariants import Seen
from alex_actors.simulation.runtime import AgentFor, ConnectionLost, SimulatedRuntime
from alex_actors.simulation.scheduler import Strand, Wait
from alex_actors.simulation.store import SimulatedStore
from alex_actors.simulation.world import Simulation
from alex_actors.values import LOCAL_OWNER, Owner
from alex_http.access import Access
from alex_http.app import create_app
from alex_http.catalog import Catalog
from alex_http.transport.holds import HOLD, TICK, Hold, Reminders
from alex_http.wire import TaskOut
from tests.simulation.simulated_sockets import SimulatedSocket
from tests.simulation.simulated_streams import StreamSide

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

CATALOG = Catalog(
    agent_presets=("default",), tool_presets=("safe",), models=("simulated",), tool_preset="safe",
    model="simulated", max_iterations=50,
)  # fmt: skip

Method = Literal["GET", "POST", "DELETE"]


ADDRESS = "127.0.0.1"
"""Where all clients are."""


class WentAway(Exception):
    """A client has not waited for its reply."""


class Reply(msgspec.Struct, frozen=True):
    """What a client was answered."""

    status: int
    body: bytes
    headers: dict[str, str]
    stream: SimulatedSocket | None = None
    """Where the body comes, if the reply is a stream."""

    def task(self) -> TaskOut:
        """Return the task that it is."""
        return msgspec.json.decode(self.body, type=TaskOut)

    def json(self) -> Any:  # Any: JSON
        """Return the body."""
        return msgspec.json.decode(self.body)


class Current:
    """Whatever is current: an application is made once, and serves one run after the other with it."""

    def __init__(self, name: str, run: HttpSide) -> None:
        self._name = name
        self._run = run

    def __getattr__(self, name: str) -> Any:  # Any: of whatever it stands for
        """Return an attribute of what is current."""
        return getattr(self._run.parts[self._name], name)


class HttpSide:
    """The Falcon application, for any number of runs: making it costs more than most of them."""

    def __init__(self) -> None:
        self.parts: dict[str, object] = {}
        parts: Any = {name: Current(name, self) for name in ("runtime", "ids", "clock", "log")}  # Any: stand-ins
        access = Access(  # of a server without tokens, in which it does not use the clock
            tokens=Path("/nowhere/tokens.json"), host="127.0.0.1", allowed_hosts=(), cors_origins=(),
            requests_per_minute=0, clock=SystemClock(),
        )  # fmt: skip
        self.app = create_app(
            **parts, access=access, catalog=CATALOG, version="0", max_body=1_000_000, max_import=1_000_000
        )

    def serve(self, **parts: object) -> None:
        """Serve these from now on."""
        self.parts = parts


class HeldRequest:
    """A request and who works on it; as a real connection, it has the application called again while it waits."""

    def __init__(
        self,
        server: SimulatedServer,
        simulation: Simulation,
        method: Method,
        path: str,
        body: object,
        *,
        app: Callable[..., Iterable[bytes]],
        hold: type[Hold],
        headers: Mapping[str, str],
    ) -> None:
        self._server = server
        self._simulation = simulation
        self._call = partial(call, app, method, path, body, headers)
        self._client = simulation.scheduler.speaker
        self._what = f"{method} {path}"
        self.worker = Strand(f"http({self._client})", self._work)
        self._answered = Wait(f"the reply to {self._what}")
        self._reply: Reply | None = None
        self._sent = NO_CAUSE
        self._gone = False
        self._parked = False
        self.hold = hold(self)

    def send(self, patience: float | None = None) -> Reply:
        """Wait for the reply. Raises ConnectionLost; WentAway if it has not come in so many seconds."""
        scheduler = self._simulation.scheduler
        cause = scheduler.take_cause()
        self._sent = scheduler.trace.add("sent", self._client, self._what, peer=self.worker.name, cause=cause)
        scheduler.ready(self.worker)
        if not scheduler.wait_for(self._answered, timeout=patience):
            self._gone = True
            self.hold.over()  # the server's loop sees it
            raise WentAway
        if self._reply is None:
            raise ConnectionLost
        return self._reply

    def lose(self) -> None:
        """Never be answered: the process was killed."""
        self._simulation.scheduler.end(self._answered)

    def answer_now(self) -> None:
        """Be looked at again if it waits, since the server is stopping."""
        if self._parked:
            self.hold.wake()

    def _work(self) -> None:
        trace, name = self._simulation.scheduler.trace, self.worker.name
        trace.add("handled", name, self._what, peer=self._client, cause=self._sent)
        self._parked = False
        self.hold.called()
        reply = self._call(self.hold)
        if self.hold.waits:
            self._parked = True
            self.hold.park()
            return
        if self.hold.feed is not None:
            reply = self._leave(reply)
        self._reply = reply
        answered = trace.add("answered", name, f"{reply.status}", peer=self._client, cause=self._sent)
        self.hold.over()
        self._simulation.scheduler.end(self._answered, cause=answered)

    def _leave(self, reply: Reply) -> Reply:
        """Give the connection to the streams, its headers being sent, if its client is still there."""
        self._simulation.scheduler.perhaps_pause()
        feed, side = self.hold.take_feed(), self._server.stream_side
        if feed is None or side is None:
            return reply
        if self._gone or not 200 <= reply.status < 300:
            side.drop(feed, ADDRESS)
            return reply
        sock = self._server.new_socket()
        side.adopt(sock, feed, ADDRESS)
        return msgspec.structs.replace(reply, stream=sock)

    # What the hold needs of a connection.

    @property
    def ending(self) -> bool:
        """Whether the server is stopping."""
        return self._server.draining

    def again(self) -> None:
        """Have the application called again."""
        self._simulation.scheduler.ready(self.worker)

    def remind(self, hold: Hold, seconds: float) -> None:
        """Say when its time is over."""
        self._server.remind(hold, seconds)

    def forget(self, hold: Hold) -> None:
        """Do not."""
        self._server.reminders.drop(hold)

    def failed(self, error: Exception) -> None:
        """Have the run fail."""
        self._simulation.scheduler.failure = error

    def room_for_stream(self) -> bool:
        """Return whether a stream may be opened: without a side for them, what is followed is without HTTP."""
        side = self._server.stream_side
        return side is not None and side.streams.admit(ADDRESS)


class SimulatedServer:
    """A process that serves HTTP. It can be killed and started again."""

    def __init__(
        self,
        simulation: Simulation,
        *,
        store: SimulatedStore,
        agent_for: AgentFor,
        core: type[Core] = Core,
        http: HttpSide | None = None,
        streaming: Callable[[FilteringBoundLogger], StreamSide] | None = None,
        new_socket: Callable[[], SimulatedSocket] | None = None,
        hold: type[Hold] = Hold,
        **limits: Any,  # Any: as SimulatedRuntime has them
    ) -> None:
        """``streaming`` makes the streams of each process, given its log; without, there are none."""
        self._simulation = simulation
        self._http = http or HttpSide()
        self._streaming = streaming
        self.new_socket = new_socket or partial(SimulatedSocket, simulation, capacity=65_536, generous=True)
        self._hold = hold
        self.system = SimulatedRuntime(simulation, store=store, agent_for=agent_for, core=core, **limits)
        self.up = True
        self.draining = False
        """Whether it is stopping."""
        self.stream_side: StreamSide | None = None
        self.reminders: Reminders[Hold] = Reminders()
        self._requests: dict[HeldRequest, None] = {}
        self._serve()

    def _serve(self) -> None:
        simulation, system = self._simulation, self.system
        self.reminders = Reminders()
        self._http.serve(runtime=system.runtime, ids=simulation.ids, clock=simulation.clock, log=system.log)
        if self._streaming is not None:
            self.stream_side = self._streaming(system.log)

    def kill(self, keep: Callable[[int], int] = lambda _waiting: 0) -> None:
        """Kill the process. Whoever waits for a reply gets none; of streams arrives what ``keep`` says."""
        self.up = False
        requests = {request.worker: request for request in self._requests}
        self._simulation.scheduler.abandon(requests.__contains__)
        self.system.kill()
        for request in requests.values():
            request.lose()
        if self.stream_side is not None:
            self.stream_side.kill(keep)

    def start(self) -> None:
        """Start the process again."""
        self.draining = False
        self.system.start()
        self._serve()
        self.up = True

    def drain(self) -> None:
        """Begin to stop: streams end, and what waits is answered."""
        self.draining = True
        for request in tuple(self._requests):
            request.answer_now()
        if self.stream_side is not None:
            self.stream_side.streams.end_all()

    def remind(self, hold: Hold, seconds: float) -> None:
        """Have a hold's time be over in so many seconds, as the server's loop does."""
        simulation, reminders = self._simulation, self.reminders
        reminders.add(hold, simulation.clock.monotonic() + seconds)

        def look() -> None:
            for due in reminders.due(simulation.clock.monotonic()):
                due.time_is_over()

        simulation.timers.call_after(hold.tick * TICK - simulation.clock.monotonic(), look)

    def request(
        self,
        method: Method,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        patience: float | None = None,
    ) -> Reply:
        """Send a request and wait for its reply, as a client. Raises ConnectionLost; WentAway without patience.

        ``headers`` are those beside the usual ones, by names as WSGI has them.
        """
        if not self.up:
            raise ConnectionLost
        request = HeldRequest(
            self, self._simulation, method, path, body, app=self._http.app, hold=self._hold, headers=headers
        )
        self._requests[request] = None
        try:
            return request.send(patience)
        finally:
            self._requests.pop(request, None)

    def saw(self, task: TaskOut) -> None:
        """Have the invariants look at what somebody was told."""
        self.system.invariants.answered(
            Seen(task.task_id, task.session_id, task.status, task.current_iteration, task.tokens_used)
        )


class User:
    """A client in the name of an owner."""

    def __init__(self, server: SimulatedServer, owner: Owner) -> None:
        self._server = server
        self.owner = owner

    def request(
        self,
        method: Method,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        """Send a request and wait for its reply. Raises ConnectionLost."""
        mine = {} if self.owner == LOCAL_OWNER else {"HTTP_X_ALEX_OWNER": self.owner}
        return self._server.request(method, path, body, headers={**mine, **headers})

    def read(self, task_id: str) -> TaskOut | None:
        """Read a task; None if it is not there, or cannot be read now."""
        reply = self.request("GET", f"/api/tasks/{task_id}")
        if reply.status != 200:
            return None
        task = reply.task()
        self._server.saw(task)
        return task


def call(
    app: Callable[..., Iterable[bytes]],
    method: Method,
    path: str,
    body: object,
    headers: Mapping[str, str],
    hold: Hold,
) -> Reply:
    """Call a WSGI application."""
    payload = b"" if body is None else msgspec.json.encode(body)
    address, _, query = path.partition("?")
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": address, "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost", "SERVER_PORT": "8080", "HTTP_HOST": "localhost:8080", "SCRIPT_NAME": "",
        "HTTP_ACCEPT": "application/json", "REMOTE_ADDR": ADDRESS, "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(payload), "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0),
        "CONTENT_LENGTH": str(len(payload)), "CONTENT_TYPE": "application/json", HOLD: hold, **headers,
    }  # fmt: skip
    chunks = app(environ, lambda status, headers: begun.append((status, headers)))
    status, answered = begun[0]
    return Reply(int(status[:3]), b"".join(chunks), dict(answered))
