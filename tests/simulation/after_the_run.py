"""What is looked at when a run of the whole server is over: in its trace, and in what is recorded."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from alex_actors.agent_protocol import CancelTask, RecordRefused, RecordsMissing, TurnGranted, _DeadlineReached
from alex_actors.diagrams.trace import Fact
from alex_actors.messages import Message
from alex_actors.session_protocol import EraseFailed, RequestTurn, SessionErased
from alex_actors.simulation.faults import InjectedCrash
from alex_actors.simulation.resumptions import Life
from alex_actors.simulation.store import SimulatedStore
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.simulation.world import Simulation
from alex_actors.task_store_protocol import Record
from alex_actors.values import milliseconds_between, timestamp
from tests.simulation.deleting_clients import REFUSED_MEANWHILE

ONLY_WHAT_IS_WANTED = "Nothing crashes but what the run wants to crash."
TURN_ONCE = "A turn is granted once, also when who grants it crashed in between."
NOT_IN_LINE = "A `parallel` task has its turn as soon as it asks for it, if there is room."
FILLED_AT_ONCE = "An agent's actor that hears that records are missing sends them at once."
IN_TIME = "A task ends when its timeout is over, or the grace after it."

BEGIN = timestamp(EPOCH)
ONE_MILLISECOND = 1.0
"""Of times as they are recorded: they are rounded."""


class AfterTheRun:
    """Looks at a run that is over."""

    def __init__(self, simulation: Simulation, store: SimulatedStore, lives: Sequence[Life]) -> None:
        """``lives`` are those of the server."""
        self._check = simulation.check
        self._trace = simulation.trace
        self._raw = store.raw
        self._begins = {life.begun for life in lives}

    def look_at_turns(self) -> None:
        """Nobody is given two turns by one process."""
        granted: set[str] = set()
        for entry in self._trace:
            if entry.index in self._begins:
                granted = set()
            if entry.kind == "sent" and isinstance(entry.what, TurnGranted):
                seen = f"{entry.peer} had it twice."
                self._check(entry.peer not in granted, TURN_ONCE, seen, about=(entry.peer,))
                granted.add(entry.peer)

    def look_at_crashes(self) -> None:
        """Nobody crashes by himself."""
        for entry in self._trace:
            if entry.kind == "crashed":
                wanted = isinstance(entry.what, InjectedCrash | SQLAlchemyError)
                self._check(wanted, ONLY_WHAT_IS_WANTED, f"{entry}", about=(entry.who,))

    def look_at_promptness(self, *, room: bool) -> None:
        """Who must do something at once does it before anything else. Not for runs in which the process died.

        With ``room`` as many agents may run as there are.
        """
        parallel = {row[0] for row in self._raw.execute("SELECT task_id FROM tasks WHERE strategy = 'parallel'")}
        due: dict[str, tuple[str, str]] = {}  # of whom something is due: about which task, and by which rule
        refused: set[str] = set()
        crashed: set[str] = set()
        for entry in self._trace:
            kind, who, what = entry.kind, entry.who, entry.what
            if kind == "sent":
                if due and isinstance(what, Record | TurnGranted | CancelTask):
                    due.pop(who, None)
            elif kind == "handled":
                if who in due:
                    task_id, rule = due[who]
                    self._check(False, rule, f"{who} did not, and went on with {entry}.", about=(task_id,))
                if isinstance(what, RecordRefused):
                    refused.add(who)  # it has dropped what it had to send
                elif isinstance(what, RecordsMissing) and who not in refused:
                    due[who] = (what.context.task_id, FILLED_AT_ONCE)
                elif isinstance(what, RequestTurn) and room and who not in crashed and what.task_id in parallel:
                    due[who] = (what.task_id, NOT_IN_LINE)
            elif kind == "crashed":
                due.pop(who, None)
                crashed.add(who)  # if it is the session actor, it hears first who has a turn

    def look_at_deletions(self) -> None:
        """Nothing is confirmed in a session that is being deleted. Not for runs in which the process died."""
        deleting: dict[tuple[str, str], str] = {}  # which sessions, and who does it
        owners: dict[str, str] = {}  # by the trace ID of their requests: the log does not say
        for entry in self._trace:
            if isinstance(entry.what, Message):
                owners[entry.what.context.trace_id] = entry.what.context.owner
            if entry.kind == "crashed":
                deleting = {session: who for session, who in deleting.items() if who != entry.who}
            elif entry.kind == "handled" and isinstance(entry.what, EraseFailed | SessionErased):
                deleting.pop(entry.what.context.session, None)
            elif isinstance(entry.what, Fact):
                fields = entry.what.fields
                session = owners.get(fields.get("trace_id", ""), ""), fields.get("session_id", "")
                match entry.what.name:
                    case "session.deleting":
                        deleting[session] = entry.who
                    case "session.deleted":
                        deleting.pop(session, None)
                    case "session.confirmed":
                        seen = f"{fields['task_id']} is confirmed in {session}."
                        self._check(session not in deleting, REFUSED_MEANWHILE, seen, about=(session[1],))

    def look_at_timeouts(self, *, grace: float, downtime: float) -> None:
        """Nobody runs longer than he may. Not for runs in which time passes although others could go on."""
        rows = self._raw.execute(
            "SELECT task_id, timeout_seconds, started_at, completed_at FROM tasks WHERE timeout_seconds "
            "AND started_at AND termination_reason IS NOT 'interrupted'"  # that is a process that died
        ).fetchall()
        told: dict[str, float] = {}  # the first time: one that was told may be told again by the next process
        for entry in self._trace:
            if entry.kind == "handled" and isinstance(entry.what, _DeadlineReached):
                told.setdefault(entry.what.context.task_id, entry.at)
        for task_id, timeout, started_at, completed_at in rows:
            took = milliseconds_between(started_at, completed_at)
            if task_id in told:
                late = told[task_id] * 1000 - milliseconds_between(BEGIN, started_at) - (timeout + downtime) * 1000
                seen = f"{task_id} is told {late / 1000} seconds too late that its {timeout} seconds are over."
                self._check(late <= ONE_MILLISECOND, IN_TIME, seen, about=(task_id,))
            if took > (timeout + grace + downtime) * 1000 + ONE_MILLISECOND:
                crashed = {entry.who for entry in self._trace if entry.kind == "crashed"}
                seen = f"{task_id} took {took / 1000} seconds; its timeout is {timeout}."
                self._check(f"AgentActor({task_id})" in crashed, IN_TIME, seen, about=(task_id,))
