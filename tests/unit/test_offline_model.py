"""The offline model at work: the table of the HTTP contract, with real tools in a real workspace."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from alex_actors.events import IterationComplete, IterationStart, ToolCallStart
from alex_actors.models import OfflineModel
from alex_actors.models.conversation import whole_reply
from alex_actors.models.offline import LONGEST_ANSWER
from alex_actors.ports import Message
from tests.unit.fake_agents import Ran, Sleeps, make_offline, make_task, names, run


def ran(root: Path, text: str, *, tool_preset: str = "safe", max_iterations: int = 50) -> Ran:
    task = make_task(text, tool_preset=tool_preset, max_iterations=max_iterations)
    return run(make_offline(root, Sleeps()), task)


def iterations(result: Ran) -> int:
    return sum(isinstance(event, IterationStart) for event in result.events)


@pytest.mark.parametrize(
    ("text", "answer", "turns"),
    [
        ("What is 2 + 2?", "2 + 2 = 4", 2),
        ("Calculate 3 * (4 + 5)", "3 * (4 + 5) = 27", 2),
        ("List files in current directory", "The workspace is empty.", 2),
        ("Echo hello world", "hello world", 1),
        ("Say hello", "hello", 1),
        ("Create a file called a.txt with content: Hello. Then read a.txt", "Wrote 5 bytes to a.txt.\nHello", 3),
        (
            "Create src/a.txt with content 'TODO: x' then search for TODO in src",
            "Wrote 7 bytes to src/a.txt.\nsrc/a.txt:1: TODO: x",
            3,
        ),
        (
            "Create src/a.txt with content 'x' then list files in src",
            "Wrote 1 byte to src/a.txt.\na.txt (1 byte)",
            3,
        ),
        ("Create an empty file a.txt and then read it", "Wrote 0 bytes to a.txt.\na.txt is empty.", 3),
        ("Say a and then calculate 1+1. Then say b", "a\n1+1 = 2\nb", 2),
        ("Count from 1 to 1", "1", 1),
        ("Count from 1 to 10", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10", 10),
        ("Count down from 3 and then say done", "3, 2, 1\ndone", 3),
        ("Count to 2 and then calculate 1+1", "1, 2\n1+1 = 2", 4),
    ],
)
def test_a_task_is_answered_in_so_many_iterations(tmp_path: Path, text: str, answer: str, turns: int) -> None:
    result = ran(tmp_path, text)

    assert result.answer.text == answer
    assert result.answer.stop_reason == "final_answer"
    assert iterations(result) == turns


def test_the_sum_is_left_to_the_calculator(tmp_path: Path) -> None:
    result = ran(tmp_path, "What is 2 + 2?")

    [start] = [event for event in result.events if isinstance(event, ToolCallStart)]
    assert (start.tool_name, start.arguments) == ("calculator", {"expression": "2 + 2"})


def test_counting_pauses_between_numbers_and_thinks_each_but_the_last(tmp_path: Path) -> None:
    sleeps = Sleeps()

    result = run(make_offline(tmp_path, sleeps), make_task("Count from 1 to 10"))

    assert sleeps.seconds == [0.1] * 9
    thoughts = [event.arguments for event in result.events if isinstance(event, ToolCallStart)]
    assert thoughts == [{"thought": str(number)} for number in range(1, 10)]


def test_counting_stops_at_the_limit_of_iterations(tmp_path: Path) -> None:
    result = ran(tmp_path, "Count from 1 to 10", max_iterations=4)

    assert result.answer.stop_reason == "max_iterations"
    assert iterations(result) == 4


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Calculate 1/0", "I could not calculate 1/0: '1/0' has no result: division by zero."),
        ("Read no.txt", "I could not read no.txt: There is no 'no.txt' in the workspace."),
        ("Read ../x.txt", "I could not read ../x.txt: '../x.txt' leads out of the workspace."),
        ("Read /etc/passwd", "I could not read /etc/passwd: '/etc/passwd' is absolute"),
        (
            "Run ls -l",
            "I could not run ls -l: The tool preset 'safe' does not allow 'shell'; 'full' would.",
        ),
    ],
)
def test_a_failure_is_told_as_it_is(tmp_path: Path, text: str, answer: str) -> None:
    assert ran(tmp_path, text).answer.text.startswith(answer)


def test_after_a_part_that_failed_the_next_ones_are_done(tmp_path: Path) -> None:
    result = ran(tmp_path, "Read no.txt and then calculate 2+2 and then say bye")

    assert result.answer.text.split("\n")[1:] == ["2+2 = 4", "bye"]


@pytest.mark.parametrize("more", ["", " then simulate 1 step of 0 ms"])
def test_an_answer_of_many_large_parts_is_cut_and_says_so(tmp_path: Path, more: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "a.txt").write_text("x" * 400_000)

    text, _, note = ran(tmp_path, "read a.txt" + " then read a.txt" * 9 + more).answer.text.rpartition("\n")

    assert len(text) == LONGEST_ANSWER
    assert note.startswith("[cut: the whole answer would have 65")


def test_a_command_runs_if_the_tool_preset_allows_it(tmp_path: Path) -> None:
    result = ran(tmp_path, "Run echo hi; exit 3", tool_preset="full")

    assert result.answer.text == "hi\nexit code 3"


def test_what_no_rule_covers_gets_an_honest_answer(tmp_path: Path) -> None:
    answer = ran(tmp_path, "Write me a poem").answer.text

    assert 'There is no rule for "Write me a poem".' in answer
    assert "This is the offline model" in answer
    assert "No language model is configured here" in answer
    assert "ALEX_MODEL__NAME" in answer


def test_a_count_that_is_too_long_says_so(tmp_path: Path) -> None:
    answer = ran(tmp_path, "Count from 1 to 2000").answer.text

    assert answer.startswith("It counts up to 1,000 numbers; this would be 2,000.")


def test_tokens_grow_with_every_iteration(tmp_path: Path) -> None:
    result = ran(tmp_path, "Count to 5")

    tokens = [event.tokens_used for event in result.events if isinstance(event, IterationComplete)]
    assert len(tokens) == 5
    assert tokens == sorted(set(tokens))


def test_the_same_conversation_has_the_same_reply(tmp_path: Path) -> None:
    first, second = (ran(tmp_path / run_name, "Count to 3 and then list files") for run_name in "ab")

    assert first.answer == second.answer
    assert names(first.yielded) == names(second.yielded)


def test_a_conversation_without_a_task_is_answered_too() -> None:
    model = OfflineModel(sleep=Sleeps())

    reply = asyncio.run(whole_reply(model, [Message(role="system", content="x")]))

    assert "This is the offline model" in reply.content


def test_a_simulation_without_its_agent_says_what_it_lacks() -> None:
    model = OfflineModel(sleep=Sleeps())

    reply = asyncio.run(whole_reply(model, [Message(role="user", content="Simulate 2 steps of 5 ms")]))

    assert reply.content == "A simulation is run by the offline agent; this agent only has its model."
