"""The meter of what is recorded: of tasks, models and tools. The store actor's thread writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from alex_actors.events import (
    TERMINAL,
    AnyEvent,
    ErrorRaised,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskResumed,
    TaskStarted,
    ThinkComplete,
    ToolCallComplete,
    Usage,
)
from alex_actors.metrics.tallies import Histogram
from alex_actors.values import Timestamp, moment

if TYPE_CHECKING:
    from alex_actors.ports import Clock, MeteredEvent
    from alex_actors.projection import Progress
    from alex_actors.store.staging import LiveTask

QUEUE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
"""Buckets for what a client waits for until something happens."""
RUN_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400)
MODEL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300)
TOOL_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
COMMIT_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
COMMIT_MESSAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

MOST_TOOLS = 100
"""Tools that are told apart. Servers may have any number of tools, and Prometheus keeps a series for each name."""

OTHER = "other"
"""What a tool is called that is not told apart: a model may call for any name, also one that is no tool's."""

_ENDS: tuple[tuple[str, str], ...] = (
    ("completed", "completed"),
    ("failed", "error"),
    ("failed", "timeout"),
    ("failed", "interrupted"),
    ("cancelled", "cancelled"),
)
"""Statuses and reasons."""

_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_NOT_THE_AGENT_S = frozenset({TaskResumed, *TERMINAL})

_Take: TypeAlias = "Callable[[LiveTask, Progress, Timestamp, AnyEvent], None]"


