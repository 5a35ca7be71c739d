"""Makes a trace of what a log tells of a task, to be drawn as the traces of simulated runs are.

A line `message` is written when the message has been handled. It was sent `waited` and `took` milliseconds before,
and its handling began `took` before. The line's time is taken a moment after that was measured, up to some
milliseconds if threads are many, so what cannot have been is put right: nobody sends before what had it send, and
no fact comes before the message in whose handling it was told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import msgspec

from alex_actors.diagrams.rows import cut, duration, plain
from alex_actors.diagrams.trace import Entry, Trace
from alex_actors.tracing.lines import seconds_of
from alex_actors.tracing.task_log import LogEntry
from alex_actors.tracing.told import told

MOMENT = 1e-8
"""Seconds between two things of which one is only known to come first."""
LONGEST_NAME = 40
"""Characters of an actor's name: ours have sixteen."""
SKEW = 0.02
"""Seconds by which a time that is worked out may be late: a few turns of the threads (`sys.getswitchinterval`)."""

SESSIONS, STORE, AGENT, HTTP = "SessionActor", "TaskStoreActor", "AgentActor", "http"
TELLERS = {
    "session.confirmed": SESSIONS, "session.released": SESSIONS, "session.deleting": SESSIONS,
    "task.cancel_requested": SESSIONS, "session": STORE, "task": STORE, "model": STORE, "tool": STORE,
    "approval": STORE, "store": STORE, "agent": AGENT, "http": HTTP, "stream": HTTP,
}  # fmt: skip
"""Who tells a fact: by its name, or else by the first part of that."""
TELLS_IN = {STORE: "Commit"}
"""Who tells facts of tasks in the handling of one type of message alone.

A commit is of many tasks, and its line is of the first of them: a fact may have been told in one that is not here.
"""

Moment: TypeAlias = Literal["sent", "handled", "logged"]
Named: TypeAlias = Callable[[str, object], str]


class LogTrace(Trace):
    """What a log tells of a task. Its messages are texts, as are its facts."""

    real_time = True
    least_label = 32

    def left_out(self, entries: Sequence[Entry]) -> str:
        """Return what stands where these are not shown: how many of what, and how long it took."""
        counts: dict[str, int] = {}
        for entry in entries:
            if entry.kind != "sent":
                name = str(entry.what).split(" ", 1)[0]
                counts[name] = counts.get(name, 0) + 1
        much = sorted(counts.items(), key=lambda one: -one[1])
        listed = ", ".join(f"{count:,} {name}" for name, count in much)
        time = in_short(entries[-1].at - entries[0].at)
        return f"… {sum(counts.values()):,} more in {time}: {listed} …"

    def summary(self, shown: int) -> str:
        """Return a sentence that says that repeats are left out."""
        del shown
        return "What repeats is left out in its middle; all of it with --all."


class _Item(msgspec.Struct):
    at: float
    moment: Moment
    who: str
    peer: str
    text: str
    message: int = -1
    """The number of its message."""


class _Message(msgspec.Struct):
    sent: float
    began: float
    ended: float
    sender: str
    receiver: str
    text: str


def trace_of(entries: Sequence[LogEntry], *, main: str) -> LogTrace:
    """Return the trace of a task, from the lines of it and of its sub-agents; time 0 is that of the first."""
    several = len({entry["task_id"] for entry in entries if entry.get("task_id")}) > 1

    def named(who: str, task_id: object) -> str:
        whose = f"({_end_of(task_id)})" if who == AGENT and several and task_id != main else ""
        return cut(plain(who), LONGEST_NAME) + whose

    times = [seconds_of(str(entry.get("ts"))) for entry in entries]
    begin = min((time for time in times if time is not None), default=0.0)
    messages: list[_Message] = []
    facts: list[_Item] = []
    since: dict[str, float] = {}  # the first fact that each told since it last handled a message
    for entry, time in zip(entries, times, strict=True):
        if time is None:
            continue
        at = round(time - begin, 6)
        message = _message(entry, at, named)
        if message is None:
            who = named(teller(entry), entry.get("task_id"))
            facts.append(_Item(at, "logged", who, "", told(entry)))
            since.setdefault(who, at)
            continue
        fact_at = since.pop(message.receiver, None)
        told_in = TELLS_IN.get(message.receiver, entry.get("type"))
        if (
            fact_at is not None
            and entry.get("type") == told_in
            and message.began - SKEW <= fact_at < message.began
        ):
            message.began = fact_at - MOMENT
            message.sent = min(message.sent, message.began - MOMENT)
        messages.append(message)
    _put_right(messages)
    return _trace(messages, facts, times=not messages)


