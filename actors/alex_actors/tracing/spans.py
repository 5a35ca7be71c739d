"""Makes spans of log entries, the same ones from a log that is being written as from one that was.

A span is a piece of work with its beginning and its end, as OpenTelemetry has it; the names are those of its
semantic conventions for generative AI: https://github.com/open-telemetry/semantic-conventions-genai.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from alex_actors.text import encodable
from alex_actors.tracing.spans_lines import Line, began, nanoseconds, read
from alex_actors.tracing.spans_requests import SUBMIT, request_span
from alex_actors.tracing.spans_values import AskedModel, Attribute, Kind, Span, known, span_id

MOST_TASKS = 50_000
"""Unfinished tasks that are remembered: more than a server has unless it is told to, some 20 MB of them."""

MOST_QUESTIONS = 1_000
"""Calls of a task that wait for a person's word at a time, and are remembered."""

AGENT, CHAT, TOOL = "invoke_agent", "chat", "execute_tool"
TOOL_ERROR, MODEL_ERROR = "tool_error", "model_error"
"""What is said of an error: a word of few, as the conventions want it, and not its text."""

REQUEST = "http.request"

WANTED = frozenset({
    REQUEST, "session.confirmed", "session.released", "task.created", "task.recovered", "agent.started",
    "agent.resumed", "model.replied", "model.failed", "model.attempt_failed", "tool.ended", "approval.requested",
    "approval.resolved", "task.ended", "message",
})  # fmt: skip
"""The events of the log that matter for spans."""

_About: TypeAlias = dict[str, Attribute | None]


@dataclass(slots=True)
class _Task:
    """What is known of a task that has not ended."""

    start: int
    trace_id: str
    waits_since: int | None = None
    """When it was put in line; None once it has its turn."""
    ahead: int | None = None
    agent: str = ""
    model: str = ""
    parent_task_id: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    iterations: int = 0
    questions: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Calls that wait for a person's word: since when, and the tool."""


