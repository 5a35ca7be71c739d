"""What always holds of sub-agents' tasks: whose they are, and whom they keep from starting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alex_actors.events import RecordedEvent
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from alex_actors.tasks import Task

CARRIES_PARENT = "A sub-agent's task is in its parent's session, and is recorded and told as its parent's."
PARENTS_TURN = "A sub-agent runs only in its parent's turn: who waits for the parent waits for it as well."
ENDS_WITH_PARENT = "A sub-agent whose parent had ended before the process was started does not go on."

PARENTS = "SELECT task_id, parent_task_id, place, session_key, strategy FROM tasks WHERE session_key = ?"

STRAYS = (
    "SELECT child.task_id FROM tasks AS child JOIN tasks AS parent ON parent.task_id = child.parent_task_id "
    "WHERE child.completed_at IS NULL AND parent.completed_at IS NOT NULL"
)


class Families:
    """Looks at sub-agents while they run, and at what is recorded of them."""

    def __init__(self, *, simulation: Simulation, store: SimulatedStore, runs: Mapping[object, Task]) -> None:
        """``runs`` are the agents that run."""
        self._check = simulation.check
        self._raw = store.raw
        self._runs = runs
        self._ended: set[str] = set()  # before this process

    def process_ends(self) -> None:
        """Take note of the tasks that the next process finds ended."""
        rows = self._raw.execute("SELECT task_id FROM tasks WHERE completed_at IS NOT NULL").fetchall()
        self._ended = {row[0] for row in rows}

    def agent_starts(self, task: Task) -> None:
        """Look at an agent that starts beside sub-agents, or is one."""
        seen = f"{task.task_id} goes on, and {task.parent_task_id} had ended before the process was started."
        self._check(task.parent_task_id not in self._ended, ENDS_WITH_PARENT, seen, about=(task.task_id,))
        family = [one for one in self._runs.values() if one.session_key == task.session_key]
        if task.parent_task_id is None and not any(one.parent_task_id for one in family):
            return
        rows = {row[0]: row[1:] for row in self._raw.execute(PARENTS, (task.session_key,)).fetchall()}

        def place(one: Task) -> int:
            """Return where it stands in line: where the one does that a client submitted."""
            name: str = one.task_id
            while (parent := rows[name][0]) in rows:
                name = parent
            found: int = rows[name][1]
            return found

        for other in family:
            for first, second in ((task, other), (other, task)):
                overtakes = second.strategy != "parallel" and place(first) < place(second)
                seen = f"{task.task_id} starts beside {other.task_id}."
                fine = not overtakes or first.parent_task_id is None  # IN_LINE is about those
                self._check(fine, PARENTS_TURN, seen, about=(task.task_id, other.task_id))

    def told(self, event: RecordedEvent) -> None:
        """Look at an event of which others are told now."""
        row = self._raw.execute("SELECT parent_task_id FROM tasks WHERE task_id = ?", (event.task_id,)).fetchone()
        if row is not None:
            seen = f"{event.task_id} of {row[0]} is told of as that of {event.parent_task_id}."
            self._check(row[0] == event.parent_task_id, CARRIES_PARENT, seen, about=(event.task_id,))

    def strays(self) -> list[str]:
        """Return the sub-agents' tasks without an end whose parent's is recorded."""
        rows = self._raw.execute(STRAYS).fetchall()
        return [row[0] for row in rows]

    def at_the_end(self) -> None:
        """Look at all that is recorded: each is confirmed after its parent, in its session."""
        rows = self._raw.execute(
            "SELECT child.task_id, parent.task_id FROM tasks AS child LEFT JOIN tasks AS parent "
            "ON parent.task_id = child.parent_task_id AND parent.session_key = child.session_key "
            "AND parent.place < child.place WHERE child.parent_task_id IS NOT NULL"
        )
        for task_id, parent in rows.fetchall():
            self._check(parent, CARRIES_PARENT, f"{task_id} has no such parent.", about=(task_id,))
