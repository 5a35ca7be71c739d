"""The facts of a task, as the log has them: their names, their order, and what must hold of them."""

from __future__ import annotations

CONFIRMED = "session.confirmed"
RELEASED = "session.released"
CREATED = "task.created"
RECOVERED = "task.recovered"
AGENT_STARTED = "agent.started"
AGENT_RESUMED = "agent.resumed"
STARTED = "task.started"
ENDED = "task.ended"

FACTS = (CONFIRMED, CREATED, RECOVERED, AGENT_STARTED, AGENT_RESUMED, STARTED, ENDED)
"""What the log of one process tells of a task, in the only order in which it may."""

AFTER = {
    CREATED: frozenset((CONFIRMED,)),
    AGENT_STARTED: frozenset((CREATED, RECOVERED)),
    AGENT_RESUMED: frozenset((RECOVERED,)),
    STARTED: frozenset((AGENT_STARTED,)),
    ENDED: frozenset((CREATED, RECOVERED)),
}
"""What one of must have been told, in the same run of the server."""

BEFORE = {
    CONFIRMED: frozenset(FACTS[1:]),
    CREATED: frozenset(FACTS[2:]),
    RECOVERED: frozenset((CONFIRMED, CREATED, *FACTS[3:])),
    AGENT_STARTED: frozenset((AGENT_RESUMED, STARTED)),
    AGENT_RESUMED: frozenset((AGENT_STARTED, STARTED)),
    RELEASED: frozenset((CREATED, RECOVERED)),
}
"""What must not have been told before it, in the same run of the server."""

RUNS = frozenset((AGENT_STARTED, AGENT_RESUMED))

ENDS = frozenset(("completed", "failed", "cancelled"))

ALWAYS_LOGGED = {CONFIRMED, CREATED, ENDED}
"""Those of every task, unless the process is killed before it can."""

ONE_SESSION = "A task has one session ID: the confirmed one, in the reply, the record, every event and log line."
RECORDED_FIRST = "A task is recorded before anything of it happens, and `task_created` is its first event."
ONE_END = "A task's status only goes forward, and it has exactly one terminal event: its last."
ALL_TOLD = "Every event is told once, in the order of the ids, while the process lives."
IN_LINE = "A task never runs beside one of its session that was confirmed before it, unless it is `parallel`."
GOES_ON = (
    "A task that a process left unfinished goes on in the next one, once, with all that is recorded of it; or it "
    "ends as interrupted, if its agent cannot, or tasks are not to go on."
)
ENDED_BEFORE_DELETED = "A session is deleted when each of its tasks has ended."

RULES = {
    "one-session": ONE_SESSION,
    "recorded-first": RECORDED_FIRST,
    "one-end": ONE_END,
    "ids-grow": ALL_TOLD,
    "in-line": IN_LINE,
    "goes-on": GOES_ON,
    "ended-before-deleted": ENDED_BEFORE_DELETED,
}
"""What `alex trace --check` looks at, each rule by its short name."""
