"""What actors and agents need from outside, as interfaces: the composition root gives the real ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from alex_actors.events import AgentEvent, AnswerReason, AnyEvent, ApprovalRequested, Stamped, Usage
from alex_actors.values import SessionId, TaskId, Value

if TYPE_CHECKING:
    import pykka

    from alex_actors.messages import Tell
    from alex_actors.projection import Progress
    from alex_actors.store.staging import LiveTask
    from alex_actors.tasks import Task

A = TypeVar("A", bound="pykka.Actor")


# Time and names.


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class Timer(Protocol):
    """A message that is on its way."""

    def cancel(self) -> None:
        """Do not send it. Of no effect if it was sent."""


class Timers(Protocol):
    """Sends messages later."""

    def after(self, seconds: float, to: pykka.ActorRef[A], message: Tell[A]) -> Timer:
        """Tell ``message`` to an actor in ``seconds``."""


class Ids(Protocol):
    """Makes names that are never made again and sort by age."""

    def task(self) -> TaskId:
        """Return a new ``task-…``."""

    def session(self) -> SessionId:
        """Return a new ``session-…``."""

    def trace(self) -> str:
        """Return a new trace ID: 32 hexadecimal digits, as W3C Trace Context has them."""


class Workspaces(Protocol):
    """The directories that sessions' tools work in."""

    def discard(self, session_key: int) -> None:
        """Remove the workspace of a session that is gone, soon and elsewhere: does not block, nor raise.

        A key is never used again, so it may come twice. What a crash leaves is removed at the next start.
        """

    def copy(self, session_key: int, new_key: int, done: Callable[[Exception | None], None]) -> None:
        """Copy a workspace for a session that is to be recorded, soon and elsewhere: does not block, nor raise.

        ``done`` is called, on whatever thread, with None or with why there is no copy: TreeTooLarge, or another. A
        copy whose session is never recorded is removed at the next start.
        """


# What is counted.


MeteredEvent: TypeAlias = "tuple[LiveTask, Progress, Stamped, int]"
"""An event that is recorded: its task, as it was before the message that brought it; the task's state before the
event; the event; how many events the task had before it. A tuple: one is made for each event."""


class Meter(Protocol):
    """Counts what is recorded. Called on the store actor's thread; must neither block nor raise."""

    def unfinished(self, tasks: Iterable[LiveTask]) -> None:
        """Take notice of all tasks that are unfinished, whatever was counted before: a store actor begins."""

    def committed(self, events: Sequence[MeteredEvent], *, messages: int, seconds: float) -> None:
        """Take notice of a transaction: its events, for how many messages it was, how long it took."""


class NotMetered:
    """Counts nothing."""

    def unfinished(self, tasks: Iterable[LiveTask]) -> None:
        """Do nothing."""
        del tasks

    def committed(self, events: Sequence[MeteredEvent], *, messages: int, seconds: float) -> None:
        """Do nothing."""
        del events, messages, seconds


# Agents, and what runs them.


class Checkpoint(Value, frozen=True):
    """An agent yields it before an effect outside (a model call, a tool that is not safe to repeat).

    It is resumed once all that it yielded before is committed.
    """


class Decision(Value, frozen=True, kw_only=True):
    """A person's word on a tool call that waits for it."""

    approved: bool
    reason: str | None = None
    arguments: dict[str, Any] | None = None  # JSON, to run the tool with in place of the model's


@dataclass(slots=True)
class AwaitApprovals:
    """An agent yields it to ask for a person's word, on any number of tool calls at once.

    The requests are recorded, but for those that are on record, and the agent is resumed once all are decided and
    the decisions are committed. It finds them in ``decisions``, by ``call_id``.
    """

    requests: tuple[ApprovalRequested, ...]
    decisions: dict[str, Decision] = field(default_factory=dict)


class Answer(Value, frozen=True):
    """The last thing that an agent yields: its task is completed with it."""

    text: str
    stop_reason: AnswerReason = "final_answer"


class AgentError(Exception):
    """Raised by an agent to fail its task with a text that a person can act on."""


AgentYield: TypeAlias = AgentEvent | Checkpoint | AwaitApprovals | Answer


class Agent(Protocol):
    """Does the work of tasks. One object serves many tasks at once: what is a task's own lives in ``run``.

    One with an attribute ``resumes`` that is True goes on, after the server was down, from the history that
    ``run`` is given. The tasks of any other end as ``interrupted`` then: what it had done is not known, and must
    not be done twice.
    """

    def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        """Work on ``task``, from where ``history`` (its own recorded events, in order) leaves off."""


