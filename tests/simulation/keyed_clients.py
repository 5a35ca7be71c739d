"""Clients that repeat submits with an idempotency key, and what they must be answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from alex_actors.diagrams.trace import Fact
from alex_actors.session_protocol import ClaimKey

if TYPE_CHECKING:
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from tests.simulation.http_clients import Reply, SimulatedServer

ONE_PER_KEY = "All submits with one idempotency key, of one owner, are one task, as long as that is there."
KEY_OF_THE_TEXT = "An idempotency key is refused with another text than that of its task, and only then."
ACTS_ONCE = "A submit that is repeated when its task is recorded confirms nothing."
KEY_WITH_ITS_TASK = "An idempotency key is recorded with its task, and goes with it."

KEYS = ("first", "second")
TEXTS = ("Add 2 and 2.", "Add 2 and 2.", "Add 2 and 2.", "Add 3 and 3.")

RECORDED_KEYS = (
    "SELECT keys.owner, keys.idempotency_key, tasks.task_id, tasks.owner, tasks.metadata FROM tasks "
    "LEFT JOIN idempotency_keys AS keys USING (place) ORDER BY place"
)

Key = tuple[str, str]
"""An owner, and what it calls the key."""


class KeyedClients:
    """All of a run."""

    def __init__(self, simulation: Simulation, store: SimulatedStore, server: SimulatedServer) -> None:
        self._decisions = simulation.decisions
        self._check = simulation.check
        self._trace = simulation.trace
        self._raw = store.raw
        self._deleted = server.system.invariants.deleted.tasks
        self._bodies: dict[tuple[Key, str], Mapping[str, Any]] = {}  # Any: JSON
        self._answers: dict[Key, str] = {}
        self._new: set[str] = set()  # the tasks that were answered with as made just now

    def key_for(self, owner: str, body: Mapping[str, Any]) -> tuple[Key, Mapping[str, Any]]:  # Any: JSON
        """Return a key, perhaps of a submit before, and the body to send with it: the same for the same text."""
        key = owner, self._decisions.choose(KEYS)
        text = self._decisions.choose(TEXTS)
        body = {**body, "task": text, "metadata": {"key": key[1]}}
        return key, self._bodies.setdefault((key, text), body)

    def look_at(self, key: Key, body: Mapping[str, Any], reply: Reply) -> None:  # Any: JSON
        """Look at what a submit with a key was answered."""
        seen = f"A submit with {key} was answered with {reply}."
        if reply.status == 422:
            others = [text for one, text in self._bodies if one == key and text != body["task"]]
            self._check(others, KEY_OF_THE_TEXT, seen)
        if reply.status not in (200, 201):
            return
        task = reply.task()
        about = (task.task_id,)
        first = self._answers.get(key)
        same = first in (None, task.task_id) or first in self._deleted
        self._check(same, ONE_PER_KEY, f"{seen} Before, it was {first}.", about=about)
        mine = task.metadata == body["metadata"]
        self._check(mine, ONE_PER_KEY, f"{seen} That is not of this key.", about=about)
        self._check(task.task == body["task"], KEY_OF_THE_TEXT, seen, about=about)
        if reply.status == 201:
            self._check(task.task_id not in self._new, ONE_PER_KEY, f"{seen} It was new before.", about=about)
            self._new.add(task.task_id)
        self._answers[key] = task.task_id

    # When the run is over.

    def look_at_all(self) -> None:
        """Look at the keys that are recorded, and at when submits with a key were confirmed."""
        tasks: dict[Key, list[str]] = defaultdict(list)
        for owner, key, task_id, task_owner, metadata in self._raw.execute(RECORDED_KEYS).fetchall():
            about = (task_id,)
            expected = msgspec.json.decode(metadata).get("key")
            seen = f"{task_id} of {task_owner} came with {expected}; recorded with it is {key} of {owner}."
            fine = (key, owner) == (expected, task_owner if expected else None)
            self._check(fine, KEY_WITH_ITS_TASK, seen, about=about)
            if key is not None:
                tasks[(owner, key)].append(task_id)
        for of_key, found in tasks.items():
            self._check(len(found) == 1, ONE_PER_KEY, f"{of_key}: {found}.", about=found)
            first = self._answers.get(of_key, found[0])
            same = first == found[0] or first in self._deleted
            self._check(same, ONE_PER_KEY, f"{of_key} was {first}, and is {found[0]}.", about=(first, *found))
        self._look_at_confirmations()

    def _look_at_confirmations(self) -> None:
        """No submit is confirmed once a task is recorded that its key belongs to, and is there."""
        key_of: dict[str, Key] = {}
        created: dict[Key, str] = {}
        for entry in self._trace:
            what = entry.what
            if isinstance(what, ClaimKey):
                key_of[what.task_id] = (what.context.owner, what.key)
            elif isinstance(what, Fact) and (key := key_of.get(what.fields.get("task_id", ""))) is not None:
                task_id = what.fields["task_id"]
                if what.name == "task.created":
                    created[key] = task_id
                elif what.name == "session.confirmed":
                    first = created.get(key)
                    seen = f"{task_id} is confirmed; {first} was submitted with {key} before."
                    fine = first in (None, task_id) or first in self._deleted
                    self._check(fine, ACTS_ONCE, seen, about=(task_id, f"{first}"))
