"""What always holds of the server's own agent holds whatever its model, people and the machine do.

Each seed is a history: the agent and what asks its model again, over a provider that streams, stalls, breaks off
and refuses; tools that must not run twice, or beside others, or without a person's word; people who answer late,
twice, or with other arguments; actors that crash, a disk that fails, a process that dies. Replay one with
``--sim-seed``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.models.usage import Rates
from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import SimulatedStore, Simulation
from alex_actors.simulation.exploring import Played
from alex_actors.simulation.findings import Violation
from tests.simulation import after_react, approvers, chancy_provider, guarded_tools, react_system
from tests.simulation.chancy_model import PRICES, SPEC
from tests.simulation.http_clients import HttpSide
from tests.simulation.react_mutations import REACT_MUTATIONS, ReactMutation
from tests.simulation.react_system import Parts, ReactSystem
from tests.simulation.searching import AGENT, MOST_SEEDS, search

SEEDS = 100
"""Of CI: some seconds. A nightly run takes ``--sim-seconds``."""

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
BEFORE_RESTARTS = (
    "SELECT (SELECT before.event_type FROM events AS before WHERE before.place = events.place "
    "AND before.event_id < events.event_id AND before.event_type <> 'task_resumed' "
    "ORDER BY before.event_id DESC LIMIT 1) FROM events WHERE event_type = 'task_resumed'"
)
RESOLUTIONS = "SELECT body FROM events WHERE event_type = 'approval_resolved'"


class Stage:
    """What all runs share: making it costs more than a run."""

    def __init__(self) -> None:
        self.store = SimulatedStore()
        self._http = HttpSide()
        self._rates = Rates(SPEC, prices=PRICES)

    def play(self, simulation: Simulation, parts: Parts | None = None) -> None:
        """Play a history."""
        ReactSystem(simulation, store=self.store, rates=self._rates, http=self._http, parts=parts).play()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.store:
        yield stage


@pytest.mark.timeout(120)
def test_what_always_holds_of_the_agent_holds_whatever_happens(simulation: Explorer, stage: Stage) -> None:
    simulation.explore(stage.play, seeds=SEEDS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutation", REACT_MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_what_is_broken_in_the_agent_is_found(
    request: pytest.FixtureRequest, mutation: ReactMutation, stage: Stage
) -> None:
    def scenario(simulation: Simulation) -> None:
        stage.play(simulation, mutation.parts)

    found = search(scenario, known=AGENT.get(mutation.name), request=request)

    assert isinstance(found, Violation), f"{found!r} is found where this is broken: {mutation.broken}"
    assert found.invariant in mutation.violates


def test_each_mutation_of_the_agent_has_a_name_of_its_own() -> None:
    names = [mutation.name for mutation in REACT_MUTATIONS]

    assert len(set(names)) == len(names)
    assert set(AGENT) <= set(names)
    assert max(AGENT.values()) < MOST_SEEDS


def test_each_thing_that_must_hold_of_the_agent_is_broken_by_some_mutation_and_on_the_page() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    modules = (after_react, approvers, chancy_provider, guarded_tools, react_system)

    sentences = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and value.endswith(".")
    }

    assert len(sentences) > 15
    assert sentences - {sentence for mutation in REACT_MUTATIONS for sentence in mutation.violates} == set()
    assert {sentence for sentence in sentences if sentence[:-1] not in page} == set()


def test_the_process_dies_wherever_it_may_matter_and_people_say_whatever_they_may(stage: Stage) -> None:
    died_after: Counter[str] = Counter()
    words: Counter[str] = Counter()

    for seed in range(40):
        assert Played(stage.play, seed).error is None
        died_after.update(row[0] for row in stage.store.raw.execute(BEFORE_RESTARTS))
        for (body,) in stage.store.raw.execute(RESOLUTIONS):
            words["lapsed"] += b"in time" in body
            words["changed"] += b'"arguments"' in body
            words["denied"] += b'"approved":false,"reason":"word' in body
            words["approved"] += b'"approved":true' in body

    assert {
        "approval_requested", "approval_resolved", "assistant_delta", "error", "think_complete", "tool_call_start",
    } <= set(died_after)  # fmt: skip
    assert all(words[kind] for kind in ("lapsed", "changed", "denied", "approved")), words
