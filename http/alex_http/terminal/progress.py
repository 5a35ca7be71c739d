"""How far a task is, made from its events. No input or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alex_http.client import Event

LONGEST_STREAMED = 20_000
"""Characters of what the model is saying that are kept: a screen shows fewer, and the whole comes at the end."""
LONGEST_OUTPUT = 2_000
"""Characters of what a running tool has printed that are kept."""


@dataclass(kw_only=True)
class Call:
    """A tool call that has begun, or waits for a person's word."""

    call_id: str
    tool: str
    arguments: Mapping[str, Any]  # Any: JSON, as the tool takes it
    since: datetime
    output: str = ""
    """The end of what it has printed so far."""
    decided: bool = False
    """A person has said whether it is run."""
    saying: bool | None = None
    """The word that is on its way to the server: True to have it run. None: there is none."""


@dataclass(kw_only=True)
class Progress:
    """One task, as its events so far tell it. Times in UTC, money in US dollars."""

    task_id: str
    session_id: str = ""
    text: str = ""
    status: str = "pending"
    parent_task_id: str | None = None
    iteration: int = 0
    most_iterations: int = 0
    tokens: int = 0
    cost: float | None = None
    """None: the price of its model is not known, or nothing was counted yet."""
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    duration: float = 0.0
    """Milliseconds, once it has ended, as the server counts them."""
    streaming: str = ""
    """The end of what the model is saying."""
    running: dict[str, Call] = field(default_factory=dict)
    asked: dict[str, Call] = field(default_factory=dict)
    """Calls that wait for a person's word, or for their turn after it."""
    calls: int = 0
    """How many tools have been called."""
    doing: str = "waiting to start"
    answer: str | None = None
    error: str | None = None
    reason: str | None = None
    """Why it ended: ``stop_reason``."""

    @property
    def has_ended(self) -> bool:
        """Whether its last event was seen."""
        return self.ended is not None

    @property
    def waiting(self) -> Sequence[Call]:
        """The calls that wait for a person's word."""
        return [call for call in self.asked.values() if not call.decided]

    def seconds(self, now: datetime) -> float:
        """Return for how long it has run, or ran; 0 before it starts. Clocks of two machines may differ."""
        if self.ended is not None:
            return self.duration / 1000
        return 0.0 if self.started is None else max(0.0, (now - self.started).total_seconds())

    def take(self, event: Event) -> Call | None:
        """Go on by one event. Return the call that it is the end of, if it is one."""
        data = event.data
        match event.event_type:
            case "task_created":
                self.text, self.created, self.parent_task_id = data["task"], event.timestamp, event.parent_task_id
                self.session_id = event.session_id
            case "task_started" | "task_resumed":
                self.status, self.doing = "running", "starting"
                self.started = self.started or event.timestamp
                self.streaming = ""
                self.running.clear()  # what was asked for goes on waiting: it is asked for once
            case "iteration_start":
                self.iteration, self.most_iterations, self.doing = (
                    data["iteration"],
                    data["total_iters"],
                    "working",
                )
                self.streaming = ""
            case "thinking":
                self.doing, self.streaming = "thinking", ""
            case "assistant_delta":
                self.doing = "answering"
                self.streaming = (self.streaming + data["delta"])[-LONGEST_STREAMED:]
            case "think_complete":
                self.doing, self.streaming = "working", ""
            case "iteration_complete":
                self.iteration, self.tokens = data["iteration"], data["tokens_used"]
                self.cost = data.get("cost_usd", self.cost)
            case "error":
                self.streaming = ""
            case "task_completed" | "task_failed" | "task_cancelled":
                self._end(event)
            case _:
                return self._take_of_tool(event)
        return None

    def _take_of_tool(self, event: Event) -> Call | None:
        data = event.data
        match event.event_type:
            case "tool_call_start":
                self.calls += 1
                self.running[data["call_id"]] = _call(event)
                self.asked.pop(data["call_id"], None)
            case "tool_call_stream":
                if call := self.running.get(data["call_id"]):
                    call.output = (call.output + data["chunk"])[-LONGEST_OUTPUT:]
            case "tool_call_complete":
                asked = self.asked.pop(data["call_id"], None)
                return self.running.pop(data["call_id"], asked)
            case "approval_requested":
                self.asked[data["call_id"]] = _call(event)
            case "approval_resolved":
                if call := self.asked.get(data["call_id"]):
                    call.decided = True
                return call
        return None

    def _end(self, event: Event) -> None:
        data = event.data
        self.status, self.ended = data["status"], event.timestamp
        self.tokens, self.iteration = data["total_tokens"], data["total_iterations"]
        self.duration, self.reason = data["duration"], data["stop_reason"]
        self.answer, self.error = data.get("final_answer"), data.get("error")
        self.streaming = ""
        self.running.clear()
        self.asked.clear()


def _call(event: Event) -> Call:
    data = event.data
    return Call(
        call_id=data["call_id"], tool=data["tool_name"], arguments=data["arguments"], since=event.timestamp
    )


class Tasks:
    """The tasks of one stream: one, or all of a session."""

    def __init__(self) -> None:
        self.by_id: dict[str, Progress] = {}
        self.away = False
        """The server cannot be reached: what it does meanwhile will be told later."""
        self.cancelling = False
        """The server is told to cancel the task that is followed; its end has not come yet."""

    def take(self, event: Event) -> tuple[Progress, Call | None]:
        """Go on by one event; return its task, and the call that it is the end of, if it is one."""
        progress = self.by_id.setdefault(
            event.task_id, Progress(task_id=event.task_id, session_id=event.session_id)
        )
        call = progress.take(event)
        if progress.has_ended:
            self.by_id.pop(event.task_id)  # a session is followed for weeks
        return progress, call
