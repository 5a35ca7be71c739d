"""People who say yes and no to tool calls: late, twice, with other arguments, to calls that wait no more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from alex_actors.ports import Decision
from alex_actors.replies import ApproveReply, Decided, NothingWaits, Unavailable
from alex_actors.simulation.faults import InjectedCrash
from alex_actors.simulation.runtime import ConnectionLost
from alex_actors.tasks import UNFINISHED
from alex_actors.values import TaskId, Timestamp, moment

if TYPE_CHECKING:
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Client, Simulation
    from tests.simulation.http_clients import SimulatedServer

WORD_KEPT = "A person who is told that his word is recorded finds it on record: the first one counts."
HEARD = "A person's word on a call that waits is taken; who is told that it waits no more finds why on record."

REQUESTS = (
    "SELECT task_id, body FROM events JOIN tasks USING (place) WHERE event_type = 'approval_requested' "
    "AND completed_at IS NULL ORDER BY event_id"
)
RESOLUTIONS = (
    "SELECT body FROM events JOIN tasks USING (place) WHERE event_type = 'approval_resolved' AND task_id = ? "
    "ORDER BY event_id"
)


class Request(msgspec.Struct, frozen=True):
    """A call that waits, as it is recorded."""

    task_id: str
    call_id: str
    expires_at: Timestamp | None


class Approvers:
    """All of a run."""

    def __init__(self, simulation: Simulation, store: SimulatedStore, server: SimulatedServer) -> None:
        self.words: dict[str, tuple[str, str, Decision]] = {}
        """What was said of which call of which task, by the reason that was given: each word has its own."""
        self._simulation = simulation
        self._decisions = simulation.decisions
        self._raw = store.raw
        self._server = server
        self._twins: list[Client[None]] = []
        self._eager = simulation.decisions.choose((0.9, 0.6, 0.2))  # how often a call is answered that is seen

    def waiting(self) -> list[Request]:
        """Return the calls that wait, by the record."""
        requests = []
        for task_id, body in self._raw.execute(REQUESTS).fetchall():
            event = msgspec.json.decode(body)
            if self._resolution(task_id, event["call_id"]) is None:
                requests.append(Request(task_id, event["call_id"], event.get("expires_at")))
        return requests

    def visit(self, await_server: Callable[[], None]) -> None:
        """Look a few times at what waits, and answer some of it. ``await_server`` waits for a process."""
        for _ in range(self._decisions.pick(8) + 2):
            self._simulation.sleep(self._decisions.choose((0.2, 1.0, 5.0, 30.0)))
            await_server()
            waiting = self.waiting()
            if not waiting:
                if self._decisions.chance(0.1):
                    self._answer_what_does_not_wait()
                continue
            if not self._decisions.chance(self._eager):
                continue
            request = self._decisions.choose(waiting)
            if self._decisions.chance(0.3):
                name = f"{self._simulation.scheduler.speaker}'s twin"
                self._twins.append(self._simulation.client(name, partial(self._answer, request)))
            if request.expires_at is not None and self._decisions.chance(0.1):
                left = (moment(request.expires_at) - self._simulation.clock.now()).total_seconds()
                self._simulation.sleep(max(0.0, left + self._decisions.choose((-0.01, 0.0, 0.5))))
            self._answer(request)

    def answer_all(self) -> None:
        """Answer what waits, whatever was to be."""
        for request in self.waiting():
            self._answer(request)

    def twins_end(self) -> None:
        """Wait for those who answer at the same time as others."""
        for twin in self._twins:
            twin.result()

    def _answer(self, request: Request) -> None:
        decisions, number = self._decisions, len(self.words)
        approved = decisions.choose((True, True, False))
        arguments = {"number": 1_000_000 + number} if approved and decisions.chance(0.3) else None
        reason = f"word {number}"
        decision = Decision(approved=approved, reason=reason, arguments=arguments)
        self.words[reason] = (request.task_id, request.call_id, decision)
        self._say(request, decision)

    def _answer_what_does_not_wait(self) -> None:
        rows = self._raw.execute("SELECT task_id FROM tasks ORDER BY place").fetchall()
        if rows:
            request = Request(self._decisions.choose(rows)[0], "call-1-1", None)
            self._answer(request)

    def _say(self, request: Request, decision: Decision) -> None:
        task_id, call_id = TaskId(request.task_id), request.call_id
        waited = any((one.task_id, one.call_id) == (task_id, call_id) for one in self.waiting())
        try:
            reply = self._server.system.approve(task_id, call_id, decision)
        except (ConnectionLost, Unavailable, InjectedCrash):
            return  # whether it counts, the record says
        self._look_at(reply, request, decision, waited=waited)

    def _look_at(self, reply: ApproveReply, request: Request, decision: Decision, *, waited: bool) -> None:
        task_id, check = request.task_id, self._simulation.check
        recorded = self._resolution(task_id, request.call_id)
        seen = f"{decision} on {request.call_id} of {task_id} is answered {reply}; recorded is {recorded}."
        match reply:
            case Decided():
                check(recorded == said(decision), WORD_KEPT, seen, about=(task_id,))
            case NothingWaits("decided"):
                fine = recorded is not None and recorded["reason"] != decision.reason
                check(fine, HEARD, seen, about=(task_id,))
            case NothingWaits("ended"):
                row = self._raw.execute("SELECT status FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
                check(row[0] not in UNFINISHED or self._crashed(task_id), HEARD, seen, about=(task_id,))
            case NothingWaits("unknown"):
                check(not waited or self._crashed(task_id), HEARD, seen, about=(task_id,))
            case _:
                check(False, HEARD, seen, about=(task_id,))

    def _crashed(self, task_id: str) -> bool:
        who = f"AgentActor({task_id})"
        return any(entry.kind == "crashed" and entry.who == who for entry in self._simulation.trace)

    def _resolution(self, task_id: str, call_id: str) -> dict[str, Any] | None:  # Any: JSON
        for (body,) in self._raw.execute(RESOLUTIONS, (task_id,)).fetchall():
            event: dict[str, Any] = msgspec.json.decode(body)
            if event["call_id"] == call_id:
                event.pop("event_type")
                return {name: value for name, value in event.items() if name != "call_id"}
        return None


def said(decision: Decision) -> dict[str, Any]:  # Any: JSON
    """Return a person's word as it is recorded."""
    word: dict[str, Any] = {"approved": decision.approved, "reason": decision.reason}
    return word if decision.arguments is None else {**word, "arguments": decision.arguments}
