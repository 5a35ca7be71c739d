"""Replays a log against what always holds of tasks: in one pass, with little memory for what has ended."""

from __future__ import annotations

from collections.abc import Iterable

from alex_actors.logs.searching import DISORDER
from alex_actors.tracing.facts import (
    AFTER,
    AGENT_RESUMED,
    AGENT_STARTED,
    BEFORE,
    CONFIRMED,
    CREATED,
    ENDED,
    ENDS,
    FACTS,
    RECOVERED,
    RELEASED,
    RUNS,
    STARTED,
)
from alex_actors.tracing.findings import Checked
from alex_actors.tracing.lines import Line, line_of, made_at, seconds_of
from alex_actors.tracing.notes import Notes, Unfinished
from alex_actors.tracing.session_lines import SessionLines

TASK_FACTS = frozenset(
    (*FACTS, RELEASED, "model.replied", "tool.ended", "approval.requested", "approval.resolved")
)
"""What is told of a task before its end alone. A cancel, a request and a message may come a moment later.

That a model failed is not among it: a log of warnings has that, and nothing else of its task.
"""

GIVEN_UP = -1
"""In place of the line of an end: it has none, as it was never recorded, and may be confirmed again."""

RESTART = 10.0
"""Seconds from a stop to a start within which nobody has had another run with other settings of the log: one at
level `warning` leaves no line, and what it ended would look forgotten."""

OF_STORE, OF_SESSIONS, OF_LISTENERS = "TaskStoreActor", "SessionActor", "BroadcasterActor"


def check_lines(lines: Iterable[bytes]) -> Checked:
    """Look at the lines of a log, which are those of one server in their order, over any number of its runs.

    What a task may have told before the log begins, or in lines that were lost, is not held against it.
    """
    check = _Check()
    for text in lines:
        check.line(text)
    return check.result()


