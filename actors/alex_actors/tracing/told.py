"""What a fact says, in a few words, for a diagram."""

from __future__ import annotations

from alex_actors.tracing.task_log import LogEntry

KNOWN = frozenset(("ts", "level", "event", "task_id", "session_id", "trace_id", "request_id", "event_id"))
"""What all lines have, or what stands above the diagram."""


def told(entry: LogEntry) -> str:
    """Return a fact as one line: its name, and what it says of the task."""
    name = str(entry.get("event"))
    match name:
        case "session.confirmed":
            return f"{name} {entry.get('strategy')}, {entry.get('ahead')} ahead"
        case "http.request":
            task_id = str(entry.get("task_id"))
            path = str(entry.get("path")).replace(task_id, f"…{task_id[-6:]}")
            return f"{name} {entry.get('method')} {path} {entry.get('status')}, {entry.get('duration')} ms"
        case "task.ended":
            status, reason = entry.get("status"), entry.get("reason")
            return f"{name} {status}" if status == reason else f"{name} {status} ({reason})"
        case "model.replied":
            used = (entry.get("input_tokens"), entry.get("output_tokens"))
            tokens = "" if None in used else f", {used[0]} + {used[1]} tokens"
            took = f": {entry['duration']} ms" if "duration" in entry else ""
            return f"{name} {entry.get('model')}{took}{tokens}"
        case "model.failed" | "model.attempt_failed":
            took = f" after {entry['duration']} ms" if "duration" in entry else ""
            return f"{name} {entry.get('model')}{took}: {entry.get('error')}"
        case "tool.ended":
            failed = ", failed" if entry.get("error") else ""
            return f"{name} {entry.get('tool')}: {entry.get('duration')} ms{failed}"
        case "task.created" | "task.recovered" | "task.started" | "agent.started" | "agent.resumed":
            return name
        case _:
            more = (f"{field}={value!r}" for field, value in entry.items() if field not in KNOWN)
            return " ".join((name, *more))
