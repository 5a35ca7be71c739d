"""What the simulator proves of a run, the check of a log proves of the log that the run leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from alex_actors.core import Core
from alex_actors.diagrams.trace import Fact
from alex_actors.simulation import SimulatedStore
from alex_actors.task_store_protocol import Create
from alex_actors.tracing.checking import check_files
from alex_actors.tracing.facts import CREATED
from alex_actors.tracing.findings import Checked
from alex_actors.values import TaskId
from tests.simulation.http_clients import HttpSide
from tests.simulation.logged_runs import LoggedRun
from tests.simulation.mutations import MUTATIONS
from tests.simulation.original_bug import HandMadeCore

SOUND_SEEDS = 40
RACY_SEEDS = 25

IN_THE_LOG = {
    "start before create": ("recorded-first", 5),
    "create answered before commit": ("recorded-first", 5),
    "second run started": ("recorded-first", 5),
    "unrecorded tasks overlooked": ("in-line", 10),
    "terminal event twice": ("one-end", 15),
    "two commits": ("one-end", 20),
    "ids that do not grow": ("ids-grow", 5),
    "deletion does not wait": ("ended-before-deleted", 15),
    "started again": ("goes-on", 5),
    "tasks go on out of line": ("in-line", 30),
}
"""Mutations of the server of which a log tells: the rule that is broken, and within how many seeds."""


def checked(run: LoggedRun, directory: Path, seed: int) -> Checked:
    return check_files([run.write(directory / f"{seed}.jsonl")])


def recorded_without_a_session(run: LoggedRun) -> set[TaskId]:
    """Return the tasks that have the bug: recorded, and that is in the log, under no session."""
    created = {
        entry.what.fields["task_id"]
        for entry in run.played.trace
        if isinstance(entry.what, Fact) and entry.what.name == CREATED
    }
    creates = [entry.what for entry in run.played.trace if isinstance(entry.what, Create)]
    return {create.task_id for create in creates if not create.session_id} & created


def test_the_logs_of_all_kinds_of_runs_are_clean(store: SimulatedStore, http: HttpSide, tmp_path: Path) -> None:
    """With actors that crash, processes that are killed, deletions, sub-agents, and two owners."""
    tasks = runs = 0
    for seed in range(SOUND_SEEDS):
        found = checked(LoggedRun(Core, store, http, seed=seed), tmp_path, seed)

        assert [(one.task_id, one.rule, one.what) for one in found.violations] == [], f"seed {seed}"
        tasks, runs = tasks + found.tasks, runs + found.runs

    assert tasks > 2 * SOUND_SEEDS
    assert runs > SOUND_SEEDS


def test_the_log_of_the_original_bug_names_the_tasks_that_have_it(
    store: SimulatedStore, http: HttpSide, tmp_path: Path
) -> None:
    named = 0
    for seed in range(RACY_SEEDS):
        run = LoggedRun(HandMadeCore, store, http, seed=seed, sharing=False)

        found = checked(run, tmp_path, seed)

        assert {one.task_id for one in found.violations} == recorded_without_a_session(run), f"seed {seed}"
        assert {one.rule for one in found.violations} <= {"one-session"}
        named += len(found.violations)

    assert named > 5


@pytest.mark.parametrize(("name", "rule", "seeds"), [(name, *found) for name, found in IN_THE_LOG.items()])
def test_what_is_broken_shows_in_the_log(
    name: str, rule: str, seeds: int, store: SimulatedStore, http: HttpSide, tmp_path: Path
) -> None:
    mutation = next(one for one in MUTATIONS if one.name == name)

    rules = (
        {one.rule for one in checked(run, tmp_path, seed).violations}
        for seed in range(seeds)
        for run in [LoggedRun(mutation.core, store, http, seed=seed, sharing=mutation.sharing)]
    )

    assert any(rule in broken for broken in rules)
