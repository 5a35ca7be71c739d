"""The circuit breaker of a model, with a time that the test owns: which calls open it, and which close it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from alex_actors.models.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker, Leave


class Circuit:
    """A breaker, and its clock."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.seconds = 0.0
        self.breaker = Breaker(now=lambda: self.seconds)

    def ask(self) -> Leave | float:
        """Return what a call is told that comes now. Raises TimeoutError if it has to wait for that."""

        async def admitted() -> Leave | float:
            asking = asyncio.ensure_future(self.breaker.admit())
            await asyncio.sleep(0)  # it is told at once, or waits for the probe
            if asking.done():
                return asking.result()
            asking.cancel()
            raise TimeoutError

        return self._runner.run(admitted())

    def leave(self) -> Leave:
        """Return the leave that a call gets now."""
        leave = self.ask()
        assert isinstance(leave, Leave)
        return leave

    def waits(self) -> bool:
        """Return whether a call that comes now has to wait for the probe."""
        try:
            self.ask()
        except TimeoutError:
            return True
        return False

    def open(self) -> None:
        """Let as many calls fail as open it."""
        for _ in range(FAILURES):
            self.breaker.failed(self.leave())


@pytest.fixture
def circuit() -> Iterator[Circuit]:
    with asyncio.Runner() as runner:
        yield Circuit(runner)


def test_it_opens_after_so_many_failures_in_a_row_and_not_before(circuit: Circuit) -> None:
    for _ in range(FAILURES - 1):
        circuit.breaker.failed(circuit.leave())
    circuit.breaker.worked(circuit.leave())

    circuit.open()

    assert circuit.ask() == FIRST_PAUSE


@pytest.mark.parametrize("say", [Breaker.gave_up, Breaker.failed, Breaker.worked, Breaker.answers])
def test_what_becomes_of_a_call_from_before_it_opened_says_nothing_of_the_probe(
    circuit: Circuit, say: Callable[[Breaker, Leave], None]
) -> None:
    old = circuit.leave()
    circuit.open()
    circuit.seconds += FIRST_PAUSE
    circuit.leave()

    say(circuit.breaker, old)

    assert circuit.waits()


def test_calls_from_before_it_opened_do_not_open_it_again_once_it_is_closed(circuit: Circuit) -> None:
    old = [circuit.leave() for _ in range(2 * FAILURES)]
    circuit.open()
    circuit.seconds += FIRST_PAUSE
    circuit.breaker.worked(circuit.leave())

    for leave in old:
        circuit.breaker.failed(leave)

    assert isinstance(circuit.ask(), Leave)


def test_the_probe_lets_the_others_in_as_soon_as_it_is_answered(circuit: Circuit) -> None:
    circuit.open()
    circuit.seconds += FIRST_PAUSE
    probe = circuit.leave()

    circuit.breaker.answers(probe)

    assert not circuit.waits()


def test_answers_that_begin_and_do_not_end_open_it_like_those_that_do_not_begin(circuit: Circuit) -> None:
    for _ in range(FAILURES):
        leave = circuit.leave()
        circuit.breaker.answers(leave)
        circuit.breaker.failed(leave)

    assert circuit.ask() == FIRST_PAUSE


def test_until_an_answer_is_whole_one_failure_opens_it_again_for_longer(circuit: Circuit) -> None:
    pauses = []
    circuit.open()
    for _ in range(6):
        pause = circuit.ask()
        assert isinstance(pause, float)
        pauses.append(pause)
        circuit.seconds += pause
        probe = circuit.leave()
        circuit.breaker.answers(probe)
        circuit.breaker.failed(probe)

    assert pauses == [5.0, 10.0, 20.0, 40.0, LONGEST_PAUSE, LONGEST_PAUSE]


def test_a_whole_answer_makes_it_forget_failures_and_pauses(circuit: Circuit) -> None:
    circuit.open()
    circuit.seconds += FIRST_PAUSE
    circuit.breaker.failed(circuit.leave())
    circuit.seconds += 2 * FIRST_PAUSE
    circuit.breaker.worked(circuit.leave())

    assert circuit.breaker.failures == 0
    circuit.open()
    assert circuit.ask() == FIRST_PAUSE


def test_a_probe_that_is_given_up_makes_room_for_another(circuit: Circuit) -> None:
    circuit.open()
    circuit.seconds += FIRST_PAUSE

    circuit.breaker.gave_up(circuit.leave())

    assert isinstance(circuit.ask(), Leave)
    assert circuit.waits()


def test_nobody_waits_for_ever_for_how_a_probe_goes(circuit: Circuit) -> None:
    circuit.breaker = Breaker(now=lambda: circuit.seconds, patience=0.0)
    circuit.open()
    circuit.seconds += FIRST_PAUSE
    circuit.leave()

    with asyncio.Runner() as runner:
        assert runner.run(circuit.breaker.admit()) == FIRST_PAUSE
