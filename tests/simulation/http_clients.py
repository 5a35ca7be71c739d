"""The whole server in a simulation, and clients that speak HTTP with it: Falcon without sockets."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

import msgspec

from alex_actors.core import Core
from alex_actors.simulation.invariants import Seen
from alex_actors.simulation.runtime import AgentFor, ConnectionLost, SimulatedRuntime
from alex_actors.simulation.scheduler import Strand, Wait
from alex_actors.simulation.store import SimulatedStore
from alex_actors.simulation.trace import NO_CAUSE
from alex_actors.simulation.virtual_time import VirtualTimer
from alex_actors.simulation.world import Simulation
from alex_http.app import create_app
from alex_http.catalog import Catalog
from alex_http.transport.holds import HOLD, Hold
from alex_http.wire import TaskOut

CATALOG = Catalog(
    agent_presets=("default",), tool_presets=("safe",), models=("simulated",), tool_preset="safe",
    model="simulated", max_iterations=50,
)  # fmt: skip

Method = Literal["GET", "POST"]


class Reply(msgspec.Struct, frozen=True):
    """What a client was answered."""

    status: int
    body: bytes

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
        self.app = create_app(**parts, catalog=CATALOG, version="0", max_body=1_000_000)

    def serve(self, **parts: object) -> None:
        """Serve these from now on."""
        self.parts = parts


class HeldRequest:
    """A request and who works on it; as a real connection, it has the application called again while it waits."""

    ending = False

    def __init__(
        self,
        simulation: Simulation,
        app: Callable[..., Iterable[bytes]],
        method: Method,
        path: str,
        body: object,
    ) -> None:
        self._simulation = simulation
        self._call = partial(call, app, method, path, body)
        self._client = simulation.scheduler.speaker
        self._what = f"{method} {path}"
        self.worker = Strand(f"http({self._client})", self._work)
        self._answered = Wait(f"the reply to {self._what}")
        self._reply: Reply | None = None
        self._sent = NO_CAUSE
        self._hold = Hold(self)
        self._reminder: VirtualTimer | None = None

    def send(self) -> Reply:
        """Wait for the reply. Raises ConnectionLost."""
        scheduler = self._simulation.scheduler
        cause = scheduler.take_cause()
        self._sent = scheduler.trace.add("sent", self._client, self._what, peer=self.worker.name, cause=cause)
        scheduler.ready(self.worker)
        scheduler.wait_for(self._answered)
        if self._reply is None:
            raise ConnectionLost
        return self._reply

    def lose(self) -> None:
        """Never be answered: the process was killed."""
        if self._reminder is not None:
            self._reminder.cancel()
        self._simulation.scheduler.end(self._answered)

    def _work(self) -> None:
        trace, name = self._simulation.scheduler.trace, self.worker.name
        trace.add("handled", name, self._what, peer=self._client, cause=self._sent)
        self._hold.called()
        reply = self._call(self._hold)
        if self._hold.waits:
            self._hold.park()
            return
        self._reply = reply
        answered = trace.add("answered", name, f"{reply.status}", peer=self._client, cause=self._sent)
        self._hold.over()
        self._simulation.scheduler.end(self._answered, cause=answered)

    # What the hold needs of a connection.

    def again(self) -> None:
        """Have the application called again."""
        self._simulation.scheduler.ready(self.worker)

    def remind(self, hold: Hold, seconds: float) -> None:
        """Say when its time is over."""
        self._reminder = self._simulation.timers.call_after(seconds, hold.time_is_over)

    def forget(self, _hold: Hold) -> None:
        """Do not."""
        if self._reminder is not None:
            self._reminder.cancel()

    def room_for_stream(self) -> bool:
        """Return False: what is followed here is followed without HTTP."""
        return False


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
        **limits: Any,  # Any: as SimulatedRuntime has them
    ) -> None:
        self._simulation = simulation
        self._http = http or HttpSide()
        self.system = SimulatedRuntime(simulation, store=store, agent_for=agent_for, core=core, **limits)
        self.up = True
        self._requests: dict[HeldRequest, None] = {}
        self._serve()

    def _serve(self) -> None:
        simulation, system = self._simulation, self.system
        self._http.serve(runtime=system.runtime, ids=simulation.ids, clock=simulation.clock, log=system.log)

    def kill(self) -> None:
        """Kill the process. Whoever waits for a reply gets none."""
        self.up = False
        requests = {request.worker: request for request in self._requests}
        self._simulation.scheduler.abandon(requests.__contains__)
        self.system.kill()
        for request in requests.values():
            request.lose()

    def start(self) -> None:
        """Start the process again."""
        self.system.start()
        self._serve()
        self.up = True

    def request(self, method: Method, path: str, body: object = None) -> Reply:
        """Send a request and wait for its reply, as a client. Raises ConnectionLost."""
        if not self.up:
            raise ConnectionLost
        request = HeldRequest(self._simulation, self._http.app, method, path, body)
        self._requests[request] = None
        try:
            return request.send()
        finally:
            self._requests.pop(request, None)

    def read(self, task_id: str) -> TaskOut | None:
        """Read a task, as a client; None if it is not there, or cannot be read now."""
        reply = self.request("GET", f"/api/tasks/{task_id}")
        if reply.status != 200:
            return None
        task = reply.task()
        self.saw(task)
        return task

    def saw(self, task: TaskOut) -> None:
        """Have the invariants look at what somebody was told."""
        self.system.invariants.answered(
            Seen(task.task_id, task.session_id, task.status, task.current_iteration, task.tokens_used)
        )


def call(app: Callable[..., Iterable[bytes]], method: Method, path: str, body: object, hold: Hold) -> Reply:
    """Call a WSGI application."""
    payload = b"" if body is None else msgspec.json.encode(body)
    address, _, query = path.partition("?")
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": address, "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost", "SERVER_PORT": "8080", "HTTP_HOST": "localhost:8080", "SCRIPT_NAME": "",
        "HTTP_ACCEPT": "application/json", "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(payload), "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0),
        "CONTENT_LENGTH": str(len(payload)), "CONTENT_TYPE": "application/json", HOLD: hold,
    }  # fmt: skip
    chunks = app(environ, lambda status, _headers: statuses.append(status))
    return Reply(int(statuses[0][:3]), b"".join(chunks))
