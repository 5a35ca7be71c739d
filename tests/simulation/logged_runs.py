"""The log file that a simulated run leaves: its facts, written by the log of the server, at the run's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from alex_actors.diagrams.trace import Fact
from alex_actors.log import Log
from alex_actors.simulation import SimulatedStore, Simulation
from alex_actors.simulation.exploring import Played
from tests.simulation.whole_system import WholeSystem

if TYPE_CHECKING:
    from alex_actors.core import Core
    from tests.simulation.http_clients import HttpSide

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class LoggedRun:
    """One run of the whole system: what was found in it, and its log."""

    def __init__(
        self, core: type[Core], store: SimulatedStore, http: HttpSide, *, seed: int, sharing: bool | None = None
    ) -> None:
        """Play it, as the seed wants it."""
        systems: list[WholeSystem] = []

        def scenario(simulation: Simulation) -> None:
            systems.append(WholeSystem(simulation, store=store, core=core, http=http, sharing=sharing))
            systems[0].play()

        self.played = Played(scenario, seed)
        resumptions = systems[0].server.system.invariants.resumptions
        self._starts = {life.begun for life in resumptions.lives}

    def write(self, path: Path) -> Path:
        """Write its log file, as a server would have that made these steps. Return its path."""
        at = 0.0
        log = Log.open(
            level="info", log_file=path, stdout=None, environ={}, now=lambda: BEGAN + timedelta(seconds=at)
        )
        for entry in self.played.trace:
            at = entry.at
            if entry.index in self._starts:
                log.logger.info("server.starting")
            if isinstance(entry.what, Fact):
                log.logger.info(entry.what.name, **entry.what.fields)
        log.close()
        return path
