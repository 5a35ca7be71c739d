"""What the offline model understands, in the many ways in which people say it."""

from __future__ import annotations

import pytest

from alex_actors.models.offline_intents import (
    Calculate,
    Count,
    Echo,
    Intent,
    ListFiles,
    ReadFile,
    RunCommand,
    Search,
    Simulate,
    Unknown,
    WriteFile,
)
from alex_actors.models.offline_language import MOST_PARTS, understand


def intents(text: str) -> list[Intent]:
    return [part.intent for part in understand(text)]


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("What is 2 + 2?", "2 + 2"),
        ("what's 2+2", "2+2"),
        ("2 + 2", "2 + 2"),
        ("2+2=", "2+2"),
        ("3 x 4", "3 * 4"),
        ("calculate: 3 * (4+5)", "3 * (4+5)"),
        ("Calculate 3 * (4 + 5)", "3 * (4 + 5)"),
        ("What is 2 plus 2?", "2 + 2"),
        ("how much is 10 divided by 4", "10 / 4"),
        ("What is the square root of 16?", "sqrt(16)"),
        ("calculate the sum of 3 and 4", "3 + 4"),
        ("What is 1,000 + 1?", "1000 + 1"),
        ("What's 5 squared?", "5 ** 2"),
        ("Please calculate 2^10 for me.", "2^10"),
        ("what does 2+2 equal?", "2+2"),
        ("CALCULATE 1/0", "1/0"),
        ("Could you compute '6 * 7'?", "6 * 7"),
        ("calculate 2 +* 3", "2 +* 3"),
        ("what is max(1,200)", "max(1,200)"),
    ],
)
def test_arithmetic(text: str, expression: str) -> None:
    assert intents(text) == [Calculate(expression)]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("List files in current directory", "."),
        ("list the files", "."),
        ("list files in src", "src"),
        ("ls", "."),
        ("ls src", "src"),
        ("Show me the files in the src directory", "src"),
        ("what files are there?", "."),
        ("List all files in the workspace.", "."),
        ("list files in 'my dir'", "my dir"),
        ("List files", "."),
        ("what is in the current directory?", "."),
        ("List the contents of src/lib", "src/lib"),
        ("Can you please list the files?", "."),
        ("list files here", "."),
        ("list files in .", "."),
    ],
)
def test_listing(text: str, path: str) -> None:
    assert intents(text) == [ListFiles(path)]


@pytest.mark.parametrize(
    ("text", "path", "content"),
    [
        ("Create a file called a.txt with content: Hello", "a.txt", "Hello"),
        ("create file notes/a.txt with content 'x'", "notes/a.txt", "x"),
        ("Create a.txt containing foo bar", "a.txt", "foo bar"),
        ("create an empty file b.txt", "b.txt", ""),
        ('create a new file named "my file.txt" with the text "hi there"', "my file.txt", "hi there"),
        ("Create a file a.txt with the following content: x", "a.txt", "x"),
        ("create a.txt with content:\n  one\n  two", "a.txt", "  one\n  two"),
        ("create a.txt with content: thanks for me please", "a.txt", "thanks for me please"),
        ("write hello world to a.txt", "a.txt", "hello world"),
        ("write 'hello' into file notes", "notes", "hello"),
        ("save 'x=1' as conf.ini", "conf.ini", "x=1"),
        ("write to a.txt: some text", "a.txt", "some text"),
    ],
)
def test_writing(text: str, path: str, content: str) -> None:
    assert intents(text) == [WriteFile(path, content)]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Read a.txt", "a.txt"),
        ("Read the content of a.txt", "a.txt"),
        ("read the file a.txt.", "a.txt"),
        ("cat a.txt", "a.txt"),
        ("show a.txt", "a.txt"),
        ("what is in a.txt?", "a.txt"),
        ("Read notes", "notes"),
        ("what does a.txt contain?", "a.txt"),
        ("Read 'my file.txt'", "my file.txt"),
        ("open notes/b.md", "notes/b.md"),
        ("show me the contents of a.txt", "a.txt"),
        ("Read the contents of the file notes/a.txt", "notes/a.txt"),
    ],
)
def test_reading(text: str, path: str) -> None:
    assert intents(text) == [ReadFile(path)]


