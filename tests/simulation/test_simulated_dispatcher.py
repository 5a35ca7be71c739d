"""Actors under the simulated dispatcher: all that Pykka and the real dispatchers do, in one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pykka
import pytest

from alex_actors.mailbox import act_as, acting
from alex_actors.messages import ask, tell
from alex_actors.simulation import Crash, Deadlock, Livelock, SimulatedDispatcher
from alex_actors.simulation.decisions import Decisions
from alex_actors.simulation.loop_strand import event_loop_on
from alex_actors.simulation.scheduler import Scheduler
from alex_actors.simulation.strands import SetAside, Strand
from alex_actors.simulation.strategies import strategy_of
from alex_actors.supervision import RestartPolicy
from tests.simulation.bank import (
    HERE,
    Account,
    Again,
    Break,
    Close,
    Deposit,
    Hold,
    LetGo,
    Pay,
    Read,
    Teller,
    Write,
)


def ignore(_error: BaseException) -> None:
    """Supervise without doing anything."""


def test_the_test_itself_can_ask() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)

    balances = [ask(account, Deposit(context=HERE, amount=2), timeout=1) for _ in range(2)]

    assert balances == [2, 4]
    assert [(entry.who, entry.peer) for entry in dispatcher.trace if entry.kind == "answered"] == [
        ("Account", "the test"),
        ("Account", "the test"),
    ]


def test_an_hour_until_an_answer_comes_takes_no_time() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)
    dispatcher.timers.after(3600, account, LetGo(context=HERE))

    balance = ask(account, Hold(context=HERE), timeout=4000)

    assert (balance, dispatcher.clock.monotonic()) == (0, 3600.0)


def test_an_answer_that_does_not_come_is_given_up() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)

    with pytest.raises(pykka.Timeout):
        ask(account, Hold(context=HERE), timeout=5)

    assert dispatcher.clock.monotonic() == 5.0
    assert [entry.who for entry in dispatcher.trace if entry.kind == "gave up"] == ["the test"]


@pytest.mark.parametrize("seed", range(10))
def test_an_actor_that_waits_for_another_stands_in_its_handler_while_others_go_on(seed: int) -> None:
    dispatcher = SimulatedDispatcher(seed)
    account = dispatcher.spawn(Account)
    tellers = [dispatcher.spawn(lambda: Teller(account)) for _ in range(2)]

    answers = [dispatcher.post(teller, Pay(context=HERE, amount=1)) for teller in tellers]
    paid = [answer.get(timeout=1) for answer in answers]

    assert paid in ([1, 1], [1, 2], [2, 1])  # an update may be lost


def test_an_update_is_lost_in_some_order() -> None:
    def balance_of(seed: int) -> int:
        dispatcher = SimulatedDispatcher(seed)
        account = dispatcher.spawn(Account)
        for _ in range(2):
            dispatcher.post(dispatcher.spawn(lambda: Teller(account)), Pay(context=HERE, amount=1))
        dispatcher.run()
        return ask(account, Read(context=HERE), timeout=1)

    balances = {balance_of(seed) for seed in range(30)}

    assert balances == {1, 2}


def test_an_actor_that_asks_itself_is_a_deadlock_that_says_so() -> None:
    dispatcher = SimulatedDispatcher(0)

    class Narcissus(Account):
        def on_receive(self, message: object) -> object:
            return self.actor_ref.ask("riddle")

    with pytest.raises(Deadlock) as found:
        dispatcher.spawn(Narcissus).ask("question")

    assert str(found.value).splitlines()[1:] == [
        "  the test waits for the answer of Narcissus to question.",
        "  Narcissus waits for the answer of Narcissus to riddle.",
        "  They wait in a circle: Narcissus -> Narcissus.",
    ]


def test_a_promise_that_nobody_keeps_is_a_deadlock() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)

    with pytest.raises(Deadlock, match=r"to Hold\.\n  Account has nothing to do"):
        account.ask(Hold(context=HERE))


def test_an_actor_that_tells_itself_something_for_ever_is_a_livelock() -> None:
    dispatcher = SimulatedDispatcher(1)
    tell(dispatcher.spawn(Account), Again(context=HERE))

    with pytest.raises(Livelock, match="Account -> Account: Again"):
        dispatcher.run()


@pytest.mark.parametrize("seed", range(20))
def test_who_is_always_busy_does_not_keep_others_waiting_for_ever(seed: int) -> None:
    dispatcher = SimulatedDispatcher(seed)
    busy, account = dispatcher.spawn(Account, label="Busy"), dispatcher.spawn(Account)
    tell(busy, Again(context=HERE))

    assert account.ask(Deposit(context=HERE, amount=1)) == 1


def test_proxies_work() -> None:
    dispatcher = SimulatedDispatcher(0)
    proxy = dispatcher.spawn(Teller).proxy()

    proxy.paid = 3

    assert proxy.paid.map(lambda paid: paid + 1).get(timeout=1) == 4


def test_an_exception_of_what_is_called_by_a_proxy_leaves_the_actor_alive() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)

    with pytest.raises(ValueError, match="broken"):
        account.proxy().on_receive(Break(context=HERE)).get(timeout=1)

    assert account.is_alive()


def test_a_stop_waits_its_turn_and_what_comes_later_is_turned_away() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)
    before = dispatcher.post(account, Deposit(context=HERE, amount=1))

    stopped = account.stop(timeout=1)

    assert stopped
    assert before.get() == 1
    assert dispatcher.alive() == []
    for late in (lambda: account.ask(Read(context=HERE)), lambda: ask(account, Read(context=HERE), timeout=1)):
        with pytest.raises(pykka.ActorDeadError):
            late()
    tell(account, LetGo(context=HERE))
    dispatcher.run()
    assert [entry.kind for entry in dispatcher.trace][-1] == "lost"


def test_a_stop_does_not_interrupt_who_stands_in_a_handler() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)
    teller = dispatcher.spawn(lambda: Teller(account))
    paid = dispatcher.post(teller, Pay(context=HERE, amount=1))
    dispatcher.scheduler.step()

    teller.stop()

    assert paid.get() == 1


def test_a_promise_fails_with_its_actor_and_the_text_has_no_random_name() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)
    held = dispatcher.post(account, Hold(context=HERE))
    account.stop()

    with pytest.raises(pykka.ActorDeadError, match=r"^Account \(Account\) stopped before it answered$"):
        held.get()


def test_a_crash_that_nobody_supervises_is_a_finding() -> None:
    dispatcher = SimulatedDispatcher(0)
    tell(dispatcher.spawn(Account), Break(context=HERE))

    with pytest.raises(Crash, match="Account crashed: ValueError: The account is broken") as found:
        dispatcher.run()

    assert isinstance(found.value.__cause__, ValueError)


def test_who_asks_an_actor_that_crashes_gets_the_exception() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account, supervisor=ignore)

    with pytest.raises(ValueError, match="broken"):
        ask(account, Close(context=HERE), timeout=1)

    assert dispatcher.alive() == []


def test_an_actor_is_restarted_in_place_and_gets_the_message_once_more() -> None:
    dispatcher = SimulatedDispatcher(0)
    restart = RestartPolicy(clock=dispatcher.clock)
    account = dispatcher.spawn(Account, supervisor=ignore, restart=restart)
    tell(account, Write(context=HERE, balance=7))
    tell(account, Break(context=HERE))

    balance = ask(account, Read(context=HERE), timeout=1)

    assert balance == 0
    assert dispatcher.alive() == ["Account"]
    kinds = [f"{entry.kind} {type(entry.what).__name__}" for entry in dispatcher.trace if entry.who == "Account"]
    assert [kind for kind in kinds if not kind.startswith("logged")] == [
        "handled Write",
        "handled Break",
        "crashed ValueError",
        "restarted str",
        "handled Break",
        "crashed ValueError",
        "restarted str",
        "handled Read",
        "answered int",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, pytest.fail.Exception])
@pytest.mark.parametrize(
    "call", [lambda account: tell(account, Break(context=HERE)), lambda account: account.ask("")]
)
def test_an_interrupt_is_no_crash_of_the_actor_that_happens_to_run(
    error: type[BaseException],
    call: Callable[[pykka.ActorRef[Any]], object],  # Any: of a class in the test
) -> None:
    dispatcher = SimulatedDispatcher(0)

    class Interrupted(Account):
        def on_receive(self, message: object) -> object:
            raise error("interrupted")

    actor = dispatcher.spawn(Interrupted)

    def run() -> None:
        call(actor)
        dispatcher.run()

    with pytest.raises(error, match=r"^interrupted$"):
        run()

    assert [entry.kind for entry in dispatcher.trace if entry.kind == "crashed"] == []


def test_an_actor_that_is_dropped_in_a_handler_has_not_crashed() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)
    told: list[BaseException] = []
    teller = dispatcher.spawn(lambda: Teller(account), supervisor=told.append)
    dispatcher.post(teller, Pay(context=HERE, amount=1))
    dispatcher.scheduler.step()
    dispatcher.scheduler.step()
    before = len(dispatcher.trace)

    dispatcher.scheduler.abandon(lambda _strand: True)

    assert dispatcher.scheduler.who_waits() == []
    assert (told, len(dispatcher.trace)) == ([], before)
    assert not dispatcher.scheduler.step()


@pytest.mark.parametrize("seed", range(4))
def test_agents_that_wait_for_an_actor_block_their_event_loop_and_nobody_else(seed: int) -> None:
    dispatcher = SimulatedDispatcher(seed)
    account = dispatcher.spawn(Account)
    loop = event_loop_on(dispatcher.scheduler)
    seen: list[object] = []

    async def blocks() -> None:
        seen.append(ask(account, Hold(context=HERE), timeout=10))
        await asyncio.sleep(0)
        seen.append(asyncio.get_running_loop() is loop)

    async def waits() -> None:
        seen.append("waited")

    def client() -> None:
        seen.append(asyncio._get_running_loop())
        tell(account, Write(context=HERE, balance=5))
        tell(account, LetGo(context=HERE))

    tasks = [loop.create_task(blocks()), loop.create_task(waits())]
    dispatcher.timers.call_after(1, lambda: dispatcher.scheduler.ready(Strand("client", client)))
    account.ask(Read(context=HERE))
    dispatcher.run()

    assert seen == [None, 5, "waited", True]
    assert all(task.done() for task in tasks)
    loop.close()


@pytest.mark.parametrize("seed", range(20))
def test_an_event_loop_can_be_closed_in_the_middle_of_a_step_that_was_interrupted(seed: int) -> None:
    scheduler = Scheduler(decisions=Decisions(seed), strategy=strategy_of(seed), interruptions=1.0)
    dispatcher = SimulatedDispatcher(scheduler)
    account = dispatcher.spawn(Account)
    loop = event_loop_on(scheduler)
    ended: list[bool] = []

    async def tells() -> None:
        try:
            tell(account, Write(context=HERE, balance=1))
            await asyncio.sleep(3600)
        finally:
            tell(account, Write(context=HERE, balance=2))
            ended.append(True)

    loop.create_task(tells())
    scheduler.step()

    loop.close()
    dispatcher.run()

    assert ended in ([True], [])  # it may not have begun
    assert "balance=2" not in str(dispatcher.trace)


def test_what_an_agent_does_at_the_end_of_its_event_loop_has_no_effect() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)
    loop = event_loop_on(dispatcher.scheduler)
    ended: list[bool] = []

    async def tells() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            tell(account, Write(context=HERE, balance=2))
            ended.append(True)

    loop.create_task(tells())
    dispatcher.run()

    loop.close()
    dispatcher.run()

    assert (ended, len(dispatcher.trace)) == ([True], 0)


def test_whoever_runs_while_a_strand_is_set_aside_acts_for_nobody() -> None:
    actor = Account()
    act_as(actor)

    with SetAside():
        meanwhile = acting()
    afterwards = act_as(None)

    assert (meanwhile, afterwards) == (None, actor)


def test_who_acts_is_known_again_when_an_actor_goes_on_and_meanwhile_it_is_nobody() -> None:
    dispatcher = SimulatedDispatcher(0)
    account = dispatcher.spawn(Account)
    seen: list[object] = []

    class Curious(Teller):
        def on_receive(self, message: object) -> object:
            account.ask(Hold(context=HERE))
            return acting() is self

    def client() -> None:
        seen.append(acting())
        tell(account, LetGo(context=HERE))

    curious = dispatcher.spawn(Curious)
    dispatcher.timers.call_after(1, lambda: dispatcher.scheduler.ready(Strand("client", client)))
    known = curious.ask("who")

    assert (seen, known) == ([None], True)


@pytest.mark.parametrize("seed", range(4))
def test_a_process_that_one_of_its_actors_kills_says_no_more(seed: int) -> None:
    dispatcher = SimulatedDispatcher(seed)
    account = dispatcher.spawn(Account)
    dispatcher.observers.append(lambda _actor, message: dispatcher.kill() if isinstance(message, Read) else None)
    asked = dispatcher.post(account, Deposit(context=HERE, amount=1))
    unanswered = dispatcher.post(account, Read(context=HERE))

    dispatcher.run()

    assert (asked.done, unanswered.done) == (True, False)
    assert [entry.kind for entry in dispatcher.trace][-1] == "handled"
