"""Figures and facts in words, as all views write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from alex_http.client import Event
from alex_http.terminal.harmless import one_line
from alex_http.terminal.progress import Call, Progress

LONGEST_FACT = 300
"""Characters of what a fact quotes of arguments, results and errors."""


def duration(seconds: float) -> str:
    """Return a time as a person reads it: ``3 ms``, ``1.2 s``, ``2 min 5 s``, ``3 h 4 min``, ``2 d 3 h``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def age(then: datetime, now: datetime) -> str:
    """Return how long ago something was, short: ``5s``, ``12m``, ``3h``, ``9d``."""
    seconds = max(0, int((now - then).total_seconds()))
    for most, divisor, unit in ((60, 1, "s"), (3600, 60, "m"), (86_400, 3600, "h")):
        if seconds < most:
            return f"{seconds // divisor}{unit}"
    return f"{seconds // 86_400}d"


def money(dollars: float) -> str:
    """Return an amount with as many digits as it takes to be more than nothing."""
    return f"${dollars:.2f}" if dollars == 0 or dollars >= 0.995 else f"${dollars:.4f}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def arguments(given: Mapping[str, Any], longest: int | None = LONGEST_FACT) -> str:  # Any: JSON
    """Return a call's arguments as they would be written in Python: ``path="a.txt", lines=3``."""
    return one_line(
        ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items()), longest
    )


def figures(progress: Progress) -> list[str]:
    """Return what a task took so far: iterations, tokens, cost."""
    told = [counted(progress.iteration, "iteration"), counted(progress.tokens, "token")]
    return told if progress.cost is None else [*told, money(progress.cost)]


def summary(progress: Progress) -> str:
    """Return the last line of a task."""
    why = "" if progress.reason in (None, "final_answer", "cancelled", "error") else f" ({progress.reason})"
    return " · ".join([f"{progress.status}{why}", *figures(progress), duration(progress.duration / 1000)])


def fact(event: Event, progress: Progress, call: Call | None) -> str | None:
    """Return an event on one line, harmless; None if it is no news of its own."""
    data = event.data
    match event.event_type:
        case "task_created":
            return f"created in {one_line(event.session_id)}: {one_line(data['task'], LONGEST_FACT)}"
        case "task_started":
            return "started"
        case "task_resumed":
            return "resumed after a restart of the server"
        case "iteration_start":
            return f"iteration {data['iteration']} of {data['total_iters']}"
        case "think_complete" if data["content"] and data["tool_call_count"]:
            return f"says: {one_line(data['content'], LONGEST_FACT)}"
        case "iteration_complete":
            cost = "" if progress.cost is None else f", {money(progress.cost)}"
            return f"iteration {data['iteration']} done: {counted(data['tokens_used'], 'token')} so far{cost}"
        case "error":
            on = "goes on" if data["recoverable"] else "cannot go on"
            return f"error ({data['phase']}, {on}): {one_line(data['error'], LONGEST_FACT)}"
        case "context_compressed":
            return f"conversation shortened from {data['original_count']} to {data['compressed_count']} messages"
        case "task_completed":
            return summary(progress)
        case "task_failed" | "task_cancelled":
            return f"{summary(progress)}: {one_line(data['error'], LONGEST_FACT)}"
        case _:
            return _fact_of_tool(event, call)


def _fact_of_tool(event: Event, call: Call | None) -> str | None:
    data = event.data
    match event.event_type:
        case "tool_call_start":
            return f"{one_line(data['tool_name'])}({arguments(data['arguments'])})"
        case "tool_call_complete":
            took = duration(data["duration"] / 1000)
            if data["error"] is not None:
                return (
                    f"{one_line(data['tool_name'])} failed after {took}: {one_line(data['error'], LONGEST_FACT)}"
                )
            return f"{one_line(data['tool_name'])} took {took}: {one_line(data['result'] or '', LONGEST_FACT)}"
        case "approval_requested":
            return (
                f"{one_line(data['tool_name'])}({arguments(data['arguments'])}) waits for your word: "
                f"alex approve {one_line(event.task_id)} {one_line(data['call_id'])} [--deny]"
            )
        case "approval_resolved":
            return decision(data, call)
    return None


def decision(data: Mapping[str, Any], call: Call | None) -> str:  # Any: JSON
    """Return what was decided about a call that waited: ``file_write approved, with other arguments: Better.``"""
    tool = "" if call is None else f"{one_line(call.tool)} "
    other = ", with other arguments" if data.get("arguments") is not None else ""
    why = f": {one_line(data['reason'], LONGEST_FACT)}" if data["reason"] else ""
    return f"{tool}{'approved' if data['approved'] else 'denied'}{other}{why}"