class TaskMeter:
    """Counts what the store actor commits, and knows how many tasks are unfinished.

    One thread writes: that of the store actor. Attributes may be read on any; dictionaries by copying them.
    """

    def __init__(self, *, clock: Clock, models: Collection[str], tools: Collection[str]) -> None:
        """``tools``: names that are told apart from the start; others are, once a call of them went well.

        What is known from the start counts from 0: Prometheus does not see the growth of what was not there.
        """
        self._clock = clock
        self._tools = {name: name for name in tools}
        self._takes: dict[type[AnyEvent], _Take] = {
            TaskCreated: self._created,
            TaskStarted: self._started,
            TaskCompleted: self._ended,
            TaskFailed: self._ended,
            TaskCancelled: self._ended,
            ThinkComplete: self._replied,
            ErrorRaised: self._failed,
            ToolCallComplete: self._tool_ended,
        }
        self.pending = 0
        """Tasks that were not started."""
        self.running = 0
        """Tasks that were started, and have not ended."""
        self.sub_agents = 0
        """Those of both that are of sub-agents."""
        self.created = 0
        self.ended = dict.fromkeys(_ENDS, 0)
        """By status and reason."""
        self.queue_seconds = Histogram(QUEUE_SECONDS)
        self.run_seconds = Histogram(RUN_SECONDS)
        self.first_event_seconds = Histogram(QUEUE_SECONDS)
        self.model_seconds: dict[str, Histogram] = {}
        self.model_tokens = {(model, way): 0 for model in models for way in ("input", "output")}
        """By model and direction."""
        self.model_dollars: dict[str, float] = {}
        self.model_calls = {(model, outcome): 0 for model in models for outcome in ("ok", "error")}
        """By model and outcome, with all attempts."""
        self.model_errors = dict.fromkeys(models, 0)
        """Attempts that failed, the last ones included."""
        self.tool_seconds: dict[str, Histogram] = {}
        self.tool_calls = {(tool, outcome): 0 for tool in tools for outcome in ("ok", "error")}
        """By tool and outcome."""
        self.commit_seconds = Histogram(COMMIT_SECONDS)
        self.commit_messages = Histogram(COMMIT_MESSAGES)

    # Called by the store actor.

    def unfinished(self, tasks: Iterable[LiveTask]) -> None:
        """Take notice of all tasks that are unfinished, whatever was counted before."""
        found = tuple(tasks)
        self.pending = sum(task.progress.started_at is None for task in found)
        self.running = len(found) - self.pending
        self.sub_agents = sum(task.parent_task_id is not None for task in found)

    def committed(self, events: Sequence[MeteredEvent], *, messages: int, seconds: float) -> None:
        """Count a transaction that took so many seconds, for so many messages, and its events."""
        self.commit_seconds.observe(seconds)
        self.commit_messages.observe(messages)
        for task, progress, stamped, before in events:
            kind = type(stamped.event)
            take = self._takes.get(kind)
            if take is not None:
                take(task, progress, stamped.at, stamped.event)
            if before == 2 and kind not in _NOT_THE_AGENT_S:  # the two are task_created and task_started
                waited = self._clock.now() - moment(task.created_at)
                self.first_event_seconds.observe(waited.total_seconds())

    # Tasks.

    def _created(self, task: LiveTask, _progress: Progress, _at: Timestamp, _event: AnyEvent) -> None:
        self.created += 1
        self.pending += 1
        self.sub_agents += task.parent_task_id is not None

    def _started(self, task: LiveTask, progress: Progress, at: Timestamp, _event: AnyEvent) -> None:
        if progress.started_at is None:
            self.pending -= 1
            self.running += 1
            self.queue_seconds.observe(_seconds(task.created_at, at))

    def _ended(self, task: LiveTask, progress: Progress, at: Timestamp, event: AnyEvent) -> None:
        if not isinstance(event, TERMINAL):
            return
        if progress.started_at is None:
            self.pending -= 1
        else:
            self.running -= 1
            self.run_seconds.observe(_seconds(progress.started_at, at))
        self.sub_agents -= task.parent_task_id is not None
        name = event.status, event.termination_reason
        self.ended[name] = self.ended.get(name, 0) + 1

    # Models and tools.

    def _replied(self, task: LiveTask, _progress: Progress, _at: Timestamp, event: AnyEvent) -> None:
        if not isinstance(event, ThinkComplete):
            return
        self._called(task.model, "ok")
        if event.duration is not None and isfinite(event.duration):  # what is no number is null on record
            seconds = self.model_seconds.get(task.model)
            if seconds is None:
                seconds = self.model_seconds[task.model] = Histogram(MODEL_SECONDS)
            seconds.observe(event.duration / 1000)
        self._used(task.model, event.usage)

    def _failed(self, task: LiveTask, _progress: Progress, _at: Timestamp, event: AnyEvent) -> None:
        if isinstance(event, ErrorRaised) and event.phase == "think":
            self.model_errors[task.model] = self.model_errors.get(task.model, 0) + 1
            self._used(task.model, event.usage)
            if not event.recoverable:
                self._called(task.model, "error")

    def _called(self, model: str, outcome: str) -> None:
        name = model, outcome
        self.model_calls[name] = self.model_calls.get(name, 0) + 1

    def _used(self, model: str, usage: Usage | None) -> None:
        if usage is None:
            return
        for direction, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            name = model, direction
            self.model_tokens[name] = self.model_tokens.get(name, 0) + tokens
        if usage.cost_usd is not None:
            self.model_dollars[model] = self.model_dollars.get(model, 0.0) + usage.cost_usd

    def _tool_ended(self, _task: LiveTask, _progress: Progress, _at: Timestamp, event: AnyEvent) -> None:
        if not isinstance(event, ToolCallComplete):
            return
        tool = self._told_apart(event)
        name = tool, "ok" if event.error is None else "error"
        self.tool_calls[name] = self.tool_calls.get(name, 0) + 1
        seconds = self.tool_seconds.get(tool)
        if seconds is None:
            seconds = self.tool_seconds[tool] = Histogram(TOOL_SECONDS)
        seconds.observe(event.duration / 1000)

    def _told_apart(self, event: ToolCallComplete) -> str:
        """Return the name under which a call counts."""
        known = self._tools.get(event.tool_name)
        if known is not None:
            return known
        name = event.tool_name
        if event.error is not None or len(self._tools) >= MOST_TOOLS or not _TOOL_NAME.fullmatch(name):
            return OTHER
        self._tools[name] = name
        return name


def _seconds(start: Timestamp, end: Timestamp) -> float:
    """Return how long that was; below 0 if the wall clock was set back."""
    return (moment(end) - moment(start)).total_seconds()
