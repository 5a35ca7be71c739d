"""A scenario of the server's own agent: its model in trouble, people, kills and cancels, as the seed wants it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alex_actors.agents.memory import RecordedConversations
from alex_actors.agents.react import ReActAgent
from alex_actors.core import Core
from alex_actors.models.breaker import Breaker
from alex_actors.models.resilience import ResilientModel
from alex_actors.models.usage import Rates
from alex_actors.simulation.invariants import NOTHING_LEFT
from alex_actors.simulation.runtime import ConnectionLost
from alex_actors.tools.toolbox import Toolbox
from alex_actors.values import LOCAL_OWNER, Value
from tests.simulation.after_react import NEVER_SHRINKS, AfterReact
from tests.simulation.after_the_run import ONLY_WHAT_IS_WANTED, AfterTheRun
from tests.simulation.approvers import Approvers
from tests.simulation.chancy_model import JOB, ChancyModel
from tests.simulation.chancy_provider import ChancyProvider
from tests.simulation.guarded_tools import APPROVED, guarded_tools
from tests.simulation.http_clients import HttpSide, SimulatedServer, User
from tests.simulation.trouble import Trouble

if TYPE_CHECKING:
    from alex_actors.ports import Agent
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Client, Simulation
    from alex_actors.tasks import Task

COMES_TO_AN_END = "Once its model works and people answer, each task comes to its end by itself."

GRACE = 5.0
"""Virtual seconds that an agent has to stop."""
PATIENCE = 3600.0
"""Virtual seconds in which all tasks must have ended, once nothing goes wrong any more: attempts, waits and pauses
of a whole task are minutes."""
DEADLY = (
    "approval_requested", "approval_resolved", "tool_call_start", "assistant_delta", "error", "think_complete",
)  # fmt: skip
"""Events after whose commit the process may die at once."""
UNFINISHED_TASKS = "SELECT task_id FROM tasks WHERE status IN ('pending', 'running')"
LAST_EVENT = "SELECT event_type FROM events ORDER BY event_id DESC LIMIT 1"


class Parts(Value, frozen=True, kw_only=True):
    """What the agent is made of: a mutation has other parts."""

    agent: type[ReActAgent] = ReActAgent
    model: type[ResilientModel] = ResilientModel
    breaker: type[Breaker] = Breaker
    core: type[Core] = Core


class ReactSystem:
    """One run of it."""

    def __init__(
        self,
        simulation: Simulation,
        *,
        store: SimulatedStore,
        rates: Rates,
        http: HttpSide | None = None,
        parts: Parts | None = None,
        faults: bool = True,
    ) -> None:
        """Have nothing go wrong but with models and tools if there are to be no ``faults``."""
        self.simulation = simulation
        self.decisions = decisions = simulation.decisions
        self.raw = store.raw
        self._parts = parts = parts or Parts()
        self._rates = rates
        self._submitted = 0
        self._impatient: list[Client[None]] = []
        self._used: dict[str, tuple[int, float]] = {}
        self._deaths = decisions.choose((0, 1, 1, 2)) if faults else 0
        self._deadly = decisions.choose((0.03, 0.15))
        self._max_tokens = decisions.choose((0, 0, 0, 100))
        self._max_cost = decisions.choose((0.0, 0.0, 0.0, 0.1))
        self._expires = decisions.choose((None, 20.0, 300.0, 7_200.0))
        self.provider = ChancyProvider(
            simulation, store=store, max_tokens=self._max_tokens, perhaps_die=self._perhaps_die, tried=self._tried
        )
        self._tools = guarded_tools(simulation, store, lambda: self._process)
        self.trouble = Trouble(simulation, any_=faults, sharing=False)
        self._process: object = None
        self._agent: ReActAgent | None = None
        self.server = SimulatedServer(
            simulation, store=store, agent_for=self._agent_for, core=parts.core, http=http, cancel_grace=GRACE,
            failed=lambda _error: self.trouble.die(), max_ahead=decisions.choose((64, 2)),
        )  # fmt: skip
        self.provider.invariants = self.server.system.invariants
        self.approvers = Approvers(simulation, store, self.server)
        self.trouble.begin(self.server)
        self._watch_commits()

    # The agent.

    def _agent_for(self, _task: Task) -> Agent:
        """Return the agent of this process, which serves all tasks."""
        process = self.server.system.dispatcher
        if self._agent is None or process is not self._process:
            self._process = process
            self.provider.process_begins()
            self._agent = self._new_agent()
        return self._agent

    def _new_agent(self) -> ReActAgent:
        clock, parts = self.simulation.clock, self._parts
        model = parts.model(
            model=ChancyModel(self.provider, self._rates),
            breaker=parts.breaker(now=clock.monotonic),
            sleep=self._sleep,
            random=lambda: self.decisions.between(0, 1),
        )
        tools = self._tools
        return parts.agent(
            model=model,
            toolbox=Toolbox(tools=tools, presets={"safe": tuple(tools)}, approve={"safe": APPROVED}),
            persona=lambda _preset: "You are under test.",
            workspace=lambda _task: Path("nowhere"),
            clock=clock,
            conversations=RecordedConversations(reader=self.server.system.reader),
            max_tokens=self._max_tokens,
            max_cost_usd=self._max_cost,
            approval_timeout_seconds=self._expires,
        )

    async def _sleep(self, seconds: float) -> None:
        self._perhaps_die()
        await asyncio.sleep(seconds)

    # What goes wrong.

    def _perhaps_die(self) -> None:
        """Kill the process here and there, in the middle of something."""
        if self._deaths and self.simulation.faults.happens(self._deadly / 3):
            self._deaths -= 1
            self.trouble.die()

    def _tried(self, task_id: str) -> None:
        """Have somebody cancel a task that tries the model for all others."""
        if self.simulation.faults.happens(0.4):
            user = User(self.server, LOCAL_OWNER)
            self._impatient.append(self.simulation.client("zoe", partial(self._cancel, user, task_id)))

    def _cancel(self, user: User, task_id: str) -> None:
        with contextlib.suppress(ConnectionLost):
            user.request("POST", f"/api/tasks/{task_id}/cancel")

    def _watch_commits(self) -> None:
        writer = self.server.system.writer
        before, written = writer.committed, writer.written

        def committed() -> None:
            row = self.raw.execute(LAST_EVENT).fetchone()
            deadly = self._deaths and row is not None and row[0] in DEADLY
            if deadly and self.simulation.faults.happens(self._deadly):
                self._deaths -= 1
                self.trouble.die()
            before()

        def look(task_ids: list[str]) -> None:
            for task_id in task_ids:
                used = self.raw.execute(
                    "SELECT tokens_used, cost_usd FROM tasks WHERE task_id = ?", (task_id,)
                ).fetchone()
                had = self._used.setdefault(task_id, used)
                fine = used[0] >= had[0] and used[1] >= had[1]
                self.simulation.check(
                    fine, NEVER_SHRINKS, f"{task_id} had {had}, and has {used}.", about=(task_id,)
                )
                self._used[task_id] = used
            written(task_ids)

        writer.committed, writer.written = committed, look

    # What people do.

    def play(self) -> None:
        """Have people come and go, and let everything end."""
        decisions, simulation = self.decisions, self.simulation
        users = [
            simulation.client(name, partial(self._visit, name))
            for name in ("alice", "bob")[: 1 + decisions.pick(2)]
        ]
        approvers = [
            simulation.client(name, self._approve) for name in ("paula", "quinn")[: decisions.choose((1, 2, 2, 0))]
        ]
        for client in (*users, *approvers):
            client.result()
        if self.trouble.perhaps_die_at_last():
            simulation.sleep(0.5)
            self._await_server()
            simulation.sleep(decisions.choose((6.0, 100.0, 400.0)))
            self._await_server()
        simulation.faults.calm = True
        simulation.hurry(0.0)
        self._let_all_end()
        for client in self._impatient:
            client.result()
        self.approvers.twins_end()
        self.server.system.settle()
        self._look_at_it_all()

    def _look_at_it_all(self) -> None:
        trouble = self.trouble
        look = AfterTheRun(self.simulation, self.provider.store, self.server.system.invariants.resumptions.lives)
        look.look_at_turns()
        look.look_at_crashes()
        for task_id, error in self.raw.execute(
            "SELECT task_id, error FROM tasks WHERE error IS NOT NULL"
        ).fetchall():
            wanted = error.startswith("The ") or (trouble.disk_fails and "disk I/O error" in error)
            self.simulation.check(wanted, ONLY_WHAT_IS_WANTED, f"{task_id} failed: {error}", about=(task_id,))
        if self._process is self.server.system.dispatcher:  # else no agent has begun in this process
            running = [one for one in self._tools["pay"].running if one[0] is self._process]
            left = [*self.provider.under_way(), *running]
            self.simulation.check(not left, NOTHING_LEFT, f"Still under way: {left}.")
        prompt = not trouble.hurries and not trouble.disk_fails
        if prompt:
            look.look_at_timeouts(grace=GRACE, downtime=trouble.downtime)
        AfterReact(self.simulation, self.provider.store).look_at_all(
            served=self.provider.served, words=self.approvers.words, prompt=prompt, downtime=trouble.downtime
        )

    def _approve(self) -> None:
        self.approvers.visit(self._await_server)

    def _visit(self, name: str) -> None:
        """Submit something a few times, and perhaps cancel it."""
        user, decisions = User(self.server, LOCAL_OWNER), self.decisions
        for _ in range(decisions.choose((1, 2, 4))):
            try:
                task_id = self._submit(user, name)
                self.simulation.sleep(decisions.choose((0.0, 0.0, 1.0, 10.0, 60.0)))
                if task_id is not None and decisions.chance(0.3):
                    self._cancel(user, task_id)
                elif task_id is not None:
                    user.read(task_id)
            except ConnectionLost:
                self._await_server()

    def _submit(self, user: User, name: str) -> str | None:
        decisions = self.decisions
        self._submitted += 1
        body: Mapping[str, Any] = {  # Any: JSON
            "task": f"{JOB} {self._submitted}, {name}'s",
            "session_id": decisions.choose(("one", None)),
            "multitask_strategy": decisions.choose(("enqueue", "parallel", "parallel", "interrupt")),
            "timeout_seconds": decisions.choose((None, None, None, 100.0)),
            "max_iterations": decisions.choose((50, 50, 3)),
        }
        reply = user.request("POST", "/api/tasks", body)
        if reply.status != 201:
            return None
        task = reply.task()
        self.server.saw(task)
        return task.task_id

    def _await_server(self) -> None:
        while not self.server.up:
            self.simulation.sleep(1.0)

    def _let_all_end(self) -> None:
        begun = self.simulation.clock.monotonic()
        while True:
            self._await_server()
            unfinished = [row[0] for row in self.raw.execute(UNFINISHED_TASKS).fetchall()]
            if not unfinished:
                return
            late = self.simulation.clock.monotonic() - begun > PATIENCE
            self.simulation.check(not late, COMES_TO_AN_END, f"{unfinished} do not.", about=unfinished)
            self.approvers.answer_all()
            self.simulation.sleep(50.0)
