"""The lines of sessions as a log shows them: who was confirmed before whom, and has not ended."""

from __future__ import annotations

from collections.abc import Mapping

from alex_actors.tracing.facts import CREATED, RECOVERED
from alex_actors.tracing.lines import Line
from alex_actors.tracing.notes import Notes, Unfinished


class SessionLines:
    """Each session's unfinished tasks, in the order of their confirmations."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._lines: dict[tuple[str, str], dict[str, None]] = {}
        self._last_place: int | None = None

    def clear(self) -> None:
        """Begin anew: the server was started, or lines are missing."""
        self._lines.clear()
        self._last_place = None

    def restart(self, live: Mapping[str, Unfinished]) -> None:
        """Forget who was confirmed and not recorded: with the session actor that crashed, that is void."""
        self._last_place = None
        for line in self._lines.values():
            for task_id in [one for one in line if not live[one].facts.keys() & {CREATED, RECOVERED}]:
                del line[task_id]
                live[task_id].place = None

    def confirmed(self, line: Line, task: Unfinished, number: int, *, exact: bool) -> None:
        """Have a task enter its line, at the end. ``exact``: the session actor knows of all that are in it."""
        task_id, before = line.task_id, len(self._lines.get(task.session, ()))
        if line.place is None:
            return
        if self._last_place is not None and line.place <= self._last_place:
            what = f"It is given place {line.place} after place {self._last_place}."
            self._notes.accuse(task_id, task, "in-line", what, number)
        self._last_place = line.place
        if exact and line.ahead is not None and line.ahead < before:
            what = f"It is confirmed behind {line.ahead} tasks; {before} of its session have no end yet."
            self._notes.accuse(task_id, task, "in-line", what, number)
        self.enter(task_id, task)

    def enter(self, task_id: str, task: Unfinished) -> None:
        """Have a task in its line again, if it is known which place it has."""
        if task.place is not None:
            self._lines.setdefault(task.session, {})[task_id] = None

    def leave(self, task_id: str, task: Unfinished) -> None:
        """Have it leave its line."""
        line = self._lines.get(task.session)
        if line is not None and task_id in line:
            del line[task_id]
            if not line:
                del self._lines[task.session]

    def starts(self, task_id: str, task: Unfinished, live: Mapping[str, Unfinished], number: int) -> None:
        """See that all before it in its line have ended, now that its agent starts."""
        if task.strategy == "parallel" or task.place is None:
            return
        for other in self._lines.get(task.session, ()):
            place = live[other].place
            if other == task_id or place is None or place >= task.place:
                break  # those behind it do not matter: the line is in the order of the places
            what = f"Its agent starts, and {other}, which was confirmed before it, has not ended."
            self._notes.accuse(task_id, task, "in-line", what, number)

    def deleted(self, session: tuple[str, str]) -> list[str]:
        """Forget a line with its session; return who was still in it."""
        return list(self._lines.pop(session, ()))
