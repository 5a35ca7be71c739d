"""In which order tasks were confirmed, and what follows from that for `reject` and `interrupt` tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alex_actors.agent_protocol import CancelTask, TurnGranted
from alex_actors.diagrams.trace import Fact
from alex_actors.session_protocol import RequestTurn
from alex_actors.values import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation

INTERRUPTED = "A task that is to `interrupt` starts when each before it was asked to stop, or had ended by itself."
REJECTED = "A `reject` task is confirmed only if each of its session that was recorded before has ended."


class Confirmation(Value, frozen=True):
    """How a task that is recorded was confirmed."""

    task_id: str
    strategy: str
    session_key: int
    index: int
    """Where in the trace."""
    before: tuple[Confirmation, ...]
    """Those before it in its session's line, in order."""
    unfinished: tuple[str, ...]
    """The tasks, of whatever session, that were confirmed before it and had no end committed yet."""


class Confirmations:
    """All confirmations of a run, when it is over."""

    def __init__(self, *, simulation: Simulation, store: SimulatedStore, ended: Mapping[str, int]) -> None:
        """``ended`` says how long the trace was when a task's end was committed."""
        self._check = simulation.check
        self._trace = simulation.trace
        self._raw = store.raw
        self._ended = ended

    def all(self) -> list[Confirmation]:
        """Return how each task that is recorded was confirmed, in the order of their places."""
        stated = {  # of one that was confirmed again, after a crash: the last time
            entry.what.fields["task_id"]: entry.index
            for entry in self._trace
            if entry.kind == "logged" and isinstance(entry.what, Fact) and entry.what.name == "session.confirmed"
        }
        never = len(self._trace)
        found: list[Confirmation] = []
        rows = self._raw.execute("SELECT task_id, strategy, session_key FROM tasks ORDER BY place").fetchall()
        for task_id, strategy, key in rows:
            if (index := stated.get(task_id)) is not None:
                line = tuple(other for other in found if other.session_key == key)
                open_ = tuple(other.task_id for other in found if self._ended.get(other.task_id, never) > index)
                found.append(Confirmation(task_id, strategy, key, index, line, open_))
        return found

    def look(self) -> None:
        """Look at `reject` and `interrupt` tasks."""
        confirmations = self.all()
        for one in confirmations:
            if one.strategy == "reject":
                beside = [other.task_id for other in one.before if other.task_id in one.unfinished]
                seen = f"{one.task_id} is confirmed beside {', '.join(beside)}."
                self._check(not beside, REJECTED, seen, about=(one.task_id, *beside))
        if any(one.strategy == "interrupt" and one.before for one in confirmations):
            self._look_at_interruptions(confirmations)

    def _look_at_interruptions(self, confirmations: Collection[Confirmation]) -> None:
        """Not of what is granted after a crash of the session actor: then it may have been asked for twice."""
        requested: dict[str, int] = {}
        cancelled: set[str] = set()
        crashed: set[str] = set()
        lines = {one.task_id: one.before for one in confirmations if one.strategy == "interrupt"}
        for entry in self._trace:
            kind, what = entry.kind, entry.what
            if kind == "crashed":
                crashed.add(entry.who)
            elif kind == "handled" and isinstance(what, RequestTurn):
                requested[what.task_id] = entry.index
            elif kind == "sent" and isinstance(what, CancelTask):
                cancelled.add(what.context.task_id)
            elif kind == "sent" and isinstance(what, TurnGranted) and entry.who not in crashed:
                task_id = what.context.task_id
                for other in (one.task_id for one in lines.get(task_id, ()) if one.task_id not in cancelled):
                    ended = self._ended.get(other, entry.index) <= requested.get(task_id, 0)
                    seen = f"{task_id} starts; nobody asked {other} to stop."
                    fine = ended or f"AgentActor({other})" in crashed
                    self._check(fine, INTERRUPTED, seen, about=(task_id, other))
