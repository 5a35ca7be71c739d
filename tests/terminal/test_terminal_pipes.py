"""What a script gets: plain lines, JSON, exit codes."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from pathlib import Path

from alex_http.client import Client, Event
from tests.live.process import SOON, ServerProcess, environment, until
from tests.terminal.screen import alex_command, run

SUM = "What is 2 + 2?"
CONTROL = re.compile(r"[^\n -~·→…]")


def test_the_answer_alone_is_on_standard_output_and_facts_are_lines(server: ServerProcess) -> None:
    done = subprocess.run(
        alex_command("submit", SUM, "--watch"), env=environment({"SERVER_URL": server.url}), timeout=SOON,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip

    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (0, "2 + 2 = 4\n")
    assert re.fullmatch(rf"task-\S+ created in session-\S+: {re.escape(SUM)}", lines[0])
    assert 'calculator(expression="2 + 2")' in lines
    assert lines[-1].startswith("completed · 2 iterations · 16 tokens · ")
    assert not CONTROL.search(done.stdout + done.stderr)


def test_a_submit_prints_the_id_or_the_task(server: ServerProcess, client: Client) -> None:
    plain = run(
        *("submit", "-", "--session", "scripts", "--metadata", "a=b=c", "--idempotency-key", "k1"),
        *("--max-iterations", "7", "--timeout", "60", "--agent", "researcher", "--tools", "read-only"),
        url=server.url, text="Say hello\n",
    )  # fmt: skip
    as_json = run("submit", "Say hello", "--session", "scripts", "--json", url=server.url)

    task = client.task(plain.stdout.strip())
    assert (task.task, task.session_id, task.metadata) == ("Say hello", "scripts", {"a": "b=c"})
    assert (task.max_iterations, task.timeout_seconds) == (7, 60.0)
    assert (task.agent_preset, task.tool_preset) == ("researcher", "read-only")
    assert json.loads(as_json.stdout)["session_id"] == "scripts"


def test_events_pass_as_the_server_tells_them(server: ServerProcess, client: Client) -> None:
    task = client.submit(SUM)
    client.wait(task.task_id)

    done = run("watch", task.task_id, "--json", url=server.url)

    recorded = client.recorded_events(task.task_id).events
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event_id"] for line in lines] == [event.event_id for event in recorded]
    assert all(shown(event).items() <= line.items() for event, line in zip(recorded, lines, strict=True))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"]) for line in lines)


def shown(event: Event) -> dict[str, object]:
    return {"event_type": event.event_type, "task_id": event.task_id, **event.data}


def test_json_has_no_character_that_steers_a_terminal_and_says_the_same(server: ServerProcess) -> None:
    hostile = "Say \x1b[31m \x9b2J \u202e \u2028 \x7f 日本語"

    done = run("submit", hostile, "--json", url=server.url)

    assert json.loads(done.stdout)["task"] == hostile
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", done.stdout)
    assert "日本語" in done.stdout


def test_the_exit_code_says_how_it_went(server: ServerProcess, client: Client) -> None:
    url = server.url
    running = client.submit("Count from 1 to 1000", max_iterations=1000).task_id
    codes = {
        "failed": run("submit", "Simulate 1 steps of 1 ms then fail", "--watch", url=url),
        "cancelled": run("cancel", running, url=url),
        "cancelled again": run("cancel", running, url=url),
        "watched": run("watch", running, url=url),
        "no such task": run("watch", "task-none", url=url),
        "no such session": run("watch", "--session", "none", url=url),
        "none of its tasks": run("tasks", "--session", "none", url=url),
        "nothing waits": run("approve", running, "call-1", url=url),
        "blank": run("submit", " ", url=url),
        "neither": run("watch", url=url),
    }

    assert {name: done.exit_code for name, done in codes.items()} == {
        "failed": 1, "cancelled": 0, "cancelled again": 7, "watched": 3, "no such task": 6, "no such session": 6,
        "none of its tasks": 6,
        "nothing waits": 7, "blank": 2, "neither": 2,
    }  # fmt: skip
    assert codes["no such task"].stderr == (
        "alex: There is no task 'task-none'. `alex tasks` lists those that there are.\n"
    )
    assert not any("Traceback" in done.stderr for done in codes.values())


def test_a_server_that_is_not_there_is_said_at_once_with_what_to_do(server: ServerProcess, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        begun = time.monotonic()
        nobody = run("tasks", url=url)
        took = time.monotonic() - begun
    other = subprocess.Popen(
        [*alex_command()[:1], "-m", "http.server", "0", "--bind", "127.0.0.1"], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment({}) | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    with other:
        assert other.stdout is not None
        there = f"http://127.0.0.1:{other.stdout.readline().split('port ')[1].split()[0]}"
        stranger = run("tasks", url=there)
        other.kill()

    hint = "start one with `alex serve`, or say where it is with --server."
    assert (nobody.exit_code, nobody.stderr) == (4, f"alex: No server at {url}: {hint}\n")
    assert took < SOON, "it is not waited for"
    expected = f"alex: What answers at {there} is no Alex Runtime: say where it is with --server.\n"
    assert (stranger.exit_code, stranger.stderr) == (4, expected)


def test_a_script_approves_with_other_arguments(server: ServerProcess, client: Client) -> None:
    text = "Create a file called c.txt with content: Hello"
    task_id = client.submit(text, tool_preset="careful").task_id

    def call() -> str | None:
        events = client.recorded_events(task_id).events
        return next((e.data["call_id"] for e in events if e.event_type == "approval_requested"), None)

    call_id = until(call, "a question")
    changed = json.dumps({"path": "d.txt", "content": "Bye"})
    end = task_id[-12:]
    none = run("approve", end, "call-none", url=server.url)
    done = run("approve", end, "--arguments", changed, "--reason", "Better.", url=server.url)
    again = run("approve", end, url=server.url)
    watched = run("watch", end, url=server.url)

    assert (none.exit_code, call_id in none.stderr) == (7, True), "it says which one waits"
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"{call_id} is approved.\n")
    nothing = (
        f"alex: No tool call of the task {task_id} waits for your word. `alex approvals` lists those that do.\n"
    )
    assert (again.exit_code, again.stderr) == (7, nothing)
    assert "d.txt" in watched.stdout
    assert f"waits for your word: alex approve {task_id} {call_id} [--deny]\n" in watched.stderr
    assert "file_write approved, with other arguments: Better.\n" in watched.stderr


def test_a_chat_takes_each_line_of_a_pipe_for_a_turn(server: ServerProcess) -> None:
    lines = f"{SUM}\n\nSimulate 1 steps of 1 ms then fail\nSay hello\n"

    done = run("chat", "--session", "piped", url=server.url, text=lines)
    as_json = run("chat", "--json", url=server.url, text="Say hello\n")
    listed = run("tasks", "--session", "piped", "--json", "--limit", "2", url=server.url)
    everything = run("tasks", "--session", "piped", "--all", url=server.url)

    assert (done.exit_code, done.stdout) == (1, "2 + 2 = 4\nhello\n")
    assert done.stderr.startswith("Session piped\nCome back: alex chat --session piped\ntask-")
    assert done.stderr.count("Come back") == 1
    assert as_json.stderr == ""
    assert [task["task"] for task in json.loads(listed.stdout)["tasks"]] == ["Say hello", lines.splitlines()[2]]
    assert len(everything.stdout.splitlines()) == 4


def test_completion_offers_tasks_and_sessions_of_the_server_and_nothing_without(server: ServerProcess) -> None:
    task_id = run("submit", "Say hello", "--session", "offered", url=server.url).stdout.strip()

    def offered(words: str, url: str) -> list[str]:
        asks = {"_ALEX_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = run(url=url, variables=asks)
        assert (done.exit_code, done.stderr) == (0, "")
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    assert offered(f"alex watch {task_id[:-1]}", server.url) == [task_id]
    assert offered("alex watch --session offe", server.url) == ["offered"]
    assert offered("alex watch task", "http://127.0.0.1:9") == []
    assert offered("alex submit --tools read", server.url) == ["read-only"]
    assert offered("alex sub", server.url) == ["submit"]
    assert offered("alex tasks --status run", server.url) == ["running"]
