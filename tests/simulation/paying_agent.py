"""The server's own agent, with a model that has it pay: what must not be done twice, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from alex_actors.events import Usage
from alex_actors.ports import Message, ModelEvent, ModelReply, ToolContext, ToolError, ToolSpec
from alex_actors.simulation.fakes import react_agent, tool_call

if TYPE_CHECKING:
    from alex_actors.agents.react import ReActAgent
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation

EFFECT_ONCE = "What must not be done twice is begun once, and when it is recorded that it is to be done."

MOST_PAYMENTS = 4
USAGE = Usage(input_tokens=6, output_tokens=4)
CALLS = (
    "SELECT body FROM events JOIN tasks USING (place) WHERE task_id = ? AND event_type = 'tool_call_start' "
    "ORDER BY event_id"
)


class PayingModel:
    """Has the next payments made, one or two at once, or none any more. The conversation is all that it knows."""

    def __init__(self, simulation: Simulation) -> None:
        self._decisions = simulation.decisions

    @property
    def context_tokens(self) -> None:
        """Return None."""
        return

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield the next turn."""
        decisions = self._decisions
        await asyncio.sleep(decisions.choose((0.0, 0.1, 3.0)))
        paid = sum(message.role == "tool" for message in messages)
        if paid >= MOST_PAYMENTS or decisions.chance(0.3):
            yield ModelReply(content="All is paid.", usage=USAGE)
            return
        calls = tuple(tool_call("pay", number=paid + one) for one in range(1, decisions.choose((1, 1, 2)) + 1))
        yield ModelReply(content="", tool_calls=calls, usage=USAGE)


class Payments:
    """A tool that is not safe to repeat: takes its time, fails, or hangs until it is cancelled."""

    spec = ToolSpec(name="pay", description="Pays.", parameters={"type": "object"}, repeatable=False)

    def __init__(self, simulation: Simulation, store: SimulatedStore) -> None:
        self._simulation = simulation
        self._decisions = simulation.decisions
        self._raw = store.raw
        self._made: set[tuple[str, int]] = set()

    async def __call__(
        self,
        arguments: Mapping[str, Any],  # Any: JSON, as the model wrote it
        context: ToolContext,
    ) -> str:
        """Pay."""
        task_id, number = context.task_id, arguments["number"]
        seen = f"{task_id} makes payment {number}"
        check = self._simulation.check
        check((task_id, number) not in self._made, EFFECT_ONCE, f"{seen} again.", about=(task_id,))
        begun = [msgspec.json.decode(row[0])["arguments"] for row in self._raw.execute(CALLS, (task_id,))]
        check({"number": number} in begun, EFFECT_ONCE, f"{seen}; recorded are {begun}.", about=(task_id,))
        self._made.add((task_id, number))
        match self._decisions.pick(6):
            case 0 | 1 | 2:
                await asyncio.sleep(0)
            case 3:
                await asyncio.sleep(self._decisions.choose((0.1, 3.0, 60.0)))
            case 4:
                raise ToolError("There is no money left.")
            case _:
                await asyncio.Event().wait()  # for ever
        return "paid"


def paying_agent(simulation: Simulation, store: SimulatedStore) -> ReActAgent:
    """Return the server's own agent with this model and this tool."""
    return react_agent(model=PayingModel(simulation), tools=[Payments(simulation, store)], clock=simulation.clock)