def _message(entry: LogEntry, at: float, named: Named) -> _Message | None:
    if entry.get("event") != "message":
        return None
    waited, took = entry.get("waited"), entry.get("took")
    if not isinstance(waited, int | float) or not isinstance(took, int | float):
        return None
    task_id, began = entry.get("task_id"), at - took / 1000
    return _Message(
        sent=began - waited / 1000,
        began=began,
        ended=at,
        sender=named(str(entry.get("sender") or "?"), task_id),
        receiver=named(str(entry.get("receiver") or "?"), task_id),
        text=f"{entry.get('type')} {in_short(waited / 1000)} + {in_short(took / 1000)}",
    )


def _put_right(messages: Sequence[_Message]) -> None:
    """Have each message sent while its sender handles something, if that is a moment later than worked out."""
    handling: dict[str, list[tuple[float, float]]] = {}  # from when to when, one after the other
    for message in messages:
        handling.setdefault(message.receiver, []).append((message.began, message.ended))
    for of_one in handling.values():
        of_one.sort()
    for message in messages:
        of_sender = handling.get(message.sender, [])
        following = bisect_left(of_sender, (message.sent, 0.0))
        if following == len(of_sender) or (following and message.sent <= of_sender[following - 1][1]):
            continue
        later = of_sender[following][0]
        if later - message.sent < SKEW and later < message.began:
            message.sent = later + MOMENT
            message.began = max(message.began, message.sent + MOMENT)


def _trace(messages: Sequence[_Message], facts: Sequence[_Item], *, times: bool) -> LogTrace:
    """Put all into the order of time. ``times``: say of each fact how long after the one before it was told."""
    items = [
        item
        for number, one in enumerate(messages)
        for item in (
            _Item(one.sent, "sent", one.sender, one.receiver, one.text.split(" ", 1)[0], number),
            _Item(one.began, "handled", one.receiver, one.sender, one.text, number),
        )
    ]
    ranks = {"sent": 0, "handled": 1, "logged": 2}
    ordered = sorted((*items, *facts), key=lambda item: (item.at, ranks[item.moment]))
    trace, sent = LogTrace(), dict[int, int]()
    before = begin = ordered[0].at if ordered else 0.0
    who = ""
    for item in ordered:
        if item.moment == "handled" or (item.moment == "logged" and item.who != who):
            trace.step += 1
            who = item.who
        trace.at = rounded(item.at - begin)
        text = item.text
        if times and item.at > before:
            text += f"  +{in_short(item.at - before)}"
        before = item.at
        cause = sent.get(item.message, -1)
        index = trace.add(item.moment, item.who, text, peer=item.peer, cause=cause)
        if item.moment == "sent":
            sent[item.message] = index
    return trace


def teller(entry: LogEntry) -> str:
    """Return who tells a fact."""
    name = str(entry.get("event"))
    if name == "message.dropped":
        return str(entry.get("receiver") or "?")
    return TELLERS.get(name) or TELLERS.get(name.split(".", 1)[0], "server")


def in_short(seconds: float) -> str:
    """Return a time in readable units, to three digits: ``12 µs``, ``3.46 ms``, ``1.5 s``."""
    return duration(float(f"{seconds:.3g}")) if seconds > 0 else "0 s"


def rounded(seconds: float) -> float:
    """Return a time as the margin shows it: to a hundredth of a millisecond in the first second, then to one."""
    return round(seconds, 5 if seconds < 1 else 3)


def _end_of(task_id: object) -> str:
    return f"…{str(task_id)[-6:]}"
