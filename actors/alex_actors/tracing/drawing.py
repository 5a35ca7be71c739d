"""Draws what a log tells of a task: in a terminal, as Mermaid, as a page."""

from __future__ import annotations

import textwrap

from alex_actors.diagrams.mermaid import mermaid
from alex_actors.diagrams.page import html
from alex_actors.diagrams.rows import plain
from alex_actors.diagrams.terminal import diagram_lines
from alex_actors.tracing.drawn import in_short, trace_of
from alex_actors.tracing.lines import seconds_of
from alex_actors.tracing.repeats import worth_showing
from alex_actors.tracing.task_log import LogEntry, TaskLog


class Drawing:
    """The sequence diagram of a task."""

    def __init__(self, found: TaskLog, *, source: str, children: bool, everything: bool) -> None:
        """``source`` names the log; without ``everything``, what repeats is left out in its middle."""
        self._found = found
        self._source = source
        self._children = children
        self._trace = trace_of(found.entries, main=found.task_id)
        self._shown = None if everything else worth_showing(self._trace)

    def text(self, width: int) -> str:
        """Return it for a terminal that is so many characters wide."""
        notes = [line for note in (self._title(), *self._notes()) for line in textwrap.wrap(note, width)]
        return "\n".join([*notes, "", diagram_lines(self._trace, shown=self._shown, width=width)])

    def mermaid(self) -> str:
        """Return it as a Mermaid sequence diagram, with what stands above it as comments."""
        # A comment of Mermaid must not have its directives, %%{…}%%: it looks for them anywhere.
        notes = "".join(f"%% {note.replace('%{', '% {')}\n" for note in (self._title(), *self._notes()))
        return notes + mermaid(self._trace, shown=self._shown)

    def html(self) -> str:
        """Return it as a page of its own."""
        return html(self._trace, shown=self._shown, title=self._title(), notes=self._notes())

    def _title(self) -> str:
        return plain(f"Task {self._found.task_id}")

    def _notes(self) -> list[str]:
        """Say what is drawn, and what the numbers are."""
        entries = self._found.entries
        messages = sum(entry.get("event") == "message" for entry in entries)
        facts = len(entries) - messages
        trace_id = next((entry["trace_id"] for entry in entries if entry.get("trace_id")), "")
        notes = [f"Session {self._found.session_id or '?'}, trace {trace_id or '?'}. {self._end()}"]
        much = f"{messages:,} messages and {facts:,} facts" if messages else f"{facts:,} facts"
        notes.append(f"{much} in {self._source}, from {entries[0].get('ts')} on.")
        if self._found.children and not self._children:
            notes.append(f"It had sub-agents, {len(self._found.children)} in all: --children draws them too.")
        if messages:
            notes.append("A message's times: how long it waited for its actor + how long that took to handle it.")
        else:
            notes.append(
                "After + is the time since the fact before. Messages between actors are logged at level debug: "
                "alex serve --log-level debug."
            )
        return [plain(note) for note in notes]

    def _end(self) -> str:
        """Say how the task ended, and how long that took from its confirmation."""
        of_task = [entry for entry in self._found.entries if entry.get("task_id") == self._found.task_id]
        end = next((entry for entry in of_task if entry.get("event") == "task.ended"), None)
        return "It has not ended here." if end is None else f"It {_ended(end)} after {self._took(end)}."

    def _took(self, end: LogEntry) -> str:
        times = [seconds_of(str(entry.get("ts"))) for entry in (self._found.entries[0], end)]
        return in_short(times[1] - times[0]) if times[0] and times[1] else "?"


def _ended(end: LogEntry) -> str:
    return {"completed": "completed", "cancelled": "was cancelled"}.get(str(end.get("status")), "failed")
