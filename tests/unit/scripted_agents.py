"""An executor whose agents do what the test says, when it says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alex_actors.events import AgentEvent, AnyEvent, Approval, stamp
from alex_actors.ports import Aborted, Answer, Clock, Decision, Failed, Finished, Outcome, Yielded
from alex_actors.tasks import Task
from alex_actors.values import TaskId, timestamp


class ScriptedRun:
    """One agent at work, by hand."""

    def __init__(
        self,
        *,
        task: Task,
        history: Sequence[AnyEvent],
        uncommitted: int,
        report: Callable[[Yielded], None],
        clock: Clock,
    ) -> None:
        self.task = task
        self.history = history
        self.cancelled = 0
        """How often it was interrupted."""
        self.stopped = False
        self.decisions: list[tuple[str, Decision]] = []
        """What it was told of calls that wait for a person's word."""
        self.committed_count = 0
        self.produced = uncommitted
        self._report = report
        self._clock = clock
        self._then: Callable[[], None] | None = None

    # Called by the AgentActor.

    def committed(self, count: int) -> None:
        """Take notice of what is committed: never less than before, never more than there is."""
        assert self.committed_count <= count <= self.produced, f"{count} of {self.produced} are committed"
        self.committed_count = count

    def decide(self, call_id: str, decision: Decision) -> None:
        """Take notice of a person's word. The test decides when it is recorded."""
        self.decisions.append((call_id, decision))

    def cancel(self, then: Callable[[], None] | None = None) -> None:
        """Take notice of the interruption. The test decides when the agent stops."""
        self.cancelled += 1
        self._then = then or self._then
        if self.stopped and then is not None:
            then()

    # Called by the test.

    def yields(self, *events: AgentEvent | Approval) -> None:
        """Report events."""
        self._tell(events, None)

    def finishes(self, answer: str = "4", *events: AgentEvent) -> None:
        """Report the last events and an answer, and stop."""
        self._stop(Finished(Answer(answer)), events)

    def fails(self, error: str) -> None:
        """Report a failure, and stop."""
        self._stop(Failed(error), ())

    def stops(self) -> None:
        """Stop, interrupted."""
        self._stop(Aborted(), ())

    def stops_with(self, outcome: Outcome) -> None:
        """Report an outcome, and stop."""
        self._stop(outcome, ())

    def _stop(self, outcome: Outcome, events: Sequence[AgentEvent]) -> None:
        self._tell(events, outcome)
        self.stopped = True
        if self._then is not None:
            self._then()

    def _tell(self, events: Sequence[AgentEvent | Approval], outcome: Outcome | None) -> None:
        assert not self.stopped, "it has stopped"
        self.produced += len(events)
        at = timestamp(self._clock.now())
        if self._then is None:
            self._report(Yielded(tuple(stamp(at, event) for event in events), outcome))


class FakeExecutor:
    """Starts scripted runs, one for each task."""

    def __init__(self, *, clock: Clock, on_start: Callable[[Task], None] = lambda _task: None) -> None:
        self._clock = clock
        self._on_start = on_start
        self.refusal: Exception | None = None
        """What ``start`` raises."""
        self.runs: dict[TaskId, ScriptedRun] = {}

    def start(
        self,
        task: Task,
        *,
        history: Sequence[AnyEvent],
        uncommitted: int,
        report: Callable[[Yielded], None],
    ) -> ScriptedRun:
        """Start the agent of ``task``: it does nothing until the test has it do something."""
        self._on_start(task)
        if self.refusal is not None:
            raise self.refusal
        assert task.task_id not in self.runs, f"{task.task_id} is started twice"
        run = ScriptedRun(task=task, history=history, uncommitted=uncommitted, report=report, clock=self._clock)
        self.runs[task.task_id] = run
        return run

    def live(self) -> list[ScriptedRun]:
        """Return the runs that have not stopped."""
        return [run for run in self.runs.values() if not run.stopped]