class Finished(Value, frozen=True):
    """The agent answered."""

    answer: Answer


class Failed(Value, frozen=True):
    """The agent raised; ``error`` is one line of text."""

    error: str


class Aborted(Value, frozen=True):
    """The agent was cancelled and has stopped."""


class NotResumed(Value, frozen=True):
    """The agent was not run: the task had begun before the server was down, and it does not go on from there."""


Outcome: TypeAlias = Finished | Failed | Aborted | NotResumed


class Yielded(Value, frozen=True):
    """A run's news: what the agent yielded, in order, and its outcome once it has really stopped."""

    events: tuple[Stamped, ...]
    outcome: Outcome | None


class Run(Protocol):
    """One agent at work on one task."""

    def committed(self, count: int) -> None:
        """Tell the run that its first ``count`` events are committed: it may go further ahead."""

    def decide(self, call_id: str, decision: Decision) -> None:
        """Tell the run a person's word on a call that it waits for. The first counts."""

    def cancel(self, then: Callable[[], None] | None = None) -> None:
        """Interrupt what the agent awaits. The outcome is reported when it has really stopped.

        With ``then`` nothing more is reported: it is called when the agent has stopped, at once if it has.
        """


class Executor(Protocol):
    """Runs agents outside of the actors."""

    def start(
        self,
        task: Task,
        *,
        history: Sequence[AnyEvent],
        uncommitted: int,
        report: Callable[[Yielded], None],
    ) -> Run:
        """Start the agent of ``task``, with its own recorded events: none, unless it goes on.

        ``uncommitted`` events of the task are on their way to the store already: the run's are counted after
        them. ``report`` may be called on any thread, and must not block.
        """


# Models and tools.


class ToolCall(Value, frozen=True):
    """A model's wish to call a tool."""

    call_id: str
    tool_name: str
    arguments: dict[str, Any]  # JSON, as the model wrote it


class Message(Value, frozen=True, kw_only=True):
    """One message of a conversation with a model."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None
    """Of a tool's message: the call that it answers."""


class ToolSpec(Value, frozen=True, kw_only=True):
    """What a model is told of a tool."""

    name: str
    description: str
    parameters: dict[str, Any]  # a JSON Schema
    repeatable: bool
    """Running it again after an interruption changes nothing more."""
    alone: bool = False
    """It changes what other tools of the same turn may look at: calls before it end first, those after it wait."""


class TextDelta(Value, frozen=True):
    """A piece of a model's text, as it comes."""

    text: str


class ModelTrouble(Value, frozen=True):
    """A model did not answer, and is asked again: what it said so far of this turn counts for nothing."""

    error: str


class ModelReply(Value, frozen=True, kw_only=True):
    """One turn of a model; without tool calls, it is its final answer."""

    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    """None: nobody counted, and it costs nothing."""


ModelEvent: TypeAlias = TextDelta | ModelTrouble | ModelReply


class ModelError(AgentError):
    """Raised by a model that has no reply. ``spent``: what was used up nevertheless; None: nothing is known."""

    def __init__(self, text: str = "", *, spent: Usage | None = None) -> None:
        super().__init__(text)
        self.spent = spent


class ContextOverflow(ModelError):
    """Raised by a model for a conversation that is longer than it takes."""


class Model(Protocol):
    """A language model, or something that acts as one. One object serves many tasks at once."""

    @property
    def context_tokens(self) -> int | None:
        """Return how many tokens a conversation may have, with the reply; None: nobody knows."""

    def complete(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> AsyncGenerator[ModelEvent, None]:
        """Yield the model's next turn in a conversation in which it may call ``tools``, as it comes.

        The last that it yields is the whole of it, a ModelReply. Raises ModelError if the model cannot, and
        ContextOverflow if that is since the conversation is too long. Closing the iterator, or cancelling what
        waits for it, ends the call at the model's side too.
        """


class ToolError(Exception):
    """Raised by a tool: its text is told to the model, which may try something else."""


class ToolContext(Value, frozen=True):
    """For whom a tool runs."""

    task_id: TaskId
    workspace: Path
    """The session's directory; may not exist yet. No tool reads or writes outside of it."""
    call_id: str = ""
    """The call's name, unique in its task; the same when the call is repeated after an interruption."""
    task: Task | None = None
    """The task as its agent was given it; None where a tool is called outside of one."""


class Tool(Protocol):
    """Something that a model can call."""

    @property
    def spec(self) -> ToolSpec:
        """Return what a model is told of it."""

    async def __call__(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """Run it. Raises ToolError with a text that helps the model, also for bad arguments."""
