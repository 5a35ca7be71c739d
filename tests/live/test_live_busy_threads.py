"""Tools that hold all threads for tools hold up nothing else: neither the start of a task nor a sub-agent."""

from __future__ import annotations

from pathlib import Path

from tests.live.client import Client
from tests.live.conftest import Start

AGENT = '''
import asyncio
import threading

from alex_actors.agents.loading import AgentParts
from alex_actors.loop_thread import TOOL_THREADS
from alex_actors.ports import Answer, ToolContext


class Busy:
    """Takes all threads for tools; meanwhile it looks back, and has a sub-agent work."""

    def __init__(self, parts: AgentParts):
        self.parts = parts

    async def run(self, task, history):
        free = threading.Event()
        held = [asyncio.create_task(asyncio.to_thread(free.wait)) for _ in range(TOOL_THREADS)]
        await asyncio.sleep(0)  # now they are taken
        try:
            async with asyncio.timeout(20):
                said = [message.content for message in await self.parts.conversations.before(task)]
                context = ToolContext(task.task_id, self.parts.workspace(task), "call-1", task)
                call = {"task": "What is 6 * 7?", "agent_preset": "default"}
                came = await self.parts.toolbox.call("delegate", call, context, task.tool_preset)
        finally:
            free.set()
            await asyncio.gather(*held)
        yield Answer(f"{said} {'42' in came}")
'''


def test_tools_that_hold_all_their_threads_hold_up_no_start_and_no_sub_agent(tmp_path: Path, start: Start) -> None:
    (tmp_path / "busy.py").write_text(AGENT)
    (tmp_path / "alex.toml").write_text('[agents]\nbusy = "busy:Busy"\n')

    with Client(start(directory=tmp_path).url) as client:
        first = client.submit("What is 2 + 2?", session_id="s")["task_id"]
        answer = client.ended(first)["result"]["answer"]
        task = client.ended(client.submit("look", session_id="s", agent_preset="busy")["task_id"])

    assert task["status"] == "completed", task["error"]
    assert task["result"]["answer"] == f"{['What is 2 + 2?', answer]} True"
