"""``alex approvals``: what waits for a person's word, on a terminal, piped, and as a shell completes it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from alex_http.client import Client
from tests.live.process import SOON, Json, ServerProcess, environment, until
from tests.terminal.screen import alex_command, run, screen

LONG = "A text of so many words that it is a long line."
HOSTILE = "\x1b]0;owned\x07 \x9b2J \u202e Hello"


def waits(client: Client, session: str, *names: str, content: str = "Hello") -> list[str]:
    """Have a task for each file wait for a word before it writes it; return their IDs."""
    tasks = [
        client.submit(
            f"Create a file called {name} with content: {content}",
            session_id=session, tool_preset="careful", strategy="parallel",
        ).task_id
        for name in names
    ]  # fmt: skip
    until(lambda: len(client.approvals(session_id=session).approvals) == len(tasks), "the questions")
    return tasks


def test_what_waits_is_listed_aligned_with_how_to_answer(server: ServerProcess, client: Client) -> None:
    tasks = waits(client, "listed", "one.txt", "second.txt")

    done = run("approvals", "--session", "listed", url=server.url)
    header, *rows = done.stdout.splitlines()

    assert header.split() == ["TASK", "CALL", "SESSION", "WAITS", "LEFT", "TOOL", "ARGUMENTS"]
    assert sorted(row.split()[0] for row in rows) == sorted(tasks)
    assert {row.index('path="') for row in rows} == {header.index("ARGUMENTS")}
    first = " ".join(rows[0].split()[:2])
    assert done.stderr == f"Answer with: alex approve {first} [--deny] [--reason TEXT] [--arguments JSON]\n"

    answered = run("approve", *first.split(), "--deny", url=server.url)
    after = run("approvals", "--session", "listed", url=server.url)
    assert answered.exit_code == 0
    assert [row.split()[0] for row in after.stdout.splitlines()] == ["TASK", rows[1].split()[0]]


def test_pages_as_json_go_on_and_all_of_them_are_one_list(server: ServerProcess, client: Client) -> None:
    tasks = waits(client, "paged", "a.txt", "b.txt", "c.txt")

    def listed(*more: str) -> Json:
        found: Json = json.loads(run("approvals", "--session", "paged", "--json", *more, url=server.url).stdout)
        return found

    first = listed("--limit", "2")
    second = listed("--limit", "2", "--cursor", str(first["next_cursor"]))
    said = run("approvals", "--session", "paged", "--limit", "2", url=server.url).stderr

    assert sorted(call["task_id"] for page in (first, second) for call in page["approvals"]) == sorted(tasks)
    assert second["next_cursor"] is None
    assert listed("--all") == {"approvals": first["approvals"] + second["approvals"], "next_cursor": None}
    assert f"There are more than these 2 calls; --all shows all, --cursor {first['next_cursor']} the next." in said


def test_where_nothing_waits_it_says_so_or_that_there_is_no_session(server: ServerProcess, client: Client) -> None:
    client.wait(client.submit("Say hello", session_id="calm").task_id)

    calm = run("approvals", "--session", "calm", url=server.url)
    none = run("approvals", "--session", "none", url=server.url)
    odd = run("approvals", "--session", "a/b", url=server.url)

    assert (calm.exit_code, calm.stdout, calm.stderr) == (0, "", "No tool call waits for your word.\n")
    assert none.exit_code == odd.exit_code == 6
    assert "`alex sessions` lists those that there are" in none.stderr
    assert "There is no session 'a/b'." in odd.stderr


def test_what_a_stranger_wrote_does_not_steer_the_terminal(server: ServerProcess, client: Client) -> None:
    waits(client, "hostile-question", "h.txt", content=HOSTILE)

    plain = run("approvals", "--session", "hostile-question", url=server.url)
    as_json = run("approvals", "--session", "hostile-question", "--json", url=server.url)

    for text in (plain.stdout, plain.stderr, as_json.stdout):
        assert not any(sign in text for sign in "\x1b\x07\x9b\u202e")
    assert "Hello" in plain.stdout


@pytest.mark.parametrize("columns", [80, 200])
def test_a_call_is_seen_in_full_whatever_the_width(server: ServerProcess, client: Client, columns: int) -> None:
    session = f"wide-{columns}"
    (task_id,) = waits(client, session, f"{columns}.txt", content=LONG)

    with screen(server.url, columns=columns) as terminal:
        terminal.type(f"alex approvals --session {session}\n")
        text = terminal.ended("Answer with")

    shown = " ".join(text.split())
    assert task_id in text
    assert f'path="{columns}.txt", content="{LONG}"' in shown
    assert ("TOOL" in text) == (columns == 200)


def test_approve_names_what_waits_elsewhere_in_the_session(server: ServerProcess, client: Client) -> None:
    (task_id,) = waits(client, "elsewhere", "e.txt")
    other = client.submit("Say hello", session_id="elsewhere", strategy="parallel").task_id
    client.wait(other)

    done = run("approve", other, url=server.url)

    assert done.exit_code == 7
    assert done.stderr.startswith(
        f"alex: No tool call of the task {other} waits for your word. Of other tasks of its session these do:\n"
        f"  {task_id}  "
    )


def test_a_shell_completes_the_tasks_and_the_calls_that_wait(server: ServerProcess, client: Client) -> None:
    (task_id,) = waits(client, "completed", "t.txt")
    (call,) = client.approvals(session_id="completed").approvals

    assert f"plain,{task_id}" in completions(server, "alex", "approve", task_id[:-3])
    assert completions(server, "alex", "approve", task_id, "") == [f"plain,{call.call_id}"]


def completions(server: ServerProcess, *words: str) -> list[str]:
    """Return what bash is offered for the last of these words."""
    asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1), "_ALEX_COMPLETE": "bash_complete"}
    done = subprocess.run(
        alex_command(), env=os.environ | environment({"SERVER_URL": server.url}) | asked, timeout=SOON,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.splitlines()
