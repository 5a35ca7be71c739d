"""The server with agents that do not hear that they are cancelled; run by a test as a script.

python deaf_server.py serve …
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from alex_actors.agents import OfflineAgent, configured
from alex_actors.events import AnyEvent, IterationStart
from alex_actors.ports import AgentYield
from alex_actors.tasks import Task
from alex_http.command_line import main

STEP = 60.0
"""Seconds."""


class DeafAgent(OfflineAgent):
    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
        yield IterationStart(iteration=1, total_iters=task.max_iterations)
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(STEP)


if __name__ == "__main__":
    vars(configured)["OfflineAgent"] = DeafAgent  # the wiring, with another class in one place
    main()
