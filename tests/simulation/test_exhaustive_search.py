"""The exhaustive search, against naive enumeration of all interleavings of small made-up programs."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING

import pytest

from alex_actors.simulation.exhaustive import (
    Choose,
    Execute,
    Exhausted,
    FoundFailure,
    NotExplorableError,
    StepRecord,
    exhaust,
)
from tests.simulation.toy_programs import (
    Program,
    Toy,
    every_interleaving,
    random_deciding_program,
    random_program,
    trace,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def explored(program: Program, *, limit: int | None = None) -> tuple[Exhausted, list[Toy]]:
    """Return what the search says, and its complete executions."""
    toys: list[Toy] = []

    def execute(choose: Choose) -> Sequence[StepRecord]:
        toy = Toy(program)
        steps = toy.run(choose)
        toys.append(toy)
        return steps

    return exhaust(execute, limit=limit), toys


def replayed(program: Program, schedule: tuple[str, ...]) -> Toy:
    """Run a program as a schedule says."""
    toy = Toy(program)
    for process in schedule:
        toy.take(process)
    return toy


def one_of_each_trace(program: Program) -> None:
    """Compare a program's search with all its interleavings."""
    result, toys = explored(program)

    everything = list(every_interleaving(program))
    traces = {trace(toy.steps) for toy in everything}
    assert result.interleavings == len(everything), program
    assert {toy.end() for toy in toys} == {toy.end() for toy in everything}, program
    assert {trace(toy.steps) for toy in toys} == traces, program
    assert result.executions == len(toys) == len(traces), program


