"""Runs a scenario in every order of its steps, where there are few enough: what seeds sample, this proves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from alex_actors.simulation.decisions import Decisions
from alex_actors.simulation.exhaustive import Choose, Exhausted, StepRecord, exhaust
from alex_actors.simulation.world import Simulation

if TYPE_CHECKING:
    from alex_actors.simulation.steps import StepLog

Scenario: TypeAlias = Callable[[Simulation], None]


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
    sends. Time passes only when nobody can go on. Nothing is left to chance: every decision of the scenario's own
    is the first option. Raises FoundFailure from the first finding, and NotExplorableError.
    """

    def execute(choose: Choose) -> Sequence[StepRecord]:
        strategy = Chosen(choose)
        simulation = Simulation(
            decisions=Decisions(0), strategy=strategy, interruptions=float(interrupted), record_steps=True
        )
        strategy.steps = simulation.scheduler.steps
        simulation.play(scenario)
        return simulation.scheduler.steps.records()

    return exhaust(execute, limit=limit)
