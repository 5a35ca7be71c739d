"""The events of a task: what is recorded, published and read back, and what an agent may yield.

The fields are those of the HTTP contract, less the header that every event shares (its id, its task,
its session, its time), which the store adds when it records the event.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import msgspec

from alex_actors.values import LOCAL_OWNER, Owner, SessionId, TaskId, Timestamp, Value

TerminationReason: TypeAlias = Literal["completed", "cancelled", "timeout", "error", "interrupted"]
AnswerReason: TypeAlias = Literal["final_answer", "max_iterations"]
StopReason: TypeAlias = Literal["final_answer", "max_iterations", "cancelled", "timeout", "error", "interrupted"]


class Event(Value, frozen=True, kw_only=True, tag_field="event_type", tag=True):
    """The body of an event; its ``event_type`` is its tag."""


# What the AgentActor and the store say of a task.


class TaskCreated(Event, frozen=True, kw_only=True, tag="task_created"):
    """The task is recorded under its confirmed session."""

    task: str


class TaskStarted(Event, frozen=True, kw_only=True, tag="task_started"):
    """The task has its turn, and its agent begins."""


class TaskResumed(Event, frozen=True, kw_only=True, tag="task_resumed"):
    """The server was started again, and the task's agent goes on from what is recorded."""


class TaskCompleted(Event, frozen=True, kw_only=True, tag="task_completed"):
    """The agent answered, or used up its iterations."""

    final_answer: str
    stop_reason: AnswerReason
    total_iterations: int
    total_tokens: int
    duration: float
    status: Literal["completed"] = "completed"
    termination_reason: TerminationReason = "completed"


class TaskFailed(Event, frozen=True, kw_only=True, tag="task_failed"):
    """The agent raised, ran out of time, or was interrupted by a stop of the server."""

    error: str
    termination_reason: TerminationReason
    stop_reason: StopReason
    total_iterations: int
    total_tokens: int
    duration: float
    status: Literal["failed"] = "failed"


class TaskCancelled(Event, frozen=True, kw_only=True, tag="task_cancelled"):
    """Somebody cancelled the task."""

    error: str
    total_iterations: int
    total_tokens: int
    duration: float
    stop_reason: StopReason = "cancelled"
    status: Literal["cancelled"] = "cancelled"
    termination_reason: TerminationReason = "cancelled"


# What an agent says of its work.


class TaskAnalysis(Event, frozen=True, kw_only=True, tag="task_analysis"):
    """What the agent makes of its task."""

    action_name: str
    goal: str


class IterationStart(Event, frozen=True, kw_only=True, tag="iteration_start"):
    """A turn of the model, with the tools that it calls, begins. Counted from 1."""

    iteration: int
    total_iters: int


class Thinking(Event, frozen=True, kw_only=True, tag="thinking"):
    """The model is about to be called with this many messages."""

    iteration: int
    message_count: int


class AssistantDelta(Event, frozen=True, kw_only=True, tag="assistant_delta"):
    """A piece of the model's text as it streams."""

    iteration: int
    delta: str


class Usage(Value, frozen=True, kw_only=True):
    """What one call of a model took."""

    input_tokens: int
    output_tokens: int
    cost_usd: float | None = None
    """None: the model's price is not known."""
    estimated: bool = False
    """The provider did not count the tokens: they are an estimate."""

    @property
    def tokens(self) -> int:
        """Return the tokens of both directions."""
        return self.input_tokens + self.output_tokens


class ThinkComplete(Event, frozen=True, kw_only=True, omit_defaults=True, tag="think_complete"):
    """What the model said, and what that took if somebody counted it: it adds to what the whole task used.

    ``duration``: milliseconds from the moment in which the model was to be asked, other attempts and what was
    waited between them included; None if nobody measured it.
    """

    iteration: int
    content: str
    tool_call_count: int
    usage: Usage | None = None
    duration: float | None = None


class ToolCallStart(Event, frozen=True, kw_only=True, tag="tool_call_start"):
    """A tool is about to run. Secrets in its arguments are redacted."""

    iteration: int
    call_id: str
    tool_name: str
    arguments: dict[str, Any]  # JSON, as the model wrote it


class ToolCallStream(Event, frozen=True, kw_only=True, tag="tool_call_stream"):
    """A piece of a tool's output while it runs."""

    call_id: str
    chunk: str
    is_complete: bool


class ToolCallComplete(Event, frozen=True, kw_only=True, tag="tool_call_complete"):
    """What came of a tool call: a result or an error. ``duration`` in milliseconds."""

    call_id: str
    tool_name: str
    result: str | None
    error: str | None
    duration: float


