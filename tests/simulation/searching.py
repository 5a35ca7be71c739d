"""Looks for what is broken on purpose: under the seed that found it before, and then under all from 0 on.

A seed means the same run only while the code is the same. So each of these finds today what is broken, and may not
tomorrow: that costs the search, and nothing else. The summary of the tests names those that find it no more. With
``--sim-seeds N`` the search begins at 0, and ends at N.
"""

from __future__ import annotations

import pytest

from alex_actors.pytest_plugin import EXPLORED
from alex_actors.simulation.exploring import Played, Scenario

MOST_SEEDS = 500
"""Within which each mutation must be found."""

SERVER = {
    "unrecorded tasks overlooked": 13,
    "turn passed on at the end": 7,
    "agent's actor leaves early": 13,
    "turn ended before the end": 13,
    "interrupt interrupts nobody": 122,
    "parallel in line": 12,
    "early cancel forgotten": 57,
    "terminal event twice": 8,
    "events after the end": 21,
    "repeats recorded twice": 24,
    "repeat at the switch": 8,
    "deletion does not wait": 8,
    "deletion cancels nobody": 107,
    "tasks taken while deleting": 8,
    "session left": 8,
    "deletion told before commit": 8,
    "deletion not told": 8,
    "deletion forgotten at a restart": 196,
    "deletion not told again": 128,
    "stream of a deleted session": 36,
    "nobody subscribes again": 6,
    "committed and never published": 13,
    "restart of the store not told": 47,
    "crash not recorded": 7,
    "crash leaves the agent running": 7,
    "crash keeps the turn": 7,
    "turns given before all are heard": 7,
    "revoke not said again": 47,
    "late agent left waiting": 54,
    "stop told before it is noted": 77,
    "crashed agent takes no room": 339,
    "history asked for once": 24,
    "tasks go on out of line": 20,
    "time counted anew": 22,
    "key released before the commit": 9,
    "key read before it is claimed": 9,
    "key with any text": 13,
    "claim of before a crash": 256,
    "key recorded apart": 142,
    "owners in one line": 128,
    "sub-agent outlives its parent": 18,
    "stray sub-agent taken up": 53,
    "turn passed on before sub-agents": 209,
    "sub-agent not settled": 7,
}
"""Of ``mutations.py``: the first seed that finds it, where that is not among the first few."""

STREAMS = {
    "wake lost": 270,
    "woken once": 14,
    "wake missed while away": 71,
    "heartbeat in a frame": 8,
    "heartbeat cut short": 178,
    "waits for a slow reader": 8,
    "client who went remembered": 6,
    "long poll answered at its timeout": 11,
}
"""The same of ``stream_mutations.py``."""

AGENT = {
    "decision taken before the commit": 7,
    "time of a request left behind": 5,
    "changed arguments not recorded": 6,
    "overlong conversation sent again": 7,
    "budget forgotten": 14,
    "pieces of failed attempts kept": 6,
    "overflow in silence": 114,
    "spent on failed attempts forgotten": 6,
    "breaker lets all try": 30,
    "probe never returns": 13,
}
"""The same of ``react_mutations.py``."""


def search(scenario: Scenario, *, known: int | None, request: pytest.FixtureRequest) -> Exception | None:
    """Return what the first seed that finds anything finds, ``known`` before all others; None: nothing is."""
    wanted: int | None = request.config.getoption("sim_seeds")
    if wanted is not None:
        known = None
    for seed in (*(() if known is None else (known,)), *range(wanted or MOST_SEEDS)):
        error = Played(scenario, seed).error
        if error is not None:
            if known not in (None, seed):
                request.node.user_properties.append((EXPLORED, f"seed {known} finds it no more, and {seed} does"))
            return error
    return None
