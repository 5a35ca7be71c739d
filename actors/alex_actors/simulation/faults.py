"""What goes wrong in a run, and when: drawn from its seed."""

from __future__ import annotations

from alex_actors.actor import PooledActor
from alex_actors.simulation.decisions import Decisions


class InjectedCrash(Exception):
    """What an actor crashes of when the simulation wants it to."""


class Faults:
    """Has actors crash on their messages."""

    def __init__(self, *, decisions: Decisions) -> None:
        self._decisions = decisions
        self._crashes: dict[type, float] = {}
        self._left: dict[type, int] = {}
        self.calm = False
        """Whether nothing fails any more."""

    def crash(self, actor: type[PooledActor], *, probability: float, at_most: int = 1) -> None:
        """Have actors of this class crash on a message, each with this probability, ``at_most`` so often."""
        self._crashes[actor] = probability
        self._left[actor] = at_most

    def happens(self, probability: float) -> bool:
        """Return whether something goes wrong now."""
        return not self.calm and self._decisions.chance(probability)

    def perhaps_crash(self, actor: PooledActor, _message: object) -> None:
        """Crash the actor that is about to handle a message, or do not. Raises InjectedCrash."""
        named = next((one for one in type(actor).__mro__ if one in self._crashes), None)
        if named is None or not self._left[named] or not self.happens(self._crashes[named]):
            return
        self._left[named] -= 1
        raise InjectedCrash
