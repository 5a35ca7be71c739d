"""Runs a scenario in every order of its steps, where there are few enough: what seeds sample, this proves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from alex_actors.simulation.decisions import NoDecisions
from alex_actors.simulation.exhaustive import Choose, Exhausted, FoundFailure, StepRecord, exhaust
from alex_actors.simulation.exploring import Report, Scenario, note_failure, without_collection
from alex_actors.simulation.world import Simulation

if TYPE_CHECKING:
    from alex_actors.diagrams.trace import Trace
    from alex_actors.simulation.steps import StepLog


class FoundInSearch(Report):
    """An order of the steps in which something is wrong. Its text is the report."""

    def __init__(self, *, failure: FoundFailure, trace: Trace) -> None:
        self.schedule = failure.schedule
        """Who took each step."""
        super().__init__(run=f"Order {failure.executions}", error=failure.error, trace=trace, notes=())


class Chosen:
    """The strategy of a search: it says who is next, and knows what was done so far."""

    steps: StepLog

    def __init__(self, choose: Choose) -> None:
        self._choose = choose

    def pick(self, names: Sequence[str], random: Random) -> int:  # noqa: ARG002 - as Strategy has it
        """Return the index of who is next."""
        return names.index(self._choose(names, self.steps.records()))


def explore_every_order(scenario: Scenario, *, interrupted: bool = False, limit: int | None = None) -> Exhausted:
    """Run ``scenario`` once for every order of its steps that can make a difference; of ``limit`` runs at most.

    A step is the handling of one message, whole; or, if it can be ``interrupted``, up to each message that it
    sends. Time passes only when nobody can go on: what is due at the same moment comes after them.
    Nothing is left to chance. Raises FoundInSearch for the first order in which something is wrong, and
    NotExplorableError if the scenario does not do the same in the same order, or draws.
    """
    __tracebackhide__ = True  # pytest's: the report says where
    trace: Trace | None = None

    def execute(choose: Choose) -> Sequence[StepRecord]:
        nonlocal trace
        simulation, records = begin(choose, interrupted=interrupted)
        trace = simulation.trace
        with without_collection():
            simulation.play(scenario)
        return records()

    try:
        return exhaust(execute, limit=limit)
    except FoundFailure as failure:
        if trace is None:
            raise
        note_failure(trace, failure.error)
        found = FoundInSearch(failure=failure, trace=trace)
    raise found


def begin(choose: Choose, *, interrupted: bool) -> tuple[Simulation, Callable[[], Sequence[StepRecord]]]:
    """Return a run in which ``choose`` says who is next, and what returns the records of its steps."""
    strategy = Chosen(choose)
    simulation = Simulation(
        decisions=NoDecisions(), strategy=strategy, interruptions=float(interrupted), record_steps=True
    )
    strategy.steps = simulation.scheduler.steps
    return simulation, strategy.steps.records
