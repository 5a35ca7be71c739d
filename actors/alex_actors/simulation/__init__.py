"""The real actors under a deterministic simulator: message orders from a seed, or all of them."""

from alex_actors.diagrams.trace import Entry, Trace
from alex_actors.simulation.decisions import Decisions
from alex_actors.simulation.dispatcher import SimulatedDispatcher
from alex_actors.simulation.event_loop import VirtualEventLoop
from alex_actors.simulation.every_order import FoundInSearch, explore_every_order
from alex_actors.simulation.exhaustive import Exhausted
from alex_actors.simulation.exploring import Explored, Found, explore
from alex_actors.simulation.faults import Faults, InjectedCrash
from alex_actors.simulation.findings import Crash, Deadlock, Finding, Livelock, Violation
from alex_actors.simulation.not_simulated import NotSimulated
from alex_actors.simulation.runtime import ConnectionLost, SimulatedRuntime
from alex_actors.simulation.store import SimulatedStore
from alex_actors.simulation.virtual_time import VirtualClock, VirtualTimers
from alex_actors.simulation.world import Client, Simulation

__all__ = [
    "Client",
    "ConnectionLost",
    "Crash",
    "Deadlock",
    "Decisions",
    "Entry",
    "Exhausted",
    "Explored",
    "Faults",
    "Finding",
    "Found",
    "FoundInSearch",
    "InjectedCrash",
    "Livelock",
    "NotSimulated",
    "SimulatedDispatcher",
    "SimulatedRuntime",
    "SimulatedStore",
    "Simulation",
    "Trace",
    "Violation",
    "VirtualClock",
    "VirtualEventLoop",
    "VirtualTimers",
    "explore",
    "explore_every_order",
]
