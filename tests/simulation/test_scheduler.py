"""The scheduler: who goes on, who waits, when time passes, and what happens to those that are dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from greenlet import GreenletExit

from alex_actors.simulation.decisions import Decisions
from alex_actors.simulation.findings import Deadlock, Livelock
from alex_actors.simulation.not_simulated import NotSimulated
from alex_actors.simulation.scheduler import Scheduler
from alex_actors.simulation.strands import Strand, Wait
from alex_actors.simulation.strategies import Plain, Strategy, Uniform


def scheduled(*, seed: int = 0, strategy: Strategy | None = None, **options: float) -> Scheduler:
    most_steps = int(options.get("most_steps", 1000))
    return Scheduler(
        decisions=Decisions(seed),
        strategy=strategy or Plain(),
        interruptions=options.get("interruptions", 0.0),
        most_steps=most_steps,
    )


def begin(scheduler: Scheduler, name: str, body: Callable[[], object]) -> Strand:
    strand = Strand(name, body)
    scheduler.ready(strand)
    return strand


def test_all_who_wait_for_the_same_go_on_when_it_is_over() -> None:
    scheduler = scheduled()
    wait = Wait("the bell")
    went_on = []
    for name in ("anna", "bert"):
        begin(scheduler, name, lambda name=name: went_on.append((name, scheduler.wait_for(wait))))  # type: ignore[misc]  # a default
    begin(scheduler, "carl", lambda: scheduler.end(wait))

    scheduler.run()

    assert went_on == [("anna", True), ("bert", True)]


def test_a_wait_that_is_ended_twice_is_ended_once() -> None:
    scheduler = scheduled()
    wait = Wait("the bell")
    begin(scheduler, "anna", lambda: None if scheduler.wait_for(wait) else pytest.fail("gave up"))

    def end_twice() -> None:
        scheduler.end(wait, cause=1)
        scheduler.end(wait, cause=2)

    begin(scheduler, "bert", end_twice)

    scheduler.run()

    assert wait.cause == 1


def test_who_gave_up_may_wait_again() -> None:
    scheduler = scheduled()
    wait = Wait("the bell")
    scheduler.timers.call_after(3, lambda: scheduler.end(wait))

    waited = [
        scheduler.wait_for(wait, timeout=2),
        scheduler.clock.monotonic(),
        scheduler.wait_for(wait, timeout=2),
    ]

    assert waited == [False, 2.0, True]
    assert scheduler.clock.monotonic() == 3.0


def test_a_timeout_and_an_answer_at_the_same_moment_can_each_come_first() -> None:
    def answered_in_time(seed: int) -> bool:
        scheduler = scheduled(seed=seed, strategy=Uniform())
        wait = Wait("the bell")
        seen: list[bool] = []
        begin(scheduler, "anna", lambda: seen.append(scheduler.wait_for(wait, timeout=2)))
        scheduler.timers.call_after(2, lambda: begin(scheduler, "bert", lambda: scheduler.end(wait)))
        scheduler.run()
        return seen[0]

    outcomes = {answered_in_time(seed) for seed in range(50)}

    assert outcomes == {True, False}


def test_the_cause_of_an_answer_that_was_there_before_is_known() -> None:
    scheduler = scheduled()
    wait = Wait("the bell")
    scheduler.end(wait, cause=scheduler.trace.add("logged", "bert", "rung"))

    scheduler.wait_for(wait)

    assert scheduler.take_cause() == 0
    assert scheduler.take_cause() == -1


def test_time_passes_only_when_nobody_can_go_on() -> None:
    scheduler = scheduled()
    seen: list[float] = []
    scheduler.timers.call_after(3600, lambda: seen.append(-1))
    for _ in range(3):
        begin(scheduler, "anna", lambda: seen.append(scheduler.clock.monotonic()))
    begin(scheduler, "bert", lambda: scheduler.wait_for(Wait("the end"), timeout=4000))

    scheduler.run()

    assert seen == [0, 0, 0, -1]


def test_what_a_timer_does_has_the_time_at_which_it_was_due() -> None:
    scheduler = scheduled()
    scheduler.timers.call_after(5, lambda: scheduler.trace.add("logged", scheduler.speaker, "due"))

    scheduler.wait_for(Wait("the end"), timeout=6)

    assert [(entry.at, entry.who) for entry in scheduler.trace] == [(5.0, "Timers")]


def test_two_timers_that_are_due_together_need_not_fire_together() -> None:
    def order_in(seed: int) -> tuple[str, ...]:
        scheduler = scheduled(seed=seed, strategy=Uniform())
        order: list[str] = []
        scheduler.timers.call_after(1, lambda: begin(scheduler, "anna", lambda: order.append("anna")))
        scheduler.timers.call_after(1, lambda: begin(scheduler, "bert", lambda: order.append("bert")))
        scheduler.wait_for(Wait("the end"), timeout=2)
        return tuple(order)

    orders = {order_in(seed) for seed in range(50)}

    assert orders == {("anna", "bert"), ("bert", "anna")}


def test_a_deadlock_names_who_waits_for_what_and_the_circle_they_stand_in() -> None:
    scheduler = scheduled()
    begin(scheduler, "anna", lambda: scheduler.wait_for(Wait("the answer of bert", of="bert")))
    begin(scheduler, "bert", lambda: scheduler.wait_for(Wait("the answer of carl", of="carl")))
    begin(scheduler, "carl", lambda: scheduler.wait_for(Wait("the answer of bert", of="bert")))

    with pytest.raises(Deadlock) as found:
        scheduler.run()

    assert str(found.value).splitlines() == [
        "Deadlock: nothing can go on any more.",
        "  anna waits for the answer of bert.",
        "  bert waits for the answer of carl.",
        "  carl waits for the answer of bert.",
        "  They wait in a circle: bert -> carl -> bert.",
    ]


def test_a_deadlock_of_the_test_itself_says_that_who_is_asked_has_nothing_to_do() -> None:
    scheduler = scheduled()

    with pytest.raises(Deadlock) as found:
        scheduler.wait_for(Wait("the answer of bert", of="bert"))

    assert "the test waits for the answer of bert.\n  bert has nothing to do." in str(found.value)


def test_a_run_without_end_is_found_with_who_waits() -> None:
    scheduler = scheduled(most_steps=100)

    def for_ever() -> None:
        begin(scheduler, "bert", for_ever)

    begin(scheduler, "anna", lambda: scheduler.wait_for(Wait("the answer of bert")))
    for_ever()

    with pytest.raises(Livelock, match=r"still busy after 100 steps\.\n  anna waits for the answer of bert"):
        scheduler.run()


def test_who_is_always_busy_and_always_offered_first_lets_others_go_on_in_the_end() -> None:
    scheduler = scheduled(most_steps=500)
    went_on: list[str] = []

    def for_ever() -> None:
        if not went_on:
            scheduler.ready(busy)

    busy = begin(scheduler, "busy", for_ever)
    begin(scheduler, "other", lambda: went_on.append("other"))

    scheduler.run()

    assert went_on == ["other"]


def test_a_strand_cannot_be_made_to_take_two_steps_at_once() -> None:
    scheduler = scheduled()
    strand = begin(scheduler, "anna", lambda: scheduler.wait_for(Wait("the bell")))

    with pytest.raises(RuntimeError, match="anna is in the middle of something"):
        scheduler.ready(strand)


def test_a_timers_call_cannot_wait() -> None:
    scheduler = scheduled()
    scheduler.timers.call_after(1, lambda: scheduler.wait_for(Wait("the bell")))

    with pytest.raises(RuntimeError, match="A timer's call, or a check after a step, waits for the bell"):
        scheduler.wait_for(Wait("the end"), timeout=2)


def test_who_is_dropped_ends_where_it_stands_and_nothing_that_it_still_does_has_an_effect() -> None:
    scheduler = scheduled()
    bell, other = Wait("the bell"), Wait("the other bell")
    ended: list[object] = []

    def stand() -> None:
        try:
            scheduler.wait_for(bell)
        finally:
            scheduler.trace.add("logged", "anna", "ends")
            scheduler.end(other)
            begin(scheduler, "late", lambda: ended.append("late"))
            try:
                scheduler.wait_for(bell)
            except GreenletExit:
                ended.append("anna")

    begin(scheduler, "anna", stand)
    begin(scheduler, "bert", lambda: ended.append(scheduler.wait_for(other, timeout=5)))
    scheduler.step()
    scheduler.step()

    scheduler.abandon(lambda strand: strand.name == "anna")
    scheduler.run()

    assert ended == ["anna", False]
    assert len(scheduler.trace) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("wrong")])
def test_what_a_strand_raises_comes_out_of_the_run(error: BaseException) -> None:
    scheduler = scheduled()

    def body() -> None:
        raise error

    begin(scheduler, "anna", body)

    with pytest.raises(type(error)) as raised:
        scheduler.run()
    assert raised.value is error
    assert scheduler.current is None


def test_another_thread_is_refused() -> None:
    scheduler = scheduled()
    refused: list[BaseException] = []

    def wait() -> None:
        try:
            scheduler.wait_for(Wait("the bell"))
        except NotSimulated as error:
            refused.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()

    assert "one thread" in str(refused[0])
