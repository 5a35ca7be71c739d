"""What is looked at when a run with the server's own agent is over: what is recorded of its turns and calls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from alex_actors.approvals import LAPSED
from alex_actors.events import (
    TERMINAL,
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    AssistantDelta,
    ErrorRaised,
    IterationComplete,
    TaskResumed,
    ThinkComplete,
    ToolCallComplete,
    ToolCallStart,
    read_back,
)
from alex_actors.ports import Decision
from alex_actors.values import Timestamp, milliseconds_between
from tests.simulation.chancy_provider import Served
from tests.simulation.guarded_tools import APPROVED, BY_THEMSELVES

if TYPE_CHECKING:
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation

ASKED_ONCE = (
    "A call is asked about once, and decided on once, by a word that somebody said or by the lapse of time."
)
DENIED = "A call that needs a person's word begins after a yes; after a no it does not, and its model hears so."
IN_ORDER = "A call that is to run alone begins when those before it have ended, and those after it when it has."
LAPSES = "A request for approval lapses when its time is over, restarts or not, and is not approved after it."
JOINED = "What a model's text was told in, since the last error in thinking or the last restart, is its text."
COUNTED = "A task has used what its models' recorded turns took, each counted once with all of its attempts."
NEVER_SHRINKS = "What a task has used never shrinks, restarts or not."
LEADS_ON = (
    "After an error that a task survives it is tried again, or it ends; after one that it does not, it ends."
)

LATE = 30.0
"""Virtual seconds within which a request lapses, once its time is over: what a crash loses is sent again after
five, and after ten."""
EVENTS = "SELECT timestamp, body FROM events JOIN tasks USING (place) WHERE task_id = ? ORDER BY event_id"


class AfterReact:
    """Looks at a run that is over."""

    def __init__(self, simulation: Simulation, store: SimulatedStore) -> None:
        self._check = simulation.check
        self._raw = store.raw

    def look_at_all(
        self,
        *,
        served: Mapping[str, Served],
        words: Mapping[str, tuple[str, str, Decision]],
        prompt: bool,
        downtime: float,
    ) -> None:
        """Look at each task. ``prompt``: nothing is late but for a process that was not there for ``downtime``."""
        for (task_id,) in self._raw.execute("SELECT task_id FROM tasks ORDER BY place").fetchall():
            rows = self._raw.execute(EVENTS, (task_id,)).fetchall()
            history = [(Timestamp(at), read_back(body)) for at, body in rows]
            events = [event for _, event in history]
            self._look_at_approvals(task_id, events, words)
            self._look_at_texts(task_id, events, served)
            self._look_at_counts(task_id, events)
            self._look_at_order(task_id, events)
            self._look_at_errors(task_id, events)
            if prompt:
                self._look_at_lapses(task_id, history, downtime)

    def _look_at_approvals(
        self, task_id: str, events: Sequence[AnyEvent], words: Mapping[str, tuple[str, str, Decision]]
    ) -> None:
        requested: dict[str, str] = {}
        resolved: dict[str, ApprovalResolved] = {}
        for event in events:
            seen, about = f"{task_id}: {event} after {list(requested)} and {list(resolved)}.", (task_id,)
            match event:
                case ApprovalRequested(call_id=call_id):
                    self._check(call_id not in requested, ASKED_ONCE, seen, about=about)
                    requested[call_id] = event.tool_name
                case ApprovalResolved(call_id=call_id):
                    fine = call_id in requested and call_id not in resolved
                    self._check(fine and _was_said(task_id, event, words), ASKED_ONCE, seen, about=about)
                    resolved[call_id] = event
                case ToolCallStart(call_id=call_id, tool_name=name):
                    word = resolved.get(call_id)
                    fine = name not in APPROVED if word is None else word.approved
                    self._check(fine, DENIED, seen, about=about)
                case ToolCallComplete(call_id=call_id) if call_id in resolved:
                    fine = resolved[call_id].approved or "denied" in (event.error or "")
                    self._check(fine, DENIED, seen, about=about)
                case _:
                    pass

    def _look_at_texts(self, task_id: str, events: Sequence[AnyEvent], served: Mapping[str, Served]) -> None:
        """Pieces make texts, and texts are those that were given, with what they took."""
        joined, about = "", (task_id,)
        for event in events:
            match event:
                case AssistantDelta(delta=delta):
                    joined += delta
                case ErrorRaised(phase="think") | TaskResumed():
                    joined = ""
                case ThinkComplete(content=content, usage=usage):
                    seen = f"{task_id} says {content!r} for {usage}, told in {joined!r}."
                    self._check(joined == content, JOINED, seen, about=about)
                    joined = ""
                    if content and usage is not None:
                        given = served.get(content)
                        fine = given is not None and given.calls == event.tool_call_count
                        self._check(
                            fine and given is not None and given.task_id == task_id, JOINED, seen, about=about
                        )
                        took = None if given is None else (given.usage.tokens, given.usage.estimated)
                        seen = f"{seen} It took {given}."
                        self._check(took == (usage.tokens, usage.estimated), COUNTED, seen, about=about)
                case _:
                    pass

    def _look_at_counts(self, task_id: str, events: Sequence[AnyEvent]) -> None:
        tokens, cost, about = 0, 0.0, (task_id,)
        for event in events:
            match event:
                case ThinkComplete(usage=usage) | ErrorRaised(usage=usage) if usage is not None:
                    tokens, cost = tokens + usage.tokens, cost + (usage.cost_usd or 0.0)
                case IterationComplete():
                    seen = f"{task_id} has used {tokens} tokens and {cost} dollars, and says {event}."
                    fine = event.tokens_used == tokens and math.isclose(event.cost_usd or 0.0, cost, abs_tol=1e-9)
                    self._check(fine, COUNTED, seen, about=about)
                case _:
                    pass
        row = self._raw.execute(
            "SELECT tokens_used, cost_usd, total_tokens FROM tasks WHERE task_id = ?", (task_id,)
        ).fetchone()
        seen = f"{task_id} has used {tokens} tokens and {cost} dollars; its record says {row}."
        fine = row[0] == row[2] == tokens and math.isclose(row[1], cost, abs_tol=1e-9)
        self._check(fine, COUNTED, seen, about=about)

    def _look_at_order(self, task_id: str, events: Sequence[AnyEvent]) -> None:
        """Of each turn, as far as its calls are on record."""
        begun: dict[str, str] = {}
        ended: set[str] = set()
        for event in events:
            if isinstance(event, ToolCallComplete):
                ended.add(event.call_id)
            if isinstance(event, ToolCallStart):
                turn, number = event.call_id.rsplit("-", 1)
                for other, name in begun.items():
                    others_turn, others_number = other.rsplit("-", 1)
                    apart = turn == others_turn and not {name, event.tool_name}.isdisjoint(BY_THEMSELVES)
                    fine = not apart or (int(others_number) < int(number) and other in ended)
                    seen = f"{task_id}: {event.call_id} ({event.tool_name}) begins after {other} ({name})."
                    self._check(fine, IN_ORDER, seen, about=(task_id,))
                begun[event.call_id] = event.tool_name

    def _look_at_errors(self, task_id: str, events: Sequence[AnyEvent]) -> None:
        for event, following in itertools.pairwise(events):
            if isinstance(event, ErrorRaised) and event.phase == "think":
                seen = f"{task_id}: after {event} comes {following}."
                ends = isinstance(following, (*TERMINAL, TaskResumed))
                again = not isinstance(following, IterationComplete | ToolCallStart | ApprovalRequested)
                self._check(ends or (event.recoverable and again), LEADS_ON, seen, about=(task_id,))

    def _look_at_lapses(
        self, task_id: str, history: Sequence[tuple[Timestamp, AnyEvent]], downtime: float
    ) -> None:
        due: dict[str, Timestamp] = {}
        for at, event in history:
            if isinstance(event, ApprovalResolved):
                expires_at = due.pop(event.call_id, None)
                late = 0.0 if expires_at is None else milliseconds_between(expires_at, at) / 1000
                seen = f"{task_id}: {event}, {late} seconds after its time."
                self._check(not (event.approved and late > 0.001), LAPSES, seen, about=(task_id,))
            for call_id, expires_at in due.items():
                late = milliseconds_between(expires_at, at) / 1000
                seen = f"{task_id}: {call_id} still waits {late} seconds after its time, at {event}."
                self._check(late <= LATE + downtime, LAPSES, seen, about=(task_id,))
            if isinstance(event, ApprovalRequested) and event.expires_at is not None:
                due[event.call_id] = event.expires_at


def _was_said(task_id: str, event: ApprovalResolved, words: Mapping[str, tuple[str, str, Decision]]) -> bool:
    if event.reason == LAPSED.reason:
        return not event.approved
    whose, call_id, word = words.get(event.reason or "", ("", "", LAPSED))
    return (whose, call_id, word.approved, word.arguments) == (
        task_id, event.call_id, event.approved, event.arguments
    )  # fmt: skip
