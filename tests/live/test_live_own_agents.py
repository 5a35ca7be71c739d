"""docs/agents.md, as a reader follows it: its files, its commands, its replies, on a real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.live.client import UNFINISHED, Client
from tests.live.conftest import Start
from tests.live.process import ROOT, Json, run_alex, until
from tests.live.test_live_readme import examples_in, like

PAGE = (ROOT / "docs" / "agents.md").read_text("utf-8")
_TASK_ID = re.compile(r"task-[0-9a-f]{8}-[0-9a-f-]+")


MEMORY = """
from langgraph.graph import START, MessagesState, StateGraph

def tell(state):
    return {"messages": [("ai", " / ".join(message.text for message in state["messages"]))]}

builder = StateGraph(MessagesState)
builder.add_node("tell", tell)
builder.add_edge(START, "tell")
graph = builder.compile()
"""


def files() -> dict[str, str]:
    """Return the files of the page, by name; parts of one are joined."""
    found: dict[str, str] = {}
    for name, text in re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        found[name] = found.get(name, "") + text
    return found


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(files()[name])


def answer(client: Client, preset: str, text: str) -> str:
    """Have a task done, and return its answer."""
    task = client.ended(client.submit(text, agent_preset=preset)["task_id"])
    assert task["status"] == "completed", task["error"]
    return str(task["result"]["answer"])


def test_the_first_agent_answers_as_the_page_shows(tmp_path: Path, start: Start) -> None:
    write(tmp_path, "my_agents.py", "alex.toml")
    shown = examples_in(PAGE)
    ids: dict[str, str] = {}

    with Client(start(directory=tmp_path).url) as client:
        for example in shown:
            path = _TASK_ID.sub(lambda match: ids[match[0]], example.path)

            def send(method: str = example.method, path: str = path, body: str = example.body) -> Json | None:
                headers = {"Content-Type": "application/json"} if body else {}
                reply: Json = client.http.request(method, path, headers=headers, content=body).json()
                return None if method == "GET" and reply["status"] in UNFINISHED else reply

            reply = until(send, f"{example.method} {path} is answered with an end")

            assert like(reply) == like(example.reply)
            ids[example.reply["task_id"]] = reply["task_id"]

    assert [example.method for example in shown] == ["POST", "GET"]


def test_the_examples_and_agents_of_both_libraries_run_in_one_server(tmp_path: Path, start: Start) -> None:
    write(tmp_path, "my_graphs.py", "my_greeter.py")
    (tmp_path / "my_memory.py").write_text(MEMORY)
    (tmp_path / "first_agents.py").write_text((ROOT / "examples" / "first_agents.py").read_text("utf-8"))
    (tmp_path / "alex.toml").write_text(
        '[agents]\nhello = "first_agents:hello"\npoet = "first_agents:Poet"\nherald = "first_agents:herald"\n'
        'graph = "my_graphs:graph"\nloud = "my_graphs:poet"\ngreeter = "my_greeter:agent"\n'
        'memory = "my_memory:graph"\n'
    )

    server = start(directory=tmp_path)
    with Client(server.url) as client:
        answers = {name: answer(client, name, "night") for name in ("hello", "graph", "loud", "greeter")}
        poem = answer(client, "poet", "What is 2 + 2?")
        announced = herald_says(client)
        ids = [client.submit(text, agent_preset="memory", session_id="s")["task_id"] for text in ("one", "two")]
        remembered = [client.ended(task_id)["result"]["answer"] for task_id in ids]

    assert answers == {
        "hello": "Hello, night!",
        "graph": "O night!",
        "loud": "O NIGHT!",
        "greeter": "Good morning.",
    }
    assert poem
    assert remembered == ["one", "one / one / two"]  # what was said in the session, then the task
    assert announced == "Hear, hear: free beer"
    assert server.troubles() == []


def herald_says(client: Client) -> str:
    """Ask the herald, say yes, and return its answer."""
    task_id = client.submit("free beer", agent_preset="herald")["task_id"]
    until(
        lambda: any(event["event_type"] == "approval_requested" for event in client.events(task_id)),
        "the herald asks",
    )
    client.http.post(f"/api/tasks/{task_id}/approvals/announce", json={"approved": True}).raise_for_status()
    return str(client.ended(task_id)["result"]["answer"])


def test_a_countdown_goes_on_after_a_kill(tmp_path: Path, start: Start) -> None:
    (tmp_path / "first_agents.py").write_text((ROOT / "examples" / "first_agents.py").read_text("utf-8"))
    (tmp_path / "alex.toml").write_text('[agents]\ncountdown = "first_agents:countdown"\n')
    server = start(directory=tmp_path)
    with Client(server.url) as client:
        task_id = client.submit("2", agent_preset="countdown")["task_id"]
        until(lambda: client.task(task_id)["current_iteration"] == 2, "it counts its second second")
    server.kill()

    with Client(start(directory=tmp_path).url) as client:
        task = client.ended(task_id)
        events = [event["event_type"] for event in client.events(task_id)]

    assert task["result"]["answer"] == "Lift-off!"
    assert events.count("iteration_complete") == 2
    assert "task_resumed" in events


def test_a_task_whose_agent_was_taken_out_of_the_configuration_fails_and_says_so(
    tmp_path: Path, start: Start
) -> None:
    (tmp_path / "first_agents.py").write_text((ROOT / "examples" / "first_agents.py").read_text("utf-8"))
    (tmp_path / "alex.toml").write_text('[agents]\ncountdown = "first_agents:countdown"\n')
    server = start(directory=tmp_path)
    with Client(server.url) as client:
        task_id = client.submit("1000", agent_preset="countdown")["task_id"]
        client.task_when(task_id, lambda task: task["status"] == "running")
    server.kill()
    (tmp_path / "alex.toml").write_text("")

    with Client(start(directory=tmp_path).url) as client:
        task = client.ended(task_id)

    assert task["status"] == "failed"
    assert task["error"].startswith("The agent preset 'countdown' is not configured any more; there are: ")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            "my_agents:nobody",
            'agents.hello = "my_agents:nobody": There is no nobody in my_agents; there is: hello.',
        ),
        (
            "my_agent:hello",
            'agents.hello = "my_agent:hello": There is no module my_agent: neither is it installed',
        ),
    ],
)
def test_an_agent_that_is_none_stops_the_start_and_says_what_would_be_right(
    tmp_path: Path, spec: str, text: str
) -> None:
    write(tmp_path, "my_agents.py")
    (tmp_path / "alex.toml").write_text(f'[agents]\nhello = "{spec}"\n')

    ended = run_alex("serve", "--port", "0", "--data-dir", "data", directory=tmp_path)

    assert ended.returncode == 2
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_the_page_quotes_of_the_examples_stands_in_them() -> None:
    quotations = re.findall(r"^```python\n# (examples/\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert len(quotations) == 5
    for name, text in quotations:
        assert text in (ROOT / name).read_text("utf-8"), f"{name} has no such lines:\n{text}"
