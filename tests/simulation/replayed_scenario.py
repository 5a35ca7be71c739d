"""A scenario with everything in it that could differ between two processes; run as a program, it prints traces."""

from __future__ import annotations

import asyncio
import sys

from alex_actors.messages import ask, tell
from alex_actors.simulation import Decisions, Simulation
from alex_actors.simulation.strategies import strategy_of
from alex_actors.supervision import RestartPolicy
from tests.simulation.bank import HERE, Account, Deposit, Hold, LetGo, Pay, Read, Teller


def scenario(sim: Simulation) -> None:
    sim.faults.crash(Account, probability=0.2, at_most=2)
    account = sim.spawn(Account, restart=RestartPolicy(clock=sim.clock))
    tellers = {name: sim.spawn(lambda: Teller(account), label=name) for name in ("north", "south", "west")}
    loop = sim.event_loop()

    async def agent(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            for part in range(2):
                group.create_task(asyncio.sleep(part))
        sim.log.info("agent.ended", name=name, tasks={name}, at=loop.time())
        tell(account, LetGo(context=HERE))

    def customer(name: str) -> None:
        sim.log.info("customer.knows", tellers=set(tellers), most={"of": max(tellers)})
        try:
            for amount in range(1, 4):
                ask(account, Deposit(context=HERE, amount=amount), timeout=2)
                sim.sleep(sim.decisions.between(0, 1))
            ask(account, Hold(context=HERE), timeout=3)
            sim.log.info("customer.read", ids=sim.ids.task(), balance=ask(account, Read(context=HERE), timeout=1))
        except Exception as error:
            sim.log.warning("customer.failed", error=str(error), exc_info=error)

    for name in ("anna", "bert", "carl"):
        loop.create_task(agent(name, sim.decisions.between(0, 4)))
        sim.client(name, lambda name=name: customer(name))  # type: ignore[misc]  # a default for a loop's variable
    for teller in tellers.values():
        sim.dispatcher.post(teller, Pay(context=HERE, amount=1))
    for teller in tellers.values():
        teller.stop(block=False)


def trace_of(seed: int) -> str:
    """Return the trace of a seed as text; what went wrong is the last of its lines."""
    simulation = Simulation(decisions=Decisions(seed), strategy=strategy_of(seed))
    simulation.hurry(0.05)
    outcome = ""
    try:
        simulation.play(scenario)
    except Exception as error:  # noqa: BLE001 - to be the same, too
        outcome = f"{type(error).__name__}: {error}"
    return f"{simulation.trace}\n{outcome}\n"


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        sys.stdout.write(trace_of(number))
