"""What clients of a server were told, and whether a server that was started again still says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

Json: TypeAlias = dict[str, Any]  # Any: JSON of the contract

TERMINAL = ("task_completed", "task_failed", "task_cancelled")
WAITS_IN_LINE = ("enqueue", "interrupt")
"""The strategies with which a task starts when all before it have ended."""
COUNTERS = ("current_iteration", "tokens_used", "total_iterations", "total_tokens", "cost_usd")
"""What of a task never falls."""
UNCHANGING = ("task_id", "session_id", "task", "created_at", "multitask_strategy")
"""What of a task never changes."""
RESUMED = "completed"
"""What becomes of a task that was interrupted by a crash, and that nobody cancelled."""


@dataclass
class Told:
    """All that clients were told, with what counts: after a reply, or an event, it holds for ever."""

    submitted: dict[str, Json] = field(default_factory=dict)
    """Tasks that were answered with 201: the request's body."""
    sessions: dict[str, str] = field(default_factory=dict)
    """The session of each of these."""
    keys: dict[str, str] = field(default_factory=dict)
    """Idempotency keys, each with the task that it was answered with."""
    cancelled: set[str] = field(default_factory=set)
    """Tasks whose cancel was answered with 200."""
    perhaps_cancelled: set[str] = field(default_factory=set)
    """Tasks whose cancel was sent."""
    perhaps_interrupted: set[str] = field(default_factory=set)
    """Sessions to which a submit was sent that cancels what is unfinished there."""
    deleted: set[str] = field(default_factory=set)
    """Sessions whose deletion was answered with 204."""
    perhaps_deleted: set[str] = field(default_factory=set)
    """Sessions whose deletion was sent."""
    events: dict[str, dict[int, Json]] = field(default_factory=dict)
    """Events that were sent on a stream, or read, by task and id."""
    last_event: int = 0
    """The largest id of these."""
    ids_before: dict[str, int] = field(default_factory=dict)
    """Of each submitted task, the largest id that was known when its run of the server began."""
    lines: dict[str, list[str]] = field(default_factory=dict)
    """The tasks of each session in the order of their confirmation: not always that of their first events."""
    positions: dict[str, int] = field(default_factory=dict)
    """The last event that came on the stream of a session."""
    seen: dict[str, Json] = field(default_factory=dict)
    """The last that was read of each task."""
    steps: int = 0
    """How much clients have done."""
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def event(self, event: Json) -> None:
        """Note an event; what was seen of it before has to be the same."""
        event_id = event["event_id"]
        known = self.events.setdefault(event["task_id"], {}).setdefault(event_id, event)
        if known != event:
            self.wrong.append(f"event {event_id} was {known}, and is {event}")
        self.last_event = max(self.last_event, event_id)

    def task(self, task: Json) -> None:
        """Note a task as it was read; what was read of it before has to lead there."""
        task_id = task["task_id"]
        before = self.seen.get(task_id)
        if before is not None:
            self.wrong += [f"{task_id}: {fault}" for fault in _gone_back(before, task)]
        self.seen[task_id] = task

    def is_deleted(self, task_id: str) -> bool:
        """Return whether its session is deleted, or was being deleted."""
        return self.sessions.get(task_id) in self.perhaps_deleted


def _gone_back(before: Json, after: Json) -> list[str]:
    """Return what of a task is not as it may be after it was as before."""
    steps = ("pending", "running", "ended")
    place = [steps.index(task["status"]) if task["status"] in steps else 2 for task in (before, after)]
    wrong = []
    if place[0] > place[1] or (place[0] == 2 and before != after):
        wrong.append(f"it was {before}, and is {after}")
    fell = [name for name in COUNTERS if after[name] < before[name]]
    changed = [name for name in UNCHANGING if after[name] != before[name]]
    return wrong + [f"{name} was {before[name]}, and is {after[name]}" for name in fell + changed]