class SpanMaker:
    """Is fed the entries of a log in their order, and returns each span with the entry that ends it.

    A task is a span ``invoke_agent``, which is over when it has ended; what it did are its children. IDs are made
    of what a span is of: made twice it is the same one, and a child knows its parent's before that is over. Of
    entries that are malformed, or are about nothing that has a span, none is made.
    """

    def __init__(self, *, models: Mapping[str, AskedModel] | None = None, most_tasks: int = MOST_TASKS) -> None:
        """``models`` says what models are that have names of their own here; others are called as they are."""
        self._models = models or {}
        self._most_tasks = most_tasks
        self._tasks: OrderedDict[str, _Task] = OrderedDict()
        self._makers: dict[str, Callable[[Line, int], Span | None]] = {
            REQUEST: request_span,
            "session.confirmed": self._confirmed,
            "session.released": self._released,
            "task.created": self._created,
            "task.recovered": self._recovered,
            "agent.started": self._started,
            "agent.resumed": self._started,
            "model.replied": self._asked_model,
            "model.failed": self._asked_model,
            "model.attempt_failed": self._count_asked,
            "tool.ended": self._tool_ended,
            "approval.requested": self._asked,
            "approval.resolved": self._decided,
            "task.ended": self._ended,
            "message": self._handled,
        }

    @property
    def unfinished(self) -> int:
        """Return how many tasks have begun and not ended: their own spans are not made yet."""
        return len(self._tasks)

    def feed(self, entry: Mapping[str, object]) -> Span | None:
        """Return the span that is over with an entry, if there is one."""
        event = entry.get("event")
        if not isinstance(event, str) or event not in WANTED:
            return None
        line = read(entry)
        moment = None if line is None else nanoseconds(line.ts)
        if line is None or moment is None:
            return None
        return self._makers[event](line, moment) if line.task_id or event == REQUEST else None

    # What becomes of a task.

    def _confirmed(self, line: Line, moment: int) -> None:
        task = self._task(line, moment)
        task.waits_since, task.ahead = moment, line.ahead

    def _released(self, line: Line, _moment: int) -> None:
        self._tasks.pop(line.task_id, None)

    def _created(self, line: Line, moment: int) -> None:
        self._task(line, moment).parent_task_id = line.parent_task_id

    def _recovered(self, line: Line, moment: int) -> None:
        task = self._task(line, moment)
        task.waits_since, task.ahead = moment, None
        task.parent_task_id = line.parent_task_id or task.parent_task_id

    def _started(self, line: Line, moment: int) -> Span | None:
        task = self._task(line, moment)
        task.agent = line.agent
        since, task.waits_since = task.waits_since, None
        if since is None:
            return None
        return _part(line, "wait in line", str(since), since, moment, {"alex.ahead": task.ahead})

    def _ended(self, line: Line, moment: int) -> Span:
        task = self._task(line, moment)
        del self._tasks[line.task_id]
        counted = task.input_tokens + task.output_tokens > 0
        error = (line.reason or "_OTHER") if line.status == "failed" else None
        about: _About = {
            **_gen_ai(line, AGENT),
            "gen_ai.agent.name": task.agent,
            **self._model(task.model),
            "gen_ai.usage.input_tokens": task.input_tokens if counted else None,
            "gen_ai.usage.output_tokens": task.output_tokens if counted else None,
            "alex.task_id": line.task_id,
            "alex.parent_task_id": task.parent_task_id,
            "alex.status": line.status,
            "alex.termination_reason": line.reason,
            "alex.iterations": task.iterations or None,
            "alex.cost_usd": task.cost_usd or None,
            "error.type": error,
        }
        trace_id, parent = line.trace_id, task.parent_task_id
        return Span(
            name=f"{AGENT} {task.agent}".rstrip(),
            trace_id=trace_id,
            span_id=span_id(trace_id, line.task_id, AGENT),
            parent_id=span_id(trace_id, parent, AGENT) if parent else span_id(trace_id, line.task_id, SUBMIT),
            start=min(task.start, moment),
            end=moment,
            attributes=known(about),
            error=error,
        )

    def _task(self, line: Line, moment: int) -> _Task:
        """Return what is known of a line's task; one whose beginning is not in the log begins here."""
        task = self._tasks.get(line.task_id)
        if task is None:
            while len(self._tasks) >= self._most_tasks:
                self._tasks.popitem(last=False)
            task = self._tasks[line.task_id] = _Task(start=moment, trace_id=line.trace_id)
        return task

    def _model(self, name: str) -> _About:
        asked = self._models.get(name, AskedModel(name))
        return {"gen_ai.request.model": asked.name, "gen_ai.provider.name": asked.provider}

    # What it does, and what it waits for.

    def _count_asked(self, line: Line, moment: int) -> None:
        """Count what a model used up. An attempt that failed has no span: that of its call has it in it."""
        task = self._task(line, moment)
        task.model = line.model
        task.input_tokens += line.input_tokens or 0
        task.output_tokens += line.output_tokens or 0
        task.cost_usd += line.cost_usd or 0.0
        task.iterations = max(task.iterations, line.iteration or 0)

    def _asked_model(self, line: Line, moment: int) -> Span:
        """Return the span of a call of a model, which replied or did not."""
        self._count_asked(line, moment)
        about: _About = {
            **_gen_ai(line, CHAT),
            **self._model(line.model),
            "gen_ai.usage.input_tokens": line.input_tokens,
            "gen_ai.usage.output_tokens": line.output_tokens,
            "alex.cost_usd": line.cost_usd,
            "alex.iteration": line.iteration,
        }
        end = _end(line, moment)
        return _part(
            line,
            f"{CHAT} {about['gen_ai.request.model']}",
            _key(line),
            began(end, line.duration),
            end,
            about,
            kind="client",
            error=MODEL_ERROR if line.event == "model.failed" else None,
        )

    def _tool_ended(self, line: Line, moment: int) -> Span:
        self._task(line, moment)
        error = TOOL_ERROR if line.error is True else None
        about: _About = {**_gen_ai(line, TOOL), **_call(line, line.tool), "gen_ai.tool.type": "function"}
        end = _end(line, moment)
        return _part(line, f"{TOOL} {line.tool}", _key(line), began(end, line.duration), end, about, error=error)

    def _asked(self, line: Line, moment: int) -> None:
        questions = self._task(line, moment).questions
        if len(questions) < MOST_QUESTIONS:
            questions[line.call_id] = moment, line.tool

    def _decided(self, line: Line, moment: int) -> Span:
        since, tool = self._task(line, moment).questions.pop(line.call_id, (moment, ""))
        about: _About = {**_call(line, tool), "alex.approved": line.approved}
        return _part(line, f"wait for approval {tool}", _key(line), since, moment, about)

    def _handled(self, line: Line, moment: int) -> Span | None:
        """Return the span of a message between actors, which may be handled after its task has ended.

        One that another request sent, such as a cancel, is of that request's trace, which has no span of the task.
        """
        start = began(moment, line.took)
        about: _About = {"alex.sender": line.sender, "alex.waited_ms": line.waited}
        task = self._tasks.get(line.task_id)
        is_part = task is None or task.trace_id == line.trace_id
        return _part(line, f"{line.receiver} {line.type}", _key(line), start, moment, about, is_part=is_part)


def _part(
    line: Line, name: str, key: str, start: int, end: int, about: _About, *, kind: Kind = "internal",
    error: str | None = None, is_part: bool = True,
) -> Span:  # fmt: skip
    """Return a span of something that a task did, or that was done for it; a part of the task's, if it is one."""
    name = encodable(" ".join(name.split()))
    return Span(
        name=name,
        kind=kind,
        trace_id=line.trace_id,
        span_id=span_id(line.trace_id, line.task_id, name, key),
        parent_id=span_id(line.trace_id, line.task_id, AGENT) if is_part else None,
        start=min(start, end),
        end=end,
        attributes=known({**about, "alex.task_id": line.task_id, "error.type": error}),
        error=error,
    )


def _gen_ai(line: Line, operation: str) -> _About:
    return {"gen_ai.operation.name": operation, "gen_ai.conversation.id": line.session_id}


def _call(line: Line, tool: str) -> _About:
    return {"gen_ai.tool.name": tool, "gen_ai.tool.call.id": line.call_id}


def _key(line: Line) -> str:
    """Return what tells a line from others of its task: its event, else its time to the microsecond."""
    return str(line.event_id) if line.event_id else line.ts


def _end(line: Line, logged: int) -> int:
    """Return when something was over: as the event says, if it says so; it was logged when it was committed."""
    at = nanoseconds(line.at)
    return logged if at is None else min(at, logged)