class ApprovalRequested(Event, frozen=True, kw_only=True, omit_defaults=True, tag="approval_requested"):
    """A tool call waits for a person's word. Secrets in its arguments are redacted."""

    iteration: int
    call_id: str
    tool_name: str
    arguments: dict[str, Any]  # JSON, as the model wrote it
    expires_at: Timestamp | None = None
    """When it counts as denied, if nobody has answered by then."""


class ApprovalResolved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="approval_resolved"):
    """A person, or the lapse of time, has decided on a tool call that waited."""

    call_id: str
    approved: bool
    reason: str | None
    arguments: dict[str, Any] | None = None  # JSON, in place of the model's, if the person changed them


class ContextCompressed(Event, frozen=True, kw_only=True, tag="context_compressed"):
    """The conversation was shortened to fit the model. Counts are of messages."""

    original_count: int
    compressed_count: int


class IterationComplete(Event, frozen=True, kw_only=True, omit_defaults=True, tag="iteration_complete"):
    """A turn is over. ``tokens_used`` and ``cost_usd`` (None: nothing) so far, over the whole task."""

    iteration: int
    tokens_used: int
    tools_run: int
    cost_usd: float | None = None


class ErrorRaised(Event, frozen=True, kw_only=True, omit_defaults=True, tag="error"):
    """Something went wrong in a turn; a recoverable error does not end the task.

    ``usage`` is what a model used up that has no reply, if it is known: it adds to what the whole task used.
    """

    iteration: int
    phase: Literal["think", "execute", "observe"]
    error: str
    recoverable: bool
    usage: Usage | None = None


Approval: TypeAlias = ApprovalRequested | ApprovalResolved
"""Recorded by what runs an agent, when the agent waits for a person's word."""

AgentEvent: TypeAlias = (
    TaskAnalysis
    | IterationStart
    | Thinking
    | AssistantDelta
    | ThinkComplete
    | ToolCallStart
    | ToolCallStream
    | ToolCallComplete
    | ContextCompressed
    | IterationComplete
    | ErrorRaised
)
"""What an agent may yield to be recorded."""

AGENT_EVENTS: tuple[type[AgentEvent], ...] = get_args(AgentEvent)

TerminalEvent: TypeAlias = TaskCompleted | TaskFailed | TaskCancelled
TERMINAL = (TaskCompleted, TaskFailed, TaskCancelled)

AnyEvent: TypeAlias = TaskCreated | TaskStarted | TaskResumed | TerminalEvent | AgentEvent | Approval


class Stamped(Value, frozen=True):
    """An event, the moment in which it happened, and its JSON: encoded where it happens, once for all."""

    at: Timestamp
    event: AnyEvent
    body: bytes

    @property
    def event_type(self) -> str:
        """The event's type, as the contract names it."""
        return EVENT_TYPES[type(self.event)]


EVENT_TYPES: dict[type[AnyEvent], str] = {
    member: str(member.__struct_config__.tag) for member in get_args(AnyEvent)
}

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def stamp(at: Timestamp, event: AnyEvent) -> Stamped:
    """Encode an event that this program made."""
    return Stamped(at, event, _encoder.encode(event))


def read_back(body: bytes) -> AnyEvent:
    """Return the event that a recorded body is."""
    return _decoder.decode(body)


def stamp_checked(at: Timestamp, event: AnyEvent) -> Stamped:
    """Encode an event of which nothing is known but its class: an agent's.

    Raises TypeError or ValueError (msgspec's, or UnicodeEncodeError) if a field is of another type than the
    event declares, or cannot be JSON. Reading it back is the check, since structs do not check on creation.
    """
    stamped = stamp(at, event)
    _decoder.decode(stamped.body)
    return stamped


class _Header(msgspec.Struct, frozen=True):
    """What every event starts with, beside its type."""

    event_id: int
    task_id: TaskId
    session_id: SessionId
    parent_task_id: TaskId | None
    timestamp: Timestamp
    agent_level: str


class RecordedEvent(Value, frozen=True):
    """An event as the store has it. Its id is its place in the log of the whole server."""

    event_id: int
    event_type: str
    task_id: TaskId
    session_id: SessionId
    parent_task_id: TaskId | None
    timestamp: Timestamp
    body: bytes
    """Its own JSON, without what all events share."""
    owner: Owner = LOCAL_OWNER
    """Whose task it is: no part of the event, but of who may have it."""

    def json(self) -> msgspec.Raw:
        """Return all of it as one JSON object, as readers get it."""
        header = _Header(
            event_id=self.event_id,
            task_id=self.task_id,
            session_id=self.session_id,
            parent_task_id=self.parent_task_id,
            timestamp=self.timestamp,
            agent_level="core" if self.parent_task_id is None else "subagent",
        )
        # Both are JSON objects with at least one member, so that joining them is joining their text.
        return msgspec.Raw(_encoder.encode(header)[:-1] + b"," + self.body[1:])
