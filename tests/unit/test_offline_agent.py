"""The offline agent: simulations, exactly as long and as costly as they say, and in chains with the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from alex_actors.events import IterationComplete, IterationStart, TaskAnalysis
from alex_actors.ports import Answer
from tests.unit.fake_agents import Sleeps, make_offline, make_task, names, run, without_durations


def test_a_simulation_is_its_iterations_and_nothing_else(tmp_path: Path) -> None:
    sleeps = Sleeps()

    ran = run(make_offline(tmp_path, sleeps), make_task("Simulate 2 steps of 20 ms"))

    assert ran.yielded == [
        IterationStart(iteration=1, total_iters=50),
        IterationComplete(iteration=1, tokens_used=60, tools_run=0),
        IterationStart(iteration=2, total_iters=50),
        IterationComplete(iteration=2, tokens_used=120, tools_run=0),
        Answer("Simulated 2 steps of 20 ms."),
    ]
    assert sleeps.seconds == [0.02, 0.02]


def test_steps_of_no_time_do_not_sleep_at_all(tmp_path: Path) -> None:
    sleeps = Sleeps()

    run(make_offline(tmp_path, sleeps), make_task("Simulate 3 steps of 0 ms"))

    assert sleeps.seconds == []


def test_a_simulation_fails_after_its_steps_if_asked_to(tmp_path: Path) -> None:
    ran = run(make_offline(tmp_path, Sleeps()), make_task("Simulate 2 steps of 5 ms then fail"))

    assert ran.error == "The simulation was asked to fail after 2 steps."
    assert names(ran.yielded) == ["IterationStart", "IterationComplete"] * 2


def test_a_simulation_stops_at_the_limit_of_iterations(tmp_path: Path) -> None:
    task = make_task("Simulate 5 steps of 5 ms then fail. Then say hi", max_iterations=3)

    ran = run(make_offline(tmp_path, Sleeps()), task)

    assert ran.error is None
    assert ran.answer.stop_reason == "max_iterations"
    assert ran.answer.text == "Stopped after 3 iterations, the limit of this task: 3 of 5 steps were simulated."
    assert names(ran.events) == ["IterationStart", "IterationComplete"] * 3


def test_a_simulation_of_just_the_limit_is_answered(tmp_path: Path) -> None:
    task = make_task("Simulate 3 steps of 5 ms", max_iterations=3)

    ran = run(make_offline(tmp_path, Sleeps()), task)

    assert ran.answer == Answer("Simulated 3 steps of 5 ms.")


def test_the_parts_of_a_chain_share_the_counters_of_their_task(tmp_path: Path) -> None:
    task = make_task("Simulate 2 steps of 5 ms and then what is 2 + 2? Then simulate 1 step of 0 ms. Then say bye")

    ran = run(make_offline(tmp_path, Sleeps()), task)

    starts = [event.iteration for event in ran.events if isinstance(event, IterationStart)]
    tokens = [event.tokens_used for event in ran.events if isinstance(event, IterationComplete)]
    assert starts == [1, 2, 3, 4, 5, 6]
    assert tokens == sorted(set(tokens))
    assert ran.answer.text == "Simulated 2 steps of 5 ms.\n2 + 2 = 4\nSimulated 1 steps of 0 ms.\nbye"
    assert sum(isinstance(event, TaskAnalysis) for event in ran.events) == 1


@pytest.mark.parametrize(
    "text",
    [
        "What is 2 + 2?",
        "Count from 1 to 4",
        "Simulate 3 steps of 5 ms",
        "Simulate 2 steps of 5 ms then fail",
        "Create a.txt with content 'x'. Then read it and then say hi",
        "Say hi and then simulate 2 steps of 5 ms and then calculate 1+1. Then simulate 1 step of 0 ms",
        "Read no.txt and then run ls",
        "Hello",
    ],
)
def test_a_run_that_is_cut_at_any_event_and_resumed_is_the_same_run(tmp_path: Path, text: str) -> None:
    task = make_task(text)
    agent = make_offline(tmp_path, Sleeps())

    whole = run(agent, task)

    for cut in range(len(whole.events) + 1):
        resumed = run(agent, task, whole.events[:cut])

        assert resumed.error == whole.error
        assert whole.error is not None or resumed.answer == whole.answer
        union = [*whole.events[:cut], *resumed.events]
        assert without_durations(union) == without_durations(whole.events), cut