@pytest.mark.parametrize(
    ("text", "query", "path"),
    [
        ("Search for TODO", "TODO", "."),
        ("search for TODO in src", "TODO", "src"),
        ("grep TODO src", "TODO", "src"),
        ('search for "foo bar" in the src directory', "foo bar", "src"),
        ("grep -rn TODO .", "TODO", "."),
        ("search src for TODO", "TODO", "src"),
        ("find TODO in a.txt", "TODO", "a.txt"),
        ("grep for TODO", "TODO", "."),
        ("Search for 'x. Then y'", "x. Then y", "."),
        ("search for TODO in all files", "TODO", "."),
        ("look for TODO in src.", "TODO", "src"),
    ],
)
def test_searching(text: str, query: str, path: str) -> None:
    assert intents(text) == [Search(query, path)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Echo hello world", "hello world"),
        ("Say hello", "hello"),
        ("say hello.", "hello"),
        ('echo "x"', "x"),
        ("say 'hello, world'", "hello, world"),
        ("Echo 2 + 2", "2 + 2"),
        ("repeat after me: abc", "abc"),
        ("echo Thank you please", "Thank you please"),
        ("echo don't stop", "don't stop"),
        ("ECHO a.", "a."),
    ],
)
def test_echoes(text: str, said: str) -> None:
    assert intents(text) == [Echo(said)]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("Run ls -l", "ls -l"),
        ("Execute command ls", "ls"),
        ("execute the command `ls -l`", "ls -l"),
        ("run ls -l.", "ls -l"),
        ("run: ls", "ls"),
        ("$ ls -l", "ls -l"),
        ("shell: pwd", "pwd"),
        ("run ls ..", "ls .."),
        ("run the shell command 'echo hi > a.txt'.", "echo hi > a.txt"),
    ],
)
def test_commands(text: str, command: str) -> None:
    assert intents(text) == [RunCommand(command)]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("Count from 1 to 10", 1, 10),
        ("count to 5", 1, 5),
        ("count down from 5", 5, 1),
        ("count 1 to 3", 1, 3),
        ("count from 10 down to 1", 10, 1),
        ("Count backwards from 5 to 1.", 5, 1),
        ("count up to 4", 1, 4),
        ("count from -2 to 2", -2, 2),
        ("count from 3 to 3", 3, 3),
        ("count from 1 to 1000", 1, 1000),
    ],
)
def test_counting(text: str, first: int, last: int) -> None:
    assert intents(text) == [Count(first, last)]


@pytest.mark.parametrize(
    ("text", "simulation"),
    [
        ("Simulate 5 steps of 20 ms", Simulate(5, 20)),
        ("simulate 1 step of 0ms.", Simulate(1, 0)),
        ("Simulate 5 steps of 20 ms then fail", Simulate(5, 20, fail=True)),
        ("Simulate 5 steps of 20 ms, and then fail.", Simulate(5, 20, fail=True)),
        ("Simulate 5 steps of 20 ms. Then fail.", Simulate(5, 20, fail=True)),
        ("simulate 1000 steps of 60 seconds", Simulate(1000, 60_000)),
    ],
)
def test_simulations(text: str, simulation: Simulate) -> None:
    assert intents(text) == [simulation]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Say a and then say b", [Echo("a"), Echo("b")]),
        ("Say a. Then say b", [Echo("a"), Echo("b")]),
        ("First say a, then say b. Finally, say c", [Echo("a"), Echo("b"), Echo("c")]),
        ("What is 2+2? What is 3+3?", [Calculate("2+2"), Calculate("3+3")]),
        ("Calculate 2+2 and 3+3", [Calculate("2+2"), Calculate("3+3")]),
        ("List files and read a.txt", [ListFiles("."), ReadFile("a.txt")]),
        ("1. Say a\n2. Say b", [Echo("a"), Echo("b")]),
        (
            "Create a.txt with content 'a. Then b' and then read it",
            [WriteFile("a.txt", "a. Then b"), ReadFile("a.txt")],
        ),
        ("Simulate 2 steps of 5 ms and then say hi", [Simulate(2, 5), Echo("hi")]),
        ("Echo don't. Then echo won't", [Echo("don't"), Echo("won't")]),
        ("Say hi and then dance", [Echo("hi"), Unknown("dance")]),
    ],
)
def test_several_parts(text: str, expected: list[Intent]) -> None:
    assert intents(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "What is love?",
        "Hello",
        "help",
        " ",
        "tell me a joke",
        "make tea with milk",
        "write a poem in French",
        "Run the tests",
        "Simulate 5 steps",
        "Who are you?",
        "calculate",
        "echo",
    ],
)
def test_the_rest_is_unknown(text: str) -> None:
    assert intents(text) == [Unknown(text)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Count from 1 to 5000", "It counts up to 1,000 numbers; this would be 5,000."),
        ("Simulate 0 steps of 5 ms", "It simulates 1 to 1,000 steps"),
        ("Simulate 1001 steps of 5 ms", "It simulates 1 to 1,000 steps"),
        ("Simulate 1 step of 60001 ms", "It simulates 1 to 1,000 steps"),
        ("say a then " * (MOST_PARTS + 1), "It follows up to 100 parts of a task."),
    ],
)
def test_what_is_out_of_range_is_unknown_with_the_reason(text: str, reason: str) -> None:
    [intent] = intents(text)

    assert isinstance(intent, Unknown)
    assert intent.reason is not None
    assert intent.reason.startswith(reason)


@pytest.mark.parametrize(
    "text",
    [
        " " * 100_000,
        "echo" + " " * 99_000,
        "x then " * 14_000,
        "a. " * 33_000,
        "'a " * 33_000,
        "write x to \u2018" * 8_000,
        "create file 'a " + "with " * 19_000,
        "write " + "a to " * 19_000,
        " \n" * 50_000,
        "please " * 14_000,
        "run " + "a" * 99_000,
        "\"'`" * 33_000,
        " and" * 25_000,
        "create" + " a" * 49_000,
    ],
)
@pytest.mark.timeout(5)
def test_the_longest_texts_are_understood_in_linear_time(text: str) -> None:
    assert intents(text)
