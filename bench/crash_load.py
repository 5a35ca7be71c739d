"""Clients of a server that may be gone at any moment, who note all that they were told."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from bench.crash_checks import Checks, Json, Told

SESSIONS = 6
"""Sessions that all share."""
INTERRUPTED = (0, 3)
"""Those of them in which a task may cancel those before it."""
SUBMITTERS = 4
KEYED = 0.5
"""How many of the submits have an idempotency key."""
PAUSE = 0.03
"""Seconds between two requests of one client, on average: the server has to come to running tasks as well."""
STRATEGIES = ("enqueue", "enqueue", "enqueue", "parallel", "interrupt", "reject")


class Load:
    """Clients that submit, cancel, delete, repeat, read and follow. Each goes on until the server is gone."""

    def __init__(self, *, told: Told, client: httpx.AsyncClient, randomness: random.Random, number: int) -> None:
        """``number`` is that of the run of the server, for names."""
        self._told = told
        self._client = client
        self._random = randomness
        self._number = number
        self._names = iter(range(1_000_000))
        self._last_before = told.last_event

    async def run(self) -> None:
        """Go on until the server is gone, or this is cancelled. ``told.steps`` counts what they did."""
        clients = [self._submit] * SUBMITTERS + [self._cancel, self._delete, self._read, self._repeat]
        everybody = [self._again(client) for client in clients]
        everybody += [self._until_gone(self._follow(f"shared-{number}")) for number in range(2)]
        await asyncio.gather(*everybody)

    async def _again(self, step: Callable[[], Awaitable[None]]) -> None:
        async def for_ever() -> None:
            while True:
                await self._client.get("/ready")  # so that one with nothing to do notices the end as well
                await step()
                self._told.steps += 1
                await asyncio.sleep(self._random.expovariate(1 / PAUSE))

        await self._until_gone(for_ever())

    async def _until_gone(self, work: Awaitable[None]) -> None:
        try:
            await work
        except httpx.TransportError:
            self._told.counts["requests cut off"] += 1

    # What clients do.

    async def _submit(self) -> None:
        number, strategy = self._random.randrange(SESSIONS), self._random.choice(STRATEGIES)
        if strategy == "interrupt" and number not in INTERRUPTED:
            strategy = "enqueue"
        body: Json = {"task": self._text(), "multitask_strategy": strategy, "session_id": f"shared-{number}"}
        if strategy == "interrupt":
            self._told.perhaps_interrupted.add(body["session_id"])
        elif self._random.random() < 0.2:
            del body["session_id"]
        key = f"key-{self._number}-{next(self._names)}" if self._random.random() < KEYED else None
        await self._send(body, key)

    async def _send(self, body: Json, key: str | None) -> str | None:
        """Submit a task, and note what is answered. Returns its ID if it was taken."""
        told = self._told
        headers = {} if key is None else {"Idempotency-Key": key}
        reply = await self._client.post("/api/tasks", json=body, headers=headers)
        if reply.status_code == 409 and body.get("multitask_strategy") == "reject":
            return None
        if reply.status_code != 201:
            told.wrong.append(f"a submit of {body} was answered with {reply.status_code}: {reply.text}")
            return None
        task = reply.json()
        task_id: str = task["task_id"]
        told.submitted[task_id], told.sessions[task_id] = body, task["session_id"]
        told.ids_before[task_id] = self._last_before
        if body.get("session_id", task["session_id"]) != task["session_id"]:
            told.wrong.append(f"{task_id} was to be in {body['session_id']}: {task}")
        if key is not None:
            told.keys[key] = task_id
        told.task(task)
        told.counts["tasks"] += 1
        return task_id

    def _text(self) -> str:
        draw = self._random.random()
        if draw < 0.15:
            return "What is 2 + 2?"
        if draw < 0.25:
            return "Create a file called a.txt with content: Hello. Then Read a.txt"
        steps, milliseconds = self._random.randint(1, 8), self._random.choice([1, 5, 20])
        if draw < 0.35:
            steps = 25  # at work, or behind one that is, when the server is killed
        fails = " then fail" if self._random.random() < 0.1 else ""
        return f"Simulate {steps} steps of {milliseconds} ms{fails}"

    async def _cancel(self) -> None:
        told = self._told
        if not told.submitted:
            return
        task_id = self._random.choice(list(told.submitted)[-20:])
        told.perhaps_cancelled.add(task_id)
        reply = await self._client.post(f"/api/tasks/{task_id}/cancel")
        if reply.status_code == 200:
            told.cancelled.add(task_id)
            told.counts["cancelled"] += 1
        elif reply.status_code == 409:
            pass  # it had ended
        elif not (reply.status_code == 404 and told.is_deleted(task_id)):
            told.wrong.append(f"a cancel of {task_id} was answered with {reply.status_code}: {reply.text}")

    async def _delete(self) -> None:
        told, session_id = self._told, f"deleted-{self._number}-{next(self._names)}"
        for _ in range(self._random.randint(1, 3)):
            await self._send({"task": self._text(), "session_id": session_id}, None)
        await asyncio.sleep(self._random.uniform(0, 0.1))
        told.perhaps_deleted.add(session_id)
        reply = await self._client.delete(f"/api/sessions/{session_id}")
        if reply.status_code == 204:
            told.deleted.add(session_id)
            told.counts["deleted"] += 1
        else:
            told.wrong.append(f"a deletion of {session_id} was answered with {reply.status_code}: {reply.text}")

    async def _read(self) -> None:
        if not self._told.submitted:
            return
        task_id = self._random.choice(list(self._told.submitted)[-30:])
        reply = await self._client.get(f"/api/tasks/{task_id}")
        if reply.status_code == 200:
            self._told.task(reply.json())
        elif not self._told.is_deleted(task_id):
            self._told.wrong.append(f"{task_id} was answered with {reply.status_code}: {reply.text}")

    async def _repeat(self) -> None:
        """Repeat a submit under its key, of this run or of an earlier one."""
        told = self._told
        if not told.keys:
            return
        key = self._random.choice(list(told.keys))
        if not told.is_deleted(told.keys[key]):
            await Checks(told, self._client).keys([key])

    async def _follow(self, session_id: str) -> None:
        """Follow a session from where the last run of the server left off."""
        told = self._told
        while (await self._client.get(f"/api/sessions/{session_id}")).status_code == 404:
            await asyncio.sleep(PAUSE)
        after = told.positions.get(session_id, 0)
        path, headers = f"/api/sessions/{session_id}/events", {"Last-Event-ID": str(after)}
        async with self._client.stream("GET", path, headers=headers) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: ") and "event_id" in (event := _decoded(line[6:])):
                    if event["event_id"] <= told.positions.get(session_id, 0):
                        told.wrong.append(f"a stream of {session_id} went back: {event}")
                    told.positions[session_id] = event["event_id"]
                    told.event(event)
                    told.counts["events followed"] += 1


def _decoded(line: str) -> Any:  # Any: JSON
    return json.loads(line)