class Checks:
    """Compares what was told with what a server says now."""

    def __init__(self, told: Told, client: httpx.AsyncClient) -> None:
        self._told = told
        self._client = client

    async def tasks(self, task_ids: list[str]) -> None:
        """Compare tasks and their events."""
        for task_id in task_ids:
            reply = await self._client.get(f"/api/tasks/{task_id}")
            if reply.status_code == 404 and self._told.is_deleted(task_id):
                continue
            if reply.status_code != 200:
                self._told.wrong.append(f"{task_id} was answered with 201, and now with {reply.text}")
                continue
            task = reply.json()
            self._told.task(task)
            if task["session_id"] != self._told.sessions[task_id]:
                self._told.wrong.append(f"{task_id} was in {self._told.sessions[task_id]}: {task}")
            events = await self._events(task_id)
            missing = self._told.events.get(task_id, {}).keys() - {event["event_id"] for event in events}
            if missing:
                self._told.wrong.append(f"{task_id}: events were seen that are gone: {sorted(missing)}")
            for event in events:
                self._told.event(event)

    async def deleted(self) -> None:
        """Look for sessions that were deleted, and for such as are deleted by half."""
        for session_id in self._told.perhaps_deleted:
            reply = await self._client.get(f"/api/sessions/{session_id}")
            tasks = [one for one, session in self._told.sessions.items() if session == session_id]
            found = [(await self._client.get(f"/api/tasks/{one}")).status_code for one in tasks]
            expected = [404] if session_id in self._told.deleted else [404, 200]
            if reply.status_code not in expected or any(status != reply.status_code for status in found):
                self._told.wrong.append(f"{session_id} was deleted: it is {reply.status_code}, its tasks {found}")

    async def keys(self, keys: list[str]) -> None:
        """Repeat submits under their keys."""
        told = self._told
        for key in keys:
            task_id = told.keys[key]
            body, headers = told.submitted[task_id], {"Idempotency-Key": key}
            reply = await self._client.post("/api/tasks", json=body, headers=headers)
            if reply.status_code != 200 or reply.json()["task_id"] != task_id:
                told.wrong.append(f"a repeat of {task_id} was answered with {reply.status_code}: {reply.text}")
            told.counts["repeats"] += 1

    async def ends(self, *, within: float) -> None:
        """Wait for the end of every task, and look at all of them."""
        told = self._told
        for task_id in told.submitted:
            reply = await self._client.get(f"/api/tasks/{task_id}", params={"wait": within})
            if reply.status_code == 200 and reply.json()["completed_at"] is None:
                told.wrong.append(f"{task_id} has not ended within {within:g} s: {reply.json()}")
        await self.tasks(list(told.submitted))
        await self.deleted()
        for session_id in set(told.sessions.values()) - told.perhaps_deleted:
            session = (await self._client.get(f"/api/sessions/{session_id}")).json()
            told.lines[session_id] = [task["task_id"] for task in session["tasks"]]
        told.wrong += faults_of(told)

    async def _events(self, task_id: str) -> list[Json]:
        found: list[Json] = []
        while True:
            after = found[-1]["event_id"] if found else 0
            query = {"after": after, "limit": 1000}
            accept = {"Accept": "application/json"}
            reply = await self._client.get(f"/api/tasks/{task_id}/events", params=query, headers=accept)
            page: list[Json] = reply.json()["events"]
            found += page
            if len(page) < query["limit"]:
                return found


def faults_of(told: Told) -> list[str]:
    """Return what is wrong with the tasks, all of which have ended, as they and their events were last read."""
    by_task = {
        task_id: [events[event_id] for event_id in sorted(events)]
        for task_id, events in told.events.items()
        if task_id in told.submitted and not told.is_deleted(task_id)
    }
    wrong = [
        f"{task_id}: {fault}" for task_id, events in by_task.items() for fault in _faults(told, task_id, events)
    ]
    return wrong + _overlaps(by_task, told)


def _faults(told: Told, task_id: str, events: list[Json]) -> list[str]:
    """Return what is wrong with a task that has ended, and with all of its events."""
    task, wrong = told.seen[task_id], []
    names = [event["event_type"] for event in events]
    if names[0] != "task_created" or [name for name in names if name in TERMINAL] != names[-1:]:
        wrong.append(f"it has not one beginning and one end: {names}")
    if {event["session_id"] for event in events} != {told.sessions[task_id]}:
        wrong.append(f"its events are of other sessions: {events}")
    if events[0]["event_id"] <= told.ids_before[task_id]:
        wrong.append(f"its first event is not after {told.ids_before[task_id]}: {events[0]}")
    expected = _expected(told, task_id)
    if task["status"] not in expected:
        wrong.append(f"it is {task['status']} ({task['error']}), and not {' or '.join(expected)}")
    done = [event["iteration"] for event in events if event["event_type"] == "iteration_complete"]
    if done != sorted(set(done)):
        wrong.append(f"it ran an iteration twice: {done}")
    if task["status"] == "completed" and done != list(range(1, task["total_iterations"] + 1)):
        wrong.append(f"it left an iteration out: {done} of {task['total_iterations']}")
    if (task["total_iterations"], task["total_tokens"]) != (task["current_iteration"], task["tokens_used"]):
        wrong.append(f"its counters are not those of its end: {task}")
    return wrong


def _expected(told: Told, task_id: str) -> list[str]:
    """Return how a task may have ended."""
    if task_id in told.cancelled:
        return ["cancelled"]
    ran = "failed" if told.submitted[task_id]["task"].endswith("then fail") else RESUMED
    perhaps = task_id in told.perhaps_cancelled or told.sessions[task_id] in told.perhaps_interrupted
    return [ran, "cancelled"] if perhaps else [ran]


def _overlaps(by_task: dict[str, list[Json]], told: Told) -> list[str]:
    """Return the tasks that ran before one ahead of them in their session's line had ended."""
    wrong = []
    for line in told.lines.values():
        ended = 0
        for task_id in filter(by_task.__contains__, line):  # others: the server was killed before it answered
            events = by_task[task_id]
            began = next((one["event_id"] for one in events if one["event_type"] == "task_started"), None)
            strategy = told.submitted[task_id].get("multitask_strategy", "enqueue")
            if began is not None and strategy in WAITS_IN_LINE and began < ended:
                wrong.append(f"{task_id} ({strategy}) began at {began}, and one before it ended at {ended}")
            ended = max(ended, events[-1]["event_id"])
    return wrong
