"""What a person sees: real processes in a real terminal, on a real server."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from alex_http.client import Client
from tests.live.process import ServerProcess, until
from tests.terminal.screen import screen

SUM = "What is 2 + 2?"
COUNTS = '"Count from 1 to 1000" --max-iterations 1000'
"""More than a minute and a half: it goes on until a test has it end."""


@pytest.mark.parametrize("columns", [80, 200])
def test_a_task_is_followed_to_its_answer_and_each_thing_is_there_once(
    server: ServerProcess, columns: int
) -> None:
    with screen(server.url, columns=columns) as terminal:
        text = terminal.ended(f'alex submit "{SUM}. Then count from 1 to 3" --watch')

    lines = text.splitlines()
    assert sum(line == f"● {SUM}. Then count from 1 to 3" for line in lines) == 1
    [called] = [line for line in lines if "calculator" in line]
    assert re.fullmatch(r'  ✓ calculator\(expression="2 \+ 2"\)  [\d.]+ m?s  → 4', called)
    assert "2 + 2 = 4" in lines
    assert "1, 2, 3" in lines
    assert re.fullmatch(r"✓ completed · \d iterations · \d+ tokens · .+", lines[-3])
    assert lines[-2:] == ["exit 0.", "$"]
    assert "Ctrl-C detaches" not in text, "what changes is gone at the end"


def counted(text: str) -> list[int]:
    """Return what a task that counts has said, in the order of the lines."""
    return [int(line[4:]) for line in text.splitlines() if re.fullmatch(r"  │ \d+", line)]


def test_ctrl_c_detaches_and_says_how_to_come_back(server: ServerProcess, client: Client) -> None:
    with screen(server.url) as terminal:
        terminal.type(f"alex submit {COUNTS} --session leaves --watch; echo exit $?.")
        terminal.wait("  │ 3\n")
        terminal.press("C-c")
        text = terminal.wait_for_end()
        back = re.search(r"Come back: (alex watch task-\S+)\n", text)
        left = client.tasks(session_id="leaves").tasks[0]
        assert back is not None
        terminal.type("clear")
        terminal.type(back[1])
        terminal.wait("Ctrl-C detaches")
        terminal.press("C-c")
        until(lambda: terminal.visible.count("Ctrl-C again"), "the way to cancel")
        terminal.press("C-c")
        again = terminal.wait("cancelled · ")

    assert "Detached: the task goes on. Ctrl-C again within 2 seconds cancels it.\n" in text
    assert "\nexit 130." in text
    assert left.status == "running"
    assert "Cancelling." in again
    assert client.task(left.task_id).status == "cancelled"


def test_ctrl_c_twice_cancels_and_waits_for_the_end(server: ServerProcess, client: Client) -> None:
    with screen(server.url) as terminal:
        terminal.type(f"alex submit {COUNTS} --session cancels --watch; echo exit $?.")
        terminal.wait("  │ 2\n")
        terminal.press("C-c")
        terminal.wait("Ctrl-C again")
        terminal.press("C-c")
        text = terminal.wait_for_end()

    assert re.search(r"\n■ cancelled · \d+ iterations · .+\nexit 3\.", text)
    assert client.tasks(session_id="cancels").tasks[0].status == "cancelled"


def test_a_question_shows_the_whole_call_and_a_key_answers_it(server: ServerProcess) -> None:
    with screen(server.url) as terminal:
        terminal.type(
            'alex submit "Create a file called a.txt with content: Hello" --tools careful --watch; echo exit $?.'
        )
        asked = terminal.wait("? Run file_write? y: yes, n: no")
        terminal.press("x")
        terminal.press("y")
        text = terminal.wait_for_end()

    assert "? file_write waits for your word:\n      path: a.txt\n      content: Hello\n" in asked
    assert '\n    file_write approved\n  ✓ file_write(path="a.txt", content="Hello")' in text
    assert "Run file_write?" not in text
    assert "\nexit 0." in text


def test_a_key_that_was_pressed_before_the_question_is_no_answer(server: ServerProcess, client: Client) -> None:
    text = "Create a file called e.txt with content: Hello"
    before = client.submit("Count from 1 to 1000", session_id="hasty", max_iterations=1000)
    with screen(server.url) as terminal:
        terminal.type(f'alex submit "{text}" --tools careful --session hasty --watch; echo exit $?.')
        terminal.wait("Ctrl-C detaches")
        terminal.press("y", "y", "y")
        terminal.wait("Ctrl-C detaches")  # after tmux has had its turn to pass the keys on
        client.cancel(before.task_id)
        terminal.wait("? Run file_write? y: yes, n: no")
        asked = client.tasks(session_id="hasty").tasks[0]
        until(lambda: "waiting for your word · iteration" in terminal.visible, "that it still waits")
        still = client.task(asked.task_id).status
        terminal.press("n")
        ended = terminal.wait_for_end()

    assert still == "running"
    assert "was denied" in ended


def test_a_server_that_takes_its_time_to_take_a_word_does_not_hold_up_the_drawing(server: ServerProcess) -> None:
    with screen(server.url) as terminal:
        terminal.type(
            'alex submit "Create a file called s.txt with content: Hello" --tools careful --watch; echo exit $?.'
        )
        terminal.wait("? Run file_write? y: yes, n: no")
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            terminal.press("y")
            drawn = terminal.wait("? Run file_write? yes: telling the server")
            until(lambda: terminal.text != drawn, "another drawing")
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        text = terminal.wait_for_end()

    assert "waiting for the server · iteration 1/50" in drawn
    assert "    file_write approved\n" in text
    assert "\nexit 0." in text


def test_what_is_denied_is_not_run(server: ServerProcess) -> None:
    with screen(server.url) as terminal:
        terminal.type(
            'alex submit "Create a file called b.txt with content: Hello" --tools careful --watch; echo exit $?.'
        )
        terminal.wait("? Run file_write? y: yes, n: no")
        terminal.press("n")
        text = terminal.wait_for_end()

    assert '  ✗ file_write(path="b.txt", content="Hello")' in text
    assert "was denied" in text


def test_a_chat_has_many_turns_in_one_session(server: ServerProcess, client: Client) -> None:
    with screen(server.url) as terminal:
        terminal.type("alex chat; echo exit $?.")
        terminal.wait_for_prompt(">")
        terminal.type(SUM)
        begun = terminal.wait("2 + 2 = 4\n")
        terminal.wait_for_prompt(">")
        terminal.type("Say hello")
        terminal.wait("\nhello\n")
        terminal.wait_for_prompt(">")
        terminal.press("Up")
        recalled = until(lambda: terminal.text.endswith("> Say hello"), "what was said before")
        terminal.press("C-c")
        terminal.wait_for_prompt(">")  # what is typed before it may be of the line that goes away
        terminal.press("C-d")
        text = terminal.wait_for_end()

    back = re.search(r"\nCome back: alex chat --session (\S+)\nexit 0\.", text)
    assert recalled
    assert back is not None
    assert f"> {SUM}\nSession {back[1]}\nCome back: alex chat --session {back[1]}\n" in begun
    assert text.count("\nSession ") == 1
    assert [task.task for task in client.session(back[1]).tasks] == [SUM, "Say hello"]


def test_a_restart_of_the_server_in_the_middle_is_said_and_nothing_is_missed(tmp_path: Path) -> None:
    first = ServerProcess(tmp_path, forked=True)
    try:
        first.wait_until_listening()
        port = first.url.rpartition(":")[2]
        with screen(first.url) as terminal:
            terminal.type(f"alex submit {COUNTS} --watch; echo exit $?.")
            terminal.wait("  │ 3\n")
            first.kill()
            before = counted(terminal.wait("The server is away: trying again."))
            second = ServerProcess(tmp_path, "--port", port, forked=True)
            try:
                terminal.wait("The server is there again.")
                terminal.wait(f"  │ {before[-1] + 3}\n")
                with Client(first.url) as client:
                    client.cancel(client.tasks().tasks[0].task_id)
                text = terminal.wait_for_end()
            finally:
                second.kill()
    finally:
        first.kill()

    numbers = counted(text)
    assert numbers == [*range(1, len(numbers) + 1)]
    assert len(numbers) > len(before)
    assert "\nexit 3." in text


def test_a_terminal_that_is_made_narrower_and_wider_keeps_each_line_once(server: ServerProcess) -> None:
    with screen(server.url, columns=100) as terminal:
        terminal.type('alex submit "Count from 1 to 15" --watch; echo exit $?.')
        terminal.wait("  │ 3\n")
        terminal.resize(40, 12)
        terminal.wait("  │ 6\n")
        terminal.resize(120, 30)
        text = terminal.wait_for_end()

    assert [line for line in text.splitlines() if re.fullmatch(r"  │ \d+", line)] == [
        f"  │ {n}" for n in range(1, 15)
    ]
    assert not re.search(r"iteration \d", text), "what changed is gone"


def test_nothing_that_a_stranger_wrote_steers_the_terminal(server: ServerProcess, client: Client) -> None:
    hostile = "Say \x1b]0;owned\x07\x1b[31mred\x1b[2J\x9b2J \u202egnp.exe [bold red]x[/] :smile: &#x202e;"
    task = client.submit(hostile, session_id="hostile")
    client.wait(task.task_id)
    with screen(server.url) as terminal:
        before = terminal.title
        text = terminal.ended(f"alex watch {task.task_id}; alex tasks --session hostile")
        after, coloured = terminal.title, terminal.coloured

    assert before == after
    assert text.count("␛]0;owned␇␛[31mred␛[2J�2J �gnp.exe [bold red]x[/] :smile:") == 2, "the task, its answer"
    assert "Say ␛]0;owned␇…" in text, "the table"
    assert "\u202e" not in text
    assert "\x1b[31m" not in coloured


def test_a_list_fits_the_terminal(server: ServerProcess, client: Client) -> None:
    client.wait(client.submit("Say " + "long words " * 30, session_id="wide").task_id)
    with screen(server.url, columns=80) as narrow:
        fitted = narrow.ended("alex tasks --session wide")
    with screen(server.url, columns=200) as wide:
        whole = wide.ended("alex tasks --session wide")

    header, row = fitted.splitlines()[1:3]
    assert header.split() == ["ID", "STATUS", "AGE", "ITER", "TEXT"]
    assert row.endswith("…")
    assert len(row) <= 80
    assert whole.splitlines()[1].split() == ["ID", "STATUS", "SESSION", "AGE", "ITER", "TOKENS", "COST", "TEXT"]


def test_a_dumb_terminal_gets_lines_and_one_without_colour_none(server: ServerProcess) -> None:
    with screen(server.url) as dumb:
        lines = dumb.ended(f'TERM=dumb alex submit "{SUM}" --watch')
    with screen(server.url, variables={"NO_COLOR": "1"}) as grey:
        grey.ended(f'alex submit "{SUM}" --watch')
        coloured = grey.coloured

    assert "started\niteration 1 of 50\nsays: I calculate 2 + 2.\n" in lines
    assert "✓" not in lines
    assert not re.search(r"\x1b\[[0-9;]*3[1-7]", coloured)