@pytest.mark.parametrize("seed", range(8))
def test_one_execution_of_each_trace_completes_and_all_interleavings_are_counted(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        one_of_each_trace(random_program(rng))


@pytest.mark.parametrize("seed", range(8))
def test_so_it_is_where_processes_stop_each_other(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        one_of_each_trace(random_program(rng, stops=True))


@pytest.mark.parametrize("seed", range(8))
def test_so_it_is_where_what_a_step_reads_decides_what_else_it_accesses(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(30):
        one_of_each_trace(random_deciding_program(rng))


@pytest.mark.parametrize("seed", range(4))
def test_every_end_that_there_is_would_be_found_as_a_failure_and_replayed(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        program = random_program(rng, most=200)

        for end in sorted({toy.end() for toy in every_interleaving(program)}):

            def execute(choose: Choose, program: Program = program, end: str = end) -> Sequence[StepRecord]:
                toy = Toy(program)
                steps = toy.run(choose)
                if toy.end() == end:
                    raise AssertionError(end)
                return steps

            with pytest.raises(FoundFailure, match="AssertionError") as found:
                exhaust(execute)
            assert replayed(program, found.value.schedule).end() == end, program


def test_a_failure_in_a_step_is_found_with_the_schedule_that_ends_in_it() -> None:
    early_reader = [(("read", "x", 0),), (("if", "", 0), ("fail", "", 0))]
    program: Program = {"writer": [(("read", "y", 0),), (("write", "x", 1),)], "reader": early_reader}

    with pytest.raises(FoundFailure) as found:
        explored(program)

    assert found.value.executions == 2  # the first one has the writer first
    assert isinstance(found.value.__cause__, ArithmeticError)
    assert found.value.error is found.value.__cause__
    with pytest.raises(ArithmeticError, match=str(found.value.error)):
        replayed(program, found.value.schedule)
    assert replayed(program, found.value.schedule[:-1]).register == {"writer": 0, "reader": 0}


def test_two_writers_of_one_variable_have_two_executions() -> None:
    result, toys = explored({"a": [(("write", "x", 1),)], "b": [(("write", "x", 2),)]})

    assert result == Exhausted(executions=2, redundant=0, interleavings=2, steps=4, limited=False)
    assert [toy.variable["x"] for toy in toys] == [2, 1]


def test_processes_that_never_meet_have_one_execution() -> None:
    result, _ = explored({f"p{i}": [(("write", f"x{i}", 1),)] for i in range(7)})

    assert result == Exhausted(1, 0, math.factorial(7), 7, limited=False)


@pytest.mark.parametrize("readers", [1, 3, 6])
def test_each_reader_is_before_or_after_the_writer_and_that_is_all(readers: int) -> None:
    program: Program = {f"r{i}": [(("read", "x", 0),)] for i in range(readers)}

    result, toys = explored({"w": [(("write", "x", 1),)], **program})

    assert result.executions == 2**readers == len({toy.end() for toy in toys})
    assert result.redundant == 0
    assert result.interleavings == math.factorial(readers + 1)


@pytest.mark.parametrize(("clients", "each"), [(2, 2), (3, 2), (2, 4)])
def test_messages_to_one_mailbox_come_in_each_order_and_when_they_are_handled_makes_none(
    clients: int, each: int
) -> None:
    program: Program = {"server": [(("receive", "", 0), ("add", "store", 1))] * (clients * each)}
    for client in range(clients):
        program[f"c{client}"] = [(("send", "server", client),)] * each

    result, _ = explored(program)

    assert result.executions == math.factorial(clients * each) // math.factorial(each) ** clients
    assert result.redundant == 0
    # Puts and their handlings alternate as brackets do: a Catalan number of ways for each order of the puts.
    catalan = math.comb(2 * clients * each, clients * each) // (clients * each + 1)
    assert result.interleavings == result.executions * catalan


@pytest.mark.parametrize("seed", range(10))
def test_few_executions_begin_in_vain_where_writers_read_each_other(seed: int) -> None:
    last: Program = {"last": [(("read", f"x{i}", 0), ("if", "", 0)) for i in range(4, -1, -1)]}
    writers: Program = {f"w{i}": [(("read", f"x{i - 1}", 0),), (("write", f"x{i}", 1),)] for i in range(1, 5)}
    program = list((last | writers).items())
    random.Random(seed).shuffle(program)  # who is tried first changes what is executed, not how much

    result, _ = explored(dict(program))

    assert result.executions == 82
    assert result.redundant <= 20


def test_a_step_that_does_more_when_it_comes_earlier_is_tried_between_the_others() -> None:
    program: Program = {
        "a": [(("write", "y", 2),)],
        "b": [(("read", "y", 0), ("if", "", 0), ("send", "b", 0))],  # in the way of c only before a
        "c": [(("poll", "", 0),), (("send", "b", 2),)],
        "d": [(("read", "y", 0), ("send", "c", 0))],
    }

    one_of_each_trace(program)


def test_a_step_that_does_less_when_it_comes_later_is_tried_before_all_that_makes_it_so() -> None:
    program: Program = {
        "a": [(("read", "y", 0),)],
        "b": [(("add", "x", 1),)],
        "c": [(("read", "x", 0), ("if", "", 2), ("add", "y", 1))],  # in the way of a only between d and b
        "d": [(("add", "x", 2),)],
    }

    one_of_each_trace(program)


def test_a_stop_is_tried_against_what_comes_before_the_step_that_it_prevents() -> None:
    program: Program = {
        "a": [(("stop", "b", 0), ("stop", "d", 0))],
        "b": [(("stop", "a", 0),)],
        "c": [(("send", "a", 0),)],
        "d": [(("read", "x", 0),)],
    }

    one_of_each_trace(program)


def test_who_waits_for_a_message_that_never_comes_is_left_waiting() -> None:
    result, toys = explored(
        {"a": [(("receive", "", 0),)], "b": [(("send", "a", 7),)], "c": [(("receive", "", 0),)]}
    )

    assert (result.executions, result.interleavings) == (1, 1)
    assert toys[0].next == {"a": 1, "b": 1, "c": 0}


def test_an_execution_without_steps_is_one() -> None:
    result, _ = explored({})

    assert result == Exhausted(executions=1, redundant=0, interleavings=1, steps=0, limited=False)


def test_a_limit_ends_the_search_and_says_so() -> None:
    program: Program = {f"w{i}": [(("write", "x", i),)] for i in range(4)}

    some, _ = explored(program, limit=5)
    just_all, _ = explored(program, limit=24)

    assert (some.executions, some.interleavings, some.limited) == (5, 5, True)
    assert (just_all.executions, just_all.limited) == (24, False)


def test_executions_that_are_too_wide_are_not_counted_but_explored() -> None:
    program: Program = {f"w{i}": [(("write", "x", i),), (("read", f"own{i}", 0),)] for i in range(3)}

    result = exhaust(lambda choose: Toy(program).run(choose), most_downsets=10)

    assert (result.executions, result.interleavings) == (6, None)


def refused(execute: Execute) -> str:
    """Return why an execution cannot be explored."""
    with pytest.raises(NotExplorableError) as refusal:
        exhaust(execute)
    return str(refusal.value)


def test_a_cause_that_is_not_named_is_refused() -> None:
    def b_after_a(resource: str, causes: tuple[int, ...]) -> Execute:
        def execute(choose: Choose) -> Sequence[StepRecord]:
            touched = frozenset({(resource, True)})
            steps: list[StepRecord] = []
            steps.append(StepRecord(choose(["a"], steps), touched if resource == "shared" else frozenset()))
            steps.append(StepRecord(choose(["b"], steps), touched, causes))
            return steps

        return execute

    without_conflict = refused(b_after_a("own", ()))
    with_conflict = refused(b_after_a("shared", ()))
    named = exhaust(b_after_a("shared", (0,)))

    assert without_conflict.startswith("step 1 was not enabled by its causes alone")
    assert with_conflict == "step 1 was enabled by step 0, and does not name it as a cause"
    assert (named.executions, named.interleavings) == (1, 1)


def test_executions_that_differ_under_the_same_schedule_are_refused() -> None:
    race: Program = {"a": [(("write", "x", 1),)], "b": [(("write", "x", 2),)]}
    once = iter(["p"])
    some_resource = itertools.count()

    def another_process(choose: Choose) -> Sequence[StepRecord]:
        return Toy({"first": [(("read", "y", 0),)], **race, next(once, "q"): [(("read", "y", 0),)]}).run(choose)

    def another_resource(choose: Choose) -> Sequence[StepRecord]:
        return Toy({"first": [(("read", f"y{next(some_resource)}", 0),)], **race}).run(choose)

    assert "once enabled ('first', 'a', 'b', 'p'), and now ('first', 'a', 'b', 'q')" in refused(another_process)
    assert refused(another_resource).startswith("step 0 of the same schedule was once")


def test_a_step_that_disables_another_without_touching_it_is_refused() -> None:
    def at_once(choose: Choose) -> Sequence[StepRecord]:
        return [StepRecord(choose(["a", "b"], []), frozenset())]

    def after_a_branch(choose: Choose) -> Sequence[StepRecord]:
        x = frozenset({("x", True)})
        steps: list[StepRecord] = []
        if choose(["a", "b"], steps) == "a":
            steps.append(StepRecord("a", x))
            choose(["b"], steps)
        steps.append(StepRecord("b", frozenset()))  # when it comes first, a is gone
        choose(["b"], steps)
        return [*steps, StepRecord("b", x)]

    assert refused(at_once).startswith("a step disabled b, and does not conflict with")
    assert refused(after_a_branch) == "b disabled a, and their steps do not conflict"


def test_records_that_are_not_those_of_what_was_chosen_are_refused() -> None:
    def by_another(choose: Choose) -> Sequence[StepRecord]:
        choose(["a"], [])
        return [StepRecord("b", frozenset())]

    def none(choose: Choose) -> Sequence[StepRecord]:
        choose(["a"], [])
        return []

    def stale(choose: Choose) -> Sequence[StepRecord]:
        choose(["a"], [])
        choose(["a"], [])
        return []

    assert refused(by_another) == "a was chosen, and b took step 0"
    assert refused(none) == "an execution ended after 0 steps, expected: 1"
    assert refused(stale) == "1 steps were chosen, and 0 are recorded"
