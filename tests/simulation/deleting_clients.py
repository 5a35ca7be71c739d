"""Clients that delete sessions, at any time, and what they must be answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from alex_actors.simulation.deleted_sessions import DELETED
from alex_actors.values import SessionId

if TYPE_CHECKING:
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from alex_actors.values import SessionName
    from tests.simulation.http_clients import SimulatedServer, User

REFUSED_MEANWHILE = "A session takes nothing while it is being deleted, and only then is that said."

KEYS = "SELECT session_key FROM sessions WHERE owner = ? AND session_id = ?"


class DeletingClients:
    """All of a run."""

    def __init__(
        self,
        simulation: Simulation,
        store: SimulatedStore,
        server: SimulatedServer,
        is_answer: Callable[[int, Collection[int]], bool],
    ) -> None:
        """``is_answer`` says whether a status is one of those expected, or shows that something is wrong."""
        self._check = simulation.check
        self._raw = store.raw
        self._server = server
        self._deleted = server.system.invariants.deleted
        self._is_answer = is_answer
        self._begun: Counter[SessionName] = Counter()
        self._over: Counter[SessionName] = Counter()

    def delete(self, user: User, session_id: str) -> None:
        """Delete a session; what was there before is gone if it is said to be. Raises ConnectionLost."""
        session = user.owner, SessionId(session_id)
        before = self._keys(session)
        sessions = len(self._deleted.sessions)
        stubborn = self._will_not_die(session)
        self._begun[session] += 1
        reply = user.request("DELETE", f"/api/sessions/{session_id}")
        seen, about = f"Deleting {session_id} is answered with {reply}.", (session_id,)
        stubborn = stubborn or self._will_not_die(session)
        expected = {204, 404, 503} if stubborn else {204, 404}
        self._check(self._is_answer(reply.status, expected), DELETED, seen, about=about)
        if reply.status in (204, 404):  # else it may go on
            self._over[session] += 1
        if reply.status == 204:
            left = before & self._keys(session)
            self._check(not left, DELETED, f"{seen} It is there.", about=about)
        if reply.status == 404:
            gone = not before or len(self._deleted.sessions) > sessions
            self._check(gone, DELETED, f"{seen} It was there.", about=about)

    def make(self, user: User, session_id: str) -> None:
        """Make a session without a task. Raises ConnectionLost."""
        before = self.before(user, session_id)
        reply = user.request("POST", "/api/sessions", {"session_id": session_id})
        seen = f"Making {session_id} is answered with {reply}."
        expected = {200, 201, 409}
        self._check(self._is_answer(reply.status, expected), DELETED, seen, about=(session_id,))
        if reply.status == 409:
            self.look_at_refusal(user, session_id, before, f"{reply}")

    def before(self, user: User, session_id: str | None) -> int:
        """Return what ``look_at_refusal`` is to be given of the time before a request."""
        return self._over[user.owner, SessionId(session_id)] if session_id else 0

    def look_at_refusal(self, user: User, session_id: str, before: int, seen: str) -> None:
        """Look whether it may be said that a session is being deleted."""
        # Those that were under way then, or have begun since.
        meanwhile = self._begun[user.owner, SessionId(session_id)] - before
        self._check(meanwhile, REFUSED_MEANWHILE, seen, about=(session_id,))

    def _will_not_die(self, session: SessionName) -> bool:
        """Whether a task of a session has its end, and an agent that goes on."""
        runs = self._server.system.invariants.runs.values()
        return any((task.owner, task.session_id) == session and self._has_ended(task.task_id) for task in runs)

    def _has_ended(self, task_id: str) -> bool:
        (completed_at,) = self._raw.execute(
            "SELECT completed_at FROM tasks WHERE task_id = ?", (task_id,)
        ).fetchone()
        return completed_at is not None

    def _keys(self, session: SessionName) -> set[int]:
        return {row[0] for row in self._raw.execute(KEYS, session)}
