"""Tools on a real server: docs/tools.md as a reader follows it, and what web_fetch does not reach."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import ROOT, run_alex

PAGE = (ROOT / "docs" / "tools.md").read_text("utf-8")

CALLER = '''
"""An agent that calls the tool that its task names, and answers with what it says."""

import json

from alex_actors.agents.loading import AgentParts
from alex_actors.ports import Answer, ToolContext, ToolError


class Caller:
    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts

    async def run(self, task, history):
        wanted = json.loads(task.task)
        context = ToolContext(task.task_id, self._parts.workspace(task))
        try:
            result = await self._parts.toolbox.call(wanted["tool"], wanted["arguments"], context, task.tool_preset)
        except ToolError as error:
            result = f"Error: {error}"
        yield Answer(result)
'''


def write(folder: Path) -> None:
    """Write the files of the page, and an agent that calls tools."""
    for name, text in re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(text)
    with (folder / "alex.toml").open("a") as settings:
        settings.write('[agents]\ncaller = "caller:Caller"\n')
    (folder / "caller.py").write_text(CALLER)


def call(client: Client, tool: str, *, preset: str, **arguments: object) -> str:
    """Have a task call a tool; return what it says."""
    text = json.dumps({"tool": tool, "arguments": arguments})
    submitted = client.submit(text, agent_preset="caller", tool_preset=preset)
    task = client.ended(submitted["task_id"])
    assert task["status"] == "completed", task["error"]
    return str(task["result"]["answer"])


def test_a_tool_of_ones_own_is_called_and_the_server_cannot_be_had_to_fetch_from_itself(
    tmp_path: Path, start: Start
) -> None:
    write(tmp_path)
    server = start(directory=tmp_path)
    soon = date.today() + timedelta(days=15)

    with Client(server.url) as client:
        weeks = call(client, "time_until", preset="mine", day=soon.isoformat(), unit="weeks")
        wrong = call(client, "time_until", preset="mine", day="tomorrow")
        refused = call(client, "time_until", preset="safe", day=soon.isoformat())
        fetched = call(client, "web_fetch", preset="safe", url=f"{server.url}/health")

    assert weeks == "2 weeks"
    assert wrong.startswith("Error: 'time_until' cannot be called so: day: Input should be a valid date")
    assert refused == "Error: The tool preset 'safe' does not allow 'time_until'; 'mine' would."
    assert fetched == "Error: '127.0.0.1' is not on the public web: its address is this machine. It was not asked."


def test_a_tool_that_cannot_be_loaded_stops_the_start(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "my_tools.py").write_text("def time_until(day): ...\n")

    ended = run_alex("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), directory=tmp_path)

    assert ended.returncode != 0
    assert "'my_tools:time_until': 'time_until' needs a docstring" in ended.stderr + ended.stdout
