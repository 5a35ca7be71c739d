"""The whole server in a simulation, and clients that speak HTTP with it: Falcon without sockets."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from alex_actors.core import Core
from alex_actors.simulation.invariants import Seen
from alex_actors.simulation.runtime import AgentFor, ConnectionLost, SimulatedRuntime
from alex_actors.simulation.scheduler import Strand, Wait
from alex_actors.simulation.store import SimulatedStore
from alex_actors.simulation.world import Simulation
from alex_http.app import create_app
from alex_http.catalog import Catalog
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
        self._workers: dict[Strand, Wait] = {}
        self._serve()

    def _serve(self) -> None:
        simulation, system = self._simulation, self.system
        self._http.serve(runtime=system.runtime, ids=simulation.ids, clock=simulation.clock, log=system.log)

    def kill(self) -> None:
        """Kill the process. Whoever waits for a reply gets none."""
        self.up = False
        workers, self._workers = self._workers, {}
        self._simulation.scheduler.abandon(workers.__contains__)
        self.system.kill()
        for wait in workers.values():
            self._simulation.scheduler.end(wait)

    def start(self) -> None:
        """Start the process again."""
        self.system.start()
        self._serve()
        self.up = True

    def request(self, method: Method, path: str, body: object = None) -> Reply:
        """Send a request and wait for its reply, as a client. Raises ConnectionLost."""
        scheduler = self._simulation.scheduler
        if not self.up:
            raise ConnectionLost
        client, trace = scheduler.speaker, scheduler.trace
        worker, what = f"http({client})", f"{method} {path}"
        sent = trace.add("sent", client, what, peer=worker, cause=scheduler.take_cause())
        wait = Wait(f"the reply to {what}")
        replies: list[Reply] = []

        def work() -> None:
            trace.add("handled", worker, what, peer=client, cause=sent)
            replies.append(call(self._http.app, method, path, body))
            answered = trace.add("answered", worker, f"{replies[0].status}", peer=client, cause=sent)
            del self._workers[strand]
            scheduler.end(wait, cause=answered)

        strand = Strand(worker, work)
        self._workers[strand] = wait
        scheduler.ready(strand)
        scheduler.wait_for(wait)
        if not replies:
            raise ConnectionLost
        return replies[0]

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


def call(app: Callable[..., Iterable[bytes]], method: Method, path: str, body: object) -> Reply:
    """Call a WSGI application."""
    payload = b"" if body is None else msgspec.json.encode(body)
    address, _, query = path.partition("?")
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": address, "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost", "SERVER_PORT": "8080", "HTTP_HOST": "localhost:8080", "SCRIPT_NAME": "",
        "HTTP_ACCEPT": "application/json", "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(payload), "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0),
        "CONTENT_LENGTH": str(len(payload)), "CONTENT_TYPE": "application/json",
    }  # fmt: skip
    chunks = app(environ, lambda status, _headers: statuses.append(status))
    return Reply(int(statuses[0][:3]), b"".join(chunks))
