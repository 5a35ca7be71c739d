"""The idempotency keys of submits that are under way, and who waits for one of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from alex_actors.session_protocol import Claimed

if TYPE_CHECKING:
    from alex_actors.messages import Promise
    from alex_actors.session_protocol import ClaimKey
    from alex_actors.values import Owner, TaskId

_Key: TypeAlias = "tuple[Owner, str]"


class KeyReleased(Exception):
    """A submit gave up before it was its turn to have its key."""


class Claims:
    """Each key is claimed by one submit at a time; the others wait, and get it in their order.

    A submit is known by the ID that its task would have. The claims belong to a session actor, and are forgotten
    with it: what was confirmed for them is void then, too.
    """

    def __init__(self) -> None:
        self._keys: dict[TaskId, _Key] = {}
        # Of each key who has claimed it, and then those that wait.
        self._queues: dict[_Key, deque[tuple[TaskId, Promise[Claimed]]]] = {}

    def claim(self, message: ClaimKey, promise: Promise[Claimed]) -> None:
        """Claim a key for a submit, at once or when those before it have released it."""
        key = (message.context.owner, message.key)
        queue = self._queues.setdefault(key, deque())
        self._keys[message.task_id] = key
        queue.append((message.task_id, promise))
        if len(queue) == 1:
            promise.fulfil(Claimed())

    def has(self, task_id: TaskId) -> bool:
        """Return whether a submit has claimed its key, and not released it."""
        key = self._keys.get(task_id)
        return key is not None and self._queues[key][0][0] == task_id

    def release(self, task_id: TaskId) -> None:
        """Release what a submit has claimed, or waits for; nothing if there is nothing."""
        key = self._keys.pop(task_id, None)
        if key is None:
            return
        queue = self._queues[key]
        had = queue[0][0] == task_id
        for one, promise in queue:
            if one == task_id and not promise.settled:  # its asker waits no longer
                promise.fail(KeyReleased(f"The submit of {task_id} was over before it had its key."))
        self._queues[key] = queue = deque(one for one in queue if one[0] != task_id)
        if not queue:
            del self._queues[key]
        elif had:
            queue[0][1].fulfil(Claimed())

    def __len__(self) -> int:
        """Return how many submits have a key, or wait for one."""
        return len(self._keys)
