"""Runs a scenario once for each of many seeds; what is found is made plainer, and reported."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from alex_actors.diagrams.terminal import diagram_lines
from alex_actors.diagrams.trace import Trace, describe
from alex_actors.simulation.decisions import Decisions
from alex_actors.simulation.findings import Crash, Finding, Livelock, Violation
from alex_actors.simulation.located import innermost, located
from alex_actors.simulation.shrinking import Enough, shrink
from alex_actors.simulation.strategies import Plain, strategy_of
from alex_actors.simulation.world import Simulation
from alex_actors.values import Value

Scenario: TypeAlias = Callable[[Simulation], None]

MOST_STEPS = 300_000
"""Steps that all the runs that make a failure plainer may take: some 10 seconds, should each be a long one."""

LAST_OF_MANY = 60
"""Entries that a report of a run without end shows: the same few happen again and again."""

MOST_DELAYS = 6
"""Lines of a report that say who had to wait: with more, the picture tells more."""

ANOTHER_TIME = (
    "Not reduced: played again with the same decisions, it went differently. Something decides that the "
    "simulation does not know of: the real time, random numbers, a thread, the order of a set, what an earlier "
    "run left behind."
)


class Explored(Value, frozen=True):
    """What was done, and nothing was found wrong."""

    runs: int
    steps: int
    seconds: float
    """Of real time."""

    def __str__(self) -> str:
        """Return it as a line for people."""
        each = f"{self.runs / self.seconds:,.0f} runs/s, {self.steps / self.seconds:,.0f} steps/s"
        return f"{self.runs:,} runs, {self.steps:,} steps in {self.seconds:.1f} s ({each})"


class Played:
    """One run, and what was found wrong in it, if anything."""

    def __init__(self, scenario: Scenario, seed: int, script: Sequence[int] | None = None) -> None:
        """Play the scenario as the seed wants it, or with the decisions of a script."""
        decisions = Decisions(seed, script)
        strategy = strategy_of(seed) if script is None else Plain()
        simulation = Simulation(decisions=decisions, strategy=strategy)
        self.error: Exception | None = None
        try:
            with without_collection():
                simulation.play(scenario)
        except Exception as error:  # noqa: BLE001 - whatever a scenario raises is what was found
            self.error = error
            note_failure(simulation.trace, error)
        self.decisions = decisions.made
        self.trace = simulation.trace
        self.passed_over = simulation.scheduler.passed_over

    @property
    def steps(self) -> int:
        """How many steps it took."""
        return self.trace.step


class Report(AssertionError):
    """A run in which something is wrong. Its text says what, and what led to it."""

    def __init__(self, *, run: str, error: Exception | None, trace: Trace, notes: Sequence[str]) -> None:
        """``run`` says which run it was; ``notes`` what else there is to know."""
        self.error = error
        self.trace = trace
        self.headline = f"{run}: {_what(error)}"
        self.notes = tuple(notes)
        picture = diagram_lines(trace, shown=self.shown())
        super().__init__("\n".join((self.headline, *_where(error), "", *self.notes, "", picture)))

    def shown(self) -> set[int]:
        """Return the indices of what led to the failure, in the trace."""
        return past_of(self.trace, self.error)


class Found(Report):
    """A seed under which something is wrong. Its text is the report."""

    def __init__(self, *, seed: int, played: Played, replay: str, notes: Sequence[str]) -> None:
        self.seed = seed
        self.decisions = tuple(played.decisions)
        """What makes the plainest run that still fails."""
        notes = (*((f"To see it again: {replay}",) if replay else ()), *notes)
        super().__init__(run=f"Seed {seed}", error=played.error, trace=played.trace, notes=notes)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: what ends with it would end whenever the process happens to collect."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def note_failure(trace: Trace, error: Exception) -> None:
    """Have a trace tell of what a scenario raised; of a finding, it does."""
    if not isinstance(error, Finding):
        trace.add("failed", "the run", describe(error))


def explore(
    scenario: Scenario,
    *,
    seeds: int | Iterable[int] = 200,
    seconds: float | None = None,
    replay: Callable[[int], str] = lambda _seed: "",
) -> Explored:
    """Run ``scenario`` once for each seed (of a number: from 0 on), but begin none after ``seconds`` of real time.

    ``replay`` says how a seed is run again, for the report. Raises Found for the first seed under which
    something is wrong: what must hold does not, the scenario or a client raises, an actor that nobody supervises
    crashes, nobody can go on, or it does not end.
    """
    __tracebackhide__ = True  # pytest's: the report says where
    begun = time.perf_counter()
    runs = steps = 0
    if isinstance(seeds, int) and seeds < 1:
        msg = f"{seeds} seeds explore nothing: 1 or more do."
        raise ValueError(msg)
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        if seconds is not None and runs and time.perf_counter() - begun >= seconds:
            break
        try:
            played = Played(scenario, seed)
            runs += 1
            steps += played.steps
            found = None if played.error is None else reduced(scenario, seed, played, replay(seed))
        except BaseException as error:  # a time limit, an interrupt: not of the run, but it tells where it was
            error.add_note(
                f"This was in seed {seed}. To see it again: {replay(seed)}".removesuffix(" To see it again: ")
            )
            raise
        if found is not None:
            raise found
    return Explored(runs, steps, max(time.perf_counter() - begun, 1e-9))


def reduced(
    scenario: Scenario, seed: int, first: Played, replay: str = "", *, most_steps: int = MOST_STEPS
) -> Found:
    """Return what was found in a run, made as plain as can be in so many steps of other runs."""
    wanted = _signature(first.error)
    again = Played(scenario, seed, first.decisions)
    if str(again.trace) != str(first.trace) or _signature(again.error) != wanted:
        return Found(seed=seed, played=first, replay=replay, notes=(ANOTHER_TIME,))
    steps = first.steps

    def fails(script: Sequence[int]) -> Sequence[int] | None:
        nonlocal steps
        if steps > most_steps:
            raise Enough
        played = Played(scenario, seed, script)
        steps += played.steps
        return played.decisions if _signature(played.error) == wanted else None

    script, runs = shrink(first.decisions, fails)
    plainest = Played(scenario, seed, script)
    if _signature(plainest.error) != wanted:
        return Found(seed=seed, played=first, replay=replay, notes=(ANOTHER_TIME,))
    before, after = (sum(map(bool, played.decisions)) for played in (first, plainest))
    fewer = f", and from {first.steps} steps to {plainest.steps}" if plainest.steps < first.steps else ""
    choices = "choice" if before == 1 else "choices"
    summary = f"Reduced from {before} {choices} out of the ordinary to {after}{fewer}, in {runs} runs."
    return Found(seed=seed, played=plainest, replay=replay, notes=(summary, *_delays(plainest)))


def _delays(played: Played) -> list[str]:
    """Return who was made to wait in a run, in words."""
    delays = [
        f"From step {step} on, {' and '.join(waits)} wait{'' if len(waits) > 1 else 's'} while {who} can go on."
        for step, who, waits in played.passed_over[:MOST_DELAYS]
    ]
    more = len(played.passed_over) - len(delays)
    return [*delays, *([f"In {more} more steps, somebody has to wait."] if more else [])]


def past_of(trace: Trace, error: Exception | None) -> set[int]:
    """Return the indices of what led to a failure: all that happened before it and may have to do with it."""
    if isinstance(error, Crash):
        return trace.causes_of({error.index})
    if isinstance(error, Livelock):
        return set(range(max(0, len(trace) - LAST_OF_MANY), len(trace)))
    about = error.about if isinstance(error, Violation) else ()
    concerned = {entry.index for entry in trace if any(name in f"{entry.who} {entry}" for name in about)}
    if isinstance(error, Violation) and concerned:
        return trace.causes_of(index for index in concerned if index < error.index) | {error.index}
    return set(range(len(trace)))


def _what(error: Exception | None) -> str:
    return str(error) if isinstance(error, AssertionError) and str(error) else describe(error)


def _where(error: Exception | None) -> list[str]:
    """Return where in the code of users it went wrong, if that is to be seen there."""
    cause = error.__cause__ if isinstance(error, Finding) else error
    return [] if cause is None else [f"  {line}" for line in located(cause)]


def _signature(error: Exception | None) -> tuple[object, ...]:
    """Return what two failures have in common if they are the same one."""
    match error:
        case None:
            return ()
        case Violation():
            return (Violation, error.invariant)
        case Crash():
            return (Crash, error.actor.partition("(")[0], type(error.__cause__))
        case Finding():
            return (type(error), type(error.__cause__))
        case _:
            return (type(error), *innermost(error))
