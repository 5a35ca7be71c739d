"""Runs to draw, written by hand or at random."""

from __future__ import annotations

import random

import pykka

from alex_actors.diagrams.rows import Diagram
from alex_actors.diagrams.trace import TIMERS, Fact, Trace
from alex_actors.messages import Ask
from alex_actors.values import Context, Value

WHOSE = Context("trace-1")


class Confirmed(Value, frozen=True):
    session_id: str
    place: int


class Confirm(Ask[pykka.Actor, Confirmed], frozen=True, kw_only=True):
    task_id: str
    strategy: str = "enqueue"


class Create(Value, frozen=True):
    task_id: str
    session_id: str


class TaskEnded(Value, frozen=True):
    task_id: str
    status: str


class Settle(Value, frozen=True):
    task_id: str


class Say(Value, frozen=True):
    text: str
    count: int
    reply_id: str


def at(trace: Trace, step: int, seconds: float = 0.0) -> None:
    trace.step, trace.at = step, seconds


def send(trace: Trace, who: str, what: object, peer: str) -> int:
    return trace.add("sent", who, what, peer=peer)


def handle(trace: Trace, sent: int) -> int:
    entry = trace.entries[sent]
    return trace.add("handled", entry.peer, entry.what, peer=entry.who, cause=sent)


def example() -> Trace:
    """An ask, a tell that is late, a crash and a restart, a message to the dead, a give up, a failure."""
    trace = Trace()
    at(trace, 1)
    confirm = send(trace, "alice", Confirm(context=WHOSE, task_id="task-1"), "SessionActor")
    at(trace, 2)
    handle(trace, confirm)
    trace.add("logged", "SessionActor", Fact("session.confirmed", {"session_id": "s1"}))
    trace.add("answered", "SessionActor", Confirmed("s1", 1), peer="alice", cause=confirm)
    at(trace, 3)
    ended = send(trace, "AgentActor(task-1)", TaskEnded("task-1", "completed"), "SessionActor")
    trace.add("stopped", "AgentActor(task-1)", "")
    at(trace, 4)
    create = send(trace, "alice", Create("task-1", "s1"), "TaskStoreActor")
    at(trace, 5)
    handle(trace, create)
    trace.add("crashed", "TaskStoreActor", ValueError("disk\nfull"))
    trace.add("restarted", "TaskStoreActor", "")
    at(trace, 6, 0.25)
    settle = send(trace, TIMERS, Settle("task-1"), "SessionActor")
    at(trace, 7, 0.25)
    handle(trace, settle)
    send(trace, "SessionActor", Settle("task-1"), "AgentActor(task-1)")
    at(trace, 8, 0.25)
    handle(trace, ended)
    at(trace, 9, 65.0)
    trace.add("gave up", "alice", Create("task-1", "s1"), peer="TaskStoreActor", cause=create)
    trace.add("failed", "the run", "A task has one terminal event.\ntask-1 has none, and its agent is gone.")
    return trace


def random_run(choices: random.Random) -> Trace:
    """Four actors, each message with a name of its own, handled in any order, not all of them."""
    trace = Trace()
    waiting: list[int] = []
    for step in range(choices.randrange(4, 40)):
        at(trace, step)
        if waiting and choices.random() < 0.5:
            handle(trace, waiting.pop(choices.randrange(len(waiting))))
        who, peer = choices.choice("abcd"), choices.choice("abcd")
        waiting.append(send(trace, who, f"message {step}", peer))
    return trace


def as_done(trace: Trace, name: str) -> list[tuple[str, object]]:
    return [(entry.kind, entry.what) for entry in trace if entry.who == name]


def as_seen(trace: Trace) -> dict[str, list[tuple[str, object]]]:
    """What each lifeline of the picture shows, from top to bottom."""
    diagram = Diagram(trace)
    seen: dict[str, list[tuple[str, object]]] = {name: [] for name in diagram.participants}
    for row in diagram.rows:
        if row.shape in ("message", "sent", "waiting"):
            seen[row.source].append(("sent", row.what))
        if row.shape in ("message", "arrival"):
            seen[row.target].append(("handled", row.what))
    return seen
