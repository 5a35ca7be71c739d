"""What always holds, as checks: while the protocol runs, and of what is recorded when all has ended."""

from __future__ import annotations

import msgspec

from alex_actors.events import (
    EVENT_TYPES,
    AnyEvent,
    IterationComplete,
    IterationStart,
    RecordedEvent,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
)
from alex_actors.projection import Progress, advance
from alex_actors.tasks import UNFINISHED, Task
from alex_actors.values import TaskId
from tests.unit.protocol_system import ProtocolSystem

TERMINAL_TYPES = {EVENT_TYPES[event] for event in (TaskCompleted, TaskFailed, TaskCancelled)}

_decode = msgspec.json.Decoder[AnyEvent](AnyEvent).decode

FACTS = ("session.confirmed", "task.created", "agent.started", "task.started", "task.ended")
"""What the log tells of a task, in the only order in which it may."""


def check_start(system: ProtocolSystem, task: Task) -> None:
    """An agent starts only after its task is recorded, and, unless it is parallel, after all before it."""
    recorded = system.store.reader.task(task.task_id)
    assert recorded is not None, f"{task.task_id} runs, and is not recorded"
    assert task.session_id, f"{task.task_id} runs without a session"
    assert recorded.session_id == task.session_id
    if task.strategy == "parallel":
        return
    for task_id in system.store.task_ids():
        other = system.store.task(task_id)
        if other.session_id != task.session_id or other.place >= task.place:
            continue
        assert other.status not in UNFINISHED, f"{task.task_id} runs before {task_id} has ended"
        run = system.executor.runs.get(task_id)
        assert run is None or run.stopped, f"{task.task_id} runs beside {task_id}"


def check_published(system: ProtocolSystem, event: RecordedEvent) -> None:
    """An event is recorded before it is told, and the task's state is not behind it."""
    found = system.store.reader.events(event.task_id, after=event.event_id - 1, limit=1)
    assert found == (event,), f"event {event.event_id} is told, and not recorded"
    *_, before, last = (0, *(one.event_id for one in system.events))
    assert before < last == event.event_id, f"event {last} is told after {before}"
    check_state(system, event.task_id)


def check_state(system: ProtocolSystem, task_id: TaskId) -> None:
    """A task's state is what its recorded events make of it."""
    task, progress = system.store.task(task_id), Progress()
    for event in system.store.events(task_id):
        progress = advance(progress, event.timestamp, _decode(event.body))
    for field in ("status", "started_at", "completed_at", "current_iteration", "total_iterations", "tokens_used"):
        assert getattr(task, field) == getattr(progress, field), f"{field} of {task_id} is not of its events"
    assert (task.total_tokens, task.error) == (progress.total_tokens, progress.error)
    assert task.termination_reason == progress.termination_reason
    assert (task.result is not None) == (task.status == "completed")


def check_end(system: ProtocolSystem) -> None:
    """When all has ended: each task has one end, everything was told once, and nothing is left in memory."""
    assert system.leftovers() == {}
    assert [event.event_id for event in system.events] == system.store.event_ids()
    for task_id in system.store.task_ids():
        _check_ended_task(system, task_id)
    _check_log(system)


def _check_ended_task(system: ProtocolSystem, task_id: TaskId) -> None:
    task, events = system.store.task(task_id), system.store.events(task_id)
    types = [event.event_type for event in events]
    assert types[0] == "task_created", f"{task_id} begins with {types[0]}"
    assert types.count("task_created") == 1
    assert types.count("task_started") <= 1
    assert [kind for kind in types if kind in TERMINAL_TYPES] == [types[-1]], f"{task_id}: {types}"
    assert types[-1] == f"task_{task.status}"
    if len(types) > 2:
        assert types[1] == "task_started", f"{task_id}: {types}"
    assert task.session_id
    for event in events:
        shown = msgspec.json.decode(event.json())
        assert (shown["task_id"], shown["session_id"]) == (task_id, task.session_id)
    check_state(system, task_id)
    _check_nothing_lost(system, task, events)


def _check_nothing_lost(system: ProtocolSystem, task: Task, events: list[RecordedEvent]) -> None:
    """What the agent said is recorded in its order, once, from the first on; all of it if it completed."""
    bodies = [_decode(event.body) for event in events]
    turns = [
        (type(body), body.iteration) for body in bodies if isinstance(body, IterationStart | IterationComplete)
    ]
    whole = [(kind, turn) for turn in range(1, len(turns) + 1) for kind in (IterationStart, IterationComplete)]
    assert turns == whole[: len(turns)], f"{task.task_id} lost or doubled something: {turns}"
    if task.status == "completed":
        run = system.executor.runs[task.task_id]
        assert len(turns) == run.produced - 1, f"{task.task_id} lost something at its end"  # 1: task_started


def _check_log(system: ProtocolSystem) -> None:
    """The log tells each fact once, in the order of cause and effect, with the IDs that are recorded."""
    recorded = {task_id: system.store.task(task_id) for task_id in system.store.task_ids()}
    told: dict[str, list[str]] = {}
    confirmed = {line["task_id"]: line for line in system.log.lines if line["event"] == "session.confirmed"}
    for line in system.log.lines:
        task = recorded.get(TaskId(line.get("task_id", "")))
        if task is None:
            continue
        void = line["event"] == "session.confirmed" and confirmed[task.task_id] is not line
        assert void or line["session_id"] == task.session_id, line
        if line["event"] == "session.confirmed":
            told[task.task_id] = []  # one before it was void: the session actor crashed before it could answer
        if line["event"] in FACTS:
            told.setdefault(task.task_id, []).append(line["event"])
    for task_id, facts in told.items():
        # The agent says that it starts, the store says that the task runs; neither waits for the other's line.
        assert facts == [fact for fact in FACTS if fact in facts], f"{task_id}: {facts}"
        assert {"session.confirmed", "task.created", "task.ended"} <= set(facts)