class _Check:
    """The pass over a log."""

    def __init__(self) -> None:
        self._found = Checked()
        self._notes = Notes(self._found)
        self._sessions = SessionLines(self._notes)
        self._live: dict[str, Unfinished] = {}
        self._over: dict[str, tuple[str, int]] = {}  # the session, and the line of the end; 0: none; or GIVEN_UP
        self._imported: set[str] = set()
        self._begins_with_start = False
        self._known_from: float | None = None  # a task that was made before may have told things that are not here
        self._missing = False  # a line was cut short: what comes next says when
        self._run = 0
        self._stretch = 0  # what is told in one is whole: a run, or what comes in it after lines that are missing
        self._listening = False
        self._in_order: set[int] = set()  # runs that were stopped, and after which the next one here came at once
        self._stopped = True
        self._stopped_at: float | None = None
        self._last_event = 0
        self._store_restarted = False
        self._sessions_restarted = 0  # the last line that says so, of this run
        self._rare = {
            "server.starting": self._server_starts,
            "server.listening": self._server_listens,
            "server.stopped": self._server_stopped,
            "log.lost": self._lines_were_lost,
            "actor.restarted": self._actor_restarted,
            "message.dropped": self._message_dropped,
            "session.deleted": self._session_deleted,
            "session.imported": self._session_imported,
            "http.request": self._request,
        }

    def line(self, text: bytes) -> None:
        """Look at the next line."""
        found = self._found
        found.lines += 1
        line = line_of(text)
        if line is None:
            self._cannot_read(text)
            return
        if self._missing:
            self._begin_after_a_gap()
        if self._known_from is None:
            self._known_since(line)
        event = line.event
        if event in TASK_FACTS and line.task_id:
            self._fact(line)
        elif event in self._rare:
            self._rare[event](line)
        if line.task_id and line.session_id is not None and event not in TASK_FACTS:
            self._mentioned(line)

    def result(self) -> Checked:
        """Return what was found."""
        self._found.unfinished = len(self._live)
        return self._found

    # Runs of the server, and what is not in the log.

    def _server_starts(self, line: Line) -> None:
        self._begins_with_start |= self._found.lines == 1
        at = seconds_of(line.ts)
        if at is None or self._stopped_at is None or at - self._stopped_at > RESTART:
            self._in_order.discard(self._run)  # between the two, another may have run, and logged elsewhere
        self._new_run()

    def _new_run(self) -> None:
        self._found.killed += not self._stopped
        self._stopped = self._listening = self._store_restarted = False
        self._sessions_restarted = 0
        self._run += 1
        self._stretch += 1
        self._found.runs += 1
        self._sessions.clear()

    def _server_listens(self, line: Line) -> None:
        """Now all is taken up that the runs before had left."""
        del line
        if self._listening or not self._run:
            self._new_run()
        self._listening = True
        left = [(task_id, task) for task_id, task in self._live.items() if task.run != self._run]
        for task_id, task in left:
            if task.recorded and task.run in self._in_order and self._is_whole(task_id):
                what = "The server was stopped, and started again, and did not go on with it."
                self._notes.accuse(task_id, task, "goes-on", what, self._found.lines)
            self._found.left += 1
            self._over[task_id] = (task.session_id, 0 if task.recorded else GIVEN_UP)
            del self._live[task_id]

    def _server_stopped(self, line: Line) -> None:
        self._stopped, self._stopped_at = True, seconds_of(line.ts)
        if line.exit_code == 0:
            self._in_order.add(self._run)

    def _lines_were_lost(self, line: Line) -> None:
        self._found.lost += line.lines
        self._begin_after_a_gap()

    def _cannot_read(self, text: bytes) -> None:
        if not text.strip():
            self._found.blank += 1
            return
        self._found.unreadable += 1
        # Cut short; or zeros, which a power cut leaves where the disk had no time for the lines.
        self._missing = self._missing or text.lstrip().startswith(b"{") or b"\0" in text

    def _begin_after_a_gap(self) -> None:
        """Hold nothing against a task that what is missing may explain; an actor may have crashed, too."""
        self._missing = self._begins_with_start = False
        self._known_from = None
        self._stretch += 1
        self._store_restarted = True
        self._sessions.clear()

    def _known_since(self, line: Line) -> None:
        at = seconds_of(line.ts)
        if at is not None:
            first = self._found.lines == 1 and line.event == "server.starting"
            # In the middle of a run, a line may be older than what stood before it.
            self._known_from = at if first else at + DISORDER.total_seconds()

    def _is_whole(self, task_id: str) -> bool:
        """Return whether all that was told of a task is in the log, as far as it was told by now."""
        made = made_at(task_id)
        if made is None or self._known_from is None:
            return self._begins_with_start
        return made > self._known_from

    def _actor_restarted(self, line: Line) -> None:
        # A name that is none of these three is of an actor that somebody has derived.
        if line.actor not in (OF_SESSIONS, OF_LISTENERS):
            self._store_restarted = True
        if line.actor not in (OF_STORE, OF_LISTENERS):
            self._sessions_restarted = self._found.lines
            self._sessions.restart(self._live)

    def _message_dropped(self, line: Line) -> None:
        if line.task_id in self._live:  # its end may be told to the session actor, and never be recorded
            self._sessions.leave(line.task_id, self._live[line.task_id])

    # Facts.

    def _fact(self, line: Line) -> None:
        """Look at a fact of a task, and take note of it."""
        name, task_id, number = line.event, line.task_id, self._found.lines
        if (name == RECOVERED and self._listening) or not self._run:
            self._new_run()  # the log does not tell of the start
        task = self._live.get(task_id)
        if line.event_id is not None and self._told_again(line, task):
            return
        if task is None:
            if task_id in self._over and not self._begins_again(line):
                self._after_the_end(line)
                return
            task = self._first_seen(line)
        if task.stretch != self._stretch:
            task.run, task.stretch, task.facts = self._run, self._stretch, {}
        self._look_at_session(line, task)
        if name in FACTS or name == RELEASED:
            wrong = self._wrong_here(line, task)
            if wrong is not None:
                self._notes.accuse(task_id, task, *wrong, number)
            task.facts.setdefault(name, number)
            task.recorded |= name not in (CONFIRMED, RELEASED)
            self._take_note(line, task)

    def _told_again(self, line: Line, task: Unfinished | None) -> bool:
        """Return whether a store actor that crashed has told this before; see that ids of events grow."""
        event_id = line.event_id or 0
        if event_id > self._last_event:
            self._last_event = event_id
            return False
        if self._store_restarted:
            self._found.told_again += 1
            return True
        what = f"Event {event_id} is told after event {self._last_event}."
        session_id, end = self._over.get(line.task_id, (line.session_id or "", 0))
        known = task or Unfinished(session_id=session_id, facts={ENDED: end} if end > 0 else {})
        self._notes.accuse(line.task_id, known, "ids-grow", what, self._found.lines)
        self._last_event = event_id  # one line that stands too early must not have all after it accused
        return False

    def _first_seen(self, line: Line) -> Unfinished:
        task = Unfinished(session_id=line.session_id or "", owner=line.owner, run=self._run, stretch=self._stretch)
        self._live[line.task_id] = task
        self._found.tasks += self._over.pop(line.task_id, None) is None
        if line.event != CONFIRMED:
            if self._is_whole(line.task_id) and not self._begun_elsewhere(line):
                what = f"{line.event} is the first that is told of it: its session was never confirmed."
                self._notes.accuse(line.task_id, task, "recorded-first", what, self._found.lines)
            else:
                self._found.begun_before += 1
            task.whole = False
        return task

    def _begins_again(self, line: Line) -> bool:
        """Whether a task that was given up is confirmed anew: a sub-agent's has its ID from its parent's call."""
        given_up = self._over[line.task_id][1] == GIVEN_UP
        return given_up and (line.event == CONFIRMED or self._begun_elsewhere(line))

    def _begun_elsewhere(self, line: Line) -> bool:
        """Whether what is taken up may have begun in lines that a power cut took, or in a run that is not here."""
        return line.event == RECOVERED and (not made_at(line.task_id) or self._run - 1 not in self._in_order)

    def _after_the_end(self, line: Line) -> None:
        task_id = line.task_id
        session_id, end = self._over[task_id]
        if end > 0:
            what, rule = f"{line.event} comes after its end.", "one-end"
        elif not self._is_whole(task_id):
            return
        elif end == GIVEN_UP:
            what, rule = f"{line.event} comes after it was given up, before it was recorded.", "recorded-first"
        else:
            what, rule = f"{line.event} comes after a start of the server that had not taken it up.", "goes-on"
        task = Unfinished(session_id=session_id, facts={ENDED: end} if end > 0 else {})
        self._notes.accuse(task_id, task, rule, what, self._found.lines)

    def _look_at_session(self, line: Line, task: Unfinished) -> None:
        if line.event == CONFIRMED and self._confirmed_anew(task):
            task.facts.clear()
            task.session_id, task.owner = line.session_id or "", line.owner
        what = None
        if not line.session_id:
            what = f"{line.event} has no session ID."
        elif line.session_id != task.session_id:
            what = f"{line.event} says {line.session_id!r}; it was in {task.session_id!r}."
        if what is not None:
            self._notes.accuse(line.task_id, task, "one-session", what, self._found.lines)

    def _confirmed_anew(self, task: Unfinished) -> bool:
        """Whether the confirmation before is void: with the server, or the session actor, that made it."""
        return not task.recorded and task.facts.get(CONFIRMED, 0) <= self._sessions_restarted

    def _wrong_here(self, line: Line, task: Unfinished) -> tuple[str, str] | None:
        """Return which rule a fact breaks, coming now, and what is wrong."""
        name, facts = line.event, task.facts
        if name in facts and not (name == RECOVERED and self._store_restarted):
            return ("one-end" if name == ENDED else "recorded-first"), f"{name} is told twice."
        if name in AFTER and task.whole and self._is_whole(line.task_id) and not facts.keys() & AFTER[name]:
            needed = " or ".join(one for one in FACTS if one in AFTER[name])
            rule = "goes-on" if name == AGENT_RESUMED else "recorded-first"
            return rule, f"{name} comes without {needed} before it, in this run of the server."
        if early := facts.keys() & BEFORE.get(name, frozenset()):
            return "recorded-first", f"{name} comes after {', '.join(sorted(early, key=facts.__getitem__))}."
        if name in (AGENT_STARTED, STARTED) and task.begun and task.begun != facts.get(STARTED):
            return "goes-on", f"{name} comes though {STARTED} was told in an earlier run of the server."
        if name == ENDED and line.status not in ENDS:
            return "one-end", f"It ends as {line.status!r}, which is no end."
        completed = name == ENDED and line.status == "completed"
        if completed and not facts.keys() & RUNS and task.whole and self._is_whole(line.task_id):
            return "recorded-first", "It is completed, and its agent was never started."
        at_once = CREATED in facts and not self._store_restarted  # all of it must be in this stretch of the log
        if completed and at_once and not task.begun and self._is_whole(line.task_id):
            return "recorded-first", f"It is completed, and {STARTED} was never told."
        return None

    def _take_note(self, line: Line, task: Unfinished) -> None:
        """Have the task in its line, or out of it, as the fact says."""
        name, task_id, number = line.event, line.task_id, self._found.lines
        if name == CONFIRMED:
            task.place, task.strategy = line.place, line.strategy
            self._sessions.confirmed(line, task, number, exact=not self._sessions_restarted)
        elif name == RECOVERED:
            self._sessions.enter(task_id, task)
        elif name in (AGENT_STARTED, AGENT_RESUMED):
            if self._is_whole(task_id):
                self._sessions.starts(task_id, task, self._live, number)
        elif name == STARTED:
            task.begun = number
        elif name in (ENDED, RELEASED):
            self._found.ended += name == ENDED
            self._sessions.leave(task_id, task)
            self._over[task_id] = (task.session_id, number if name == ENDED else GIVEN_UP)
            del self._live[task_id]

    # Other lines.

    def _session_deleted(self, line: Line) -> None:
        for task_id in self._sessions.deleted((line.owner, line.session_id or "")):
            task = self._live.pop(task_id)
            self._over[task_id] = (task.session_id, 0)
            if self._is_whole(task_id):
                what = "Its session is deleted before its end is told."
                self._notes.accuse(task_id, task, "ended-before-deleted", what, self._found.lines)

    def _session_imported(self, line: Line) -> None:
        self._imported.add(line.session_id or "")

    def _request(self, line: Line) -> None:
        task_id = line.task_id
        if (line.status, line.method, line.path) != (201, "POST", "/api/tasks") or not task_id:
            return
        task = self._live.get(task_id)
        recorded = task_id in self._over if task is None else task.facts.keys() & {CREATED, RECOVERED}
        if not recorded and self._is_whole(task_id):
            known = task or Unfinished(session_id=line.session_id or "")
            what = "The submit was answered with 201, and the task is not recorded."
            self._notes.accuse(task_id, known, "recorded-first", what, self._found.lines)

    def _mentioned(self, line: Line) -> None:
        """See that a line about a task names its session. Of an imported copy of it, another owner may be told."""
        task = self._live.get(line.task_id)
        session_id = task.session_id if task else self._over.get(line.task_id, (line.session_id, 0))[0]
        if line.session_id == session_id or line.session_id in self._imported or not self._is_whole(line.task_id):
            return
        if task is not None and CONFIRMED in task.facts and task.facts[CONFIRMED] < self._sessions_restarted:
            return  # a message about a confirmation that nobody got
        known = task or Unfinished(session_id=session_id or "")
        what = f"{line.event} says {line.session_id!r}; it was in {session_id!r}."
        self._notes.accuse(line.task_id, known, "one-session", what, self._found.lines)
