"""What people and scripts give: IDs, their ends, texts, seconds, addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from alex_http.client import Task, TaskPage
from alex_http.command_line import main
from alex_http.terminal import given
from alex_http.terminal.connection import Connection, without_password
from alex_http.terminal.exits import Exit, Failed
from alex_http.terminal.given import AMONG, call_id_of, session_id_of, task_id_of, utf8
from alex_http.wire import ID_PATTERN

WHOLE = "task-01a20680-b090-7000-8000-006e18f7a84e"
NOT_UTF8 = "\udcff"
NOWHERE = {"ALEX_SERVER_URL": "http://127.0.0.1:9"}


def task(task_id: str, *, parent: str | None = None) -> Task:
    return Task(
        task_id=task_id, session_id="s", status="running", task="Say \x1b[31mx", agent_preset="a", tool_preset="t",
        model="m", parent_task_id=parent, created_at=datetime(2026, 11, 23, tzinfo=UTC), started_at=None,
        completed_at=None, current_iteration=0, total_iterations=0, tokens_used=0, total_tokens=0, cost_usd=0.0,
        error=None, termination_reason=None, result=None, multitask_strategy="enqueue", timeout_seconds=None,
        max_iterations=50, metadata={},
    )  # fmt: skip


class FakeLists:
    """Lists tasks, newest first."""

    def __init__(self, ids: Sequence[str], *, of_sub_agents: int = 0) -> None:
        """``of_sub_agents``: so many of the newest are those."""
        self.ids = ids
        self.of_sub_agents = of_sub_agents
        self.asked = 0

    def tasks(self, *, limit: int, offset: int = 0) -> TaskPage:
        self.asked += 1
        parents = ["task-parent"] * self.of_sub_agents + [None] * len(self.ids)
        found = [
            task(each, parent=parent)
            for each, parent in list(zip(self.ids, parents, strict=False))[offset : offset + limit]
        ]
        return TaskPage(tasks=found, total=len(self.ids), limit=limit, offset=offset)


def test_the_end_of_an_id_is_looked_for_among_the_newest_tasks() -> None:
    ids = [f"task-{number:08}" for number in range(AMONG + 1)]
    lists = FakeLists(ids)

    assert task_id_of(lists, "00000999") == "task-00000999"
    assert task_id_of(lists, "task-00000007") == "task-00000007"
    assert task_id_of(lists, "last") == ids[0]
    with pytest.raises(Failed, match="no task '00001000'") as too_old:
        task_id_of(lists, "00001000")
    assert too_old.value.code is Exit.UNKNOWN


def test_the_last_task_is_the_last_that_somebody_submitted() -> None:
    ids = [f"task-{number:08}" for number in range(250)]

    assert task_id_of(FakeLists(ids, of_sub_agents=210), "last") == ids[210]
    assert task_id_of(FakeLists(ids, of_sub_agents=250), "last") == ids[0], "better than none"


def test_an_id_that_is_whole_is_not_looked_for() -> None:
    lists = FakeLists([])

    assert task_id_of(lists, WHOLE) == WHOLE
    assert lists.asked == 0


def test_an_end_of_several_ids_names_them_and_a_whole_one_is_itself() -> None:
    lists = FakeLists(["a-abcd", "abcd", *(f"{number}-abcde" for number in range(12))])

    with pytest.raises(Failed) as several:
        task_id_of(FakeLists(["a-abcd", "b-abcd"]), "abcd")
    with pytest.raises(Failed, match=r"(?s)12 tasks .*\n  9-abcde running.*\n  and 2 more") as many:
        task_id_of(lists, "bcde")

    assert several.value.code is many.value.code is Exit.USAGE
    assert several.value.message == (
        "2 tasks have IDs that end in 'abcd':\n  a-abcd running: Say ␛[31mx\n  b-abcd running: Say ␛[31mx"
    )
    assert task_id_of(lists, "abcd") == "abcd"


@pytest.mark.parametrize("given", ["", "..", "a/b", "a?b", "a#bcd", "x" * 129, NOT_UTF8 * 4])
def test_what_cannot_be_an_id_is_asked_of_no_server(given: str) -> None:
    lists = FakeLists([given])

    with pytest.raises(Failed) as unknown_task:
        task_id_of(lists, given)
    with pytest.raises(Failed) as unknown_session:
        session_id_of(given)

    assert unknown_task.value.code is unknown_session.value.code is Exit.UNKNOWN
    assert lists.asked == 0


def test_ids_are_as_the_server_has_them() -> None:
    assert given._ID.pattern == ID_PATTERN


def test_an_end_of_three_characters_is_too_short() -> None:
    with pytest.raises(Failed, match="too short") as short:
        task_id_of(FakeLists(["task-abc"]), "abc")

    assert short.value.code is Exit.USAGE


@pytest.mark.parametrize("call", ["a/b", "..", ""])
def test_a_call_that_no_path_can_have_waits_nowhere(call: str) -> None:
    with pytest.raises(Failed, match="waits for approval") as nothing:
        call_id_of(call)

    assert nothing.value.code is Exit.CONFLICT


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", NOT_UTF8), ("submit", "-"), ("submit", "x", "--session", NOT_UTF8), ("chat",),
        ("submit", "x", "--metadata", f"a={NOT_UTF8}"), ("tasks", "--session", NOT_UTF8),
        ("approve", WHOLE, NOT_UTF8), ("approve", WHOLE, "c", "--reason", NOT_UTF8), ("watch", NOT_UTF8),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_no_utf_8_is_said_in_one_line(arguments: tuple[str, ...]) -> None:
    done = CliRunner(env=NOWHERE).invoke(main, arguments, input=b"\xff\n")

    assert done.exit_code in (Exit.USAGE, Exit.UNKNOWN)
    assert re.fullmatch(r"alex: .*(UTF-8|no task '\\udcff'\..*)\.?\n", done.stderr)


def test_a_text_is_itself_or_is_refused_by_name() -> None:
    assert utf8("Größe 😀", "TEXT") == "Größe 😀"
    with pytest.raises(Failed, match=r"^TEXT is not UTF-8\.$"):
        utf8(NOT_UTF8, "TEXT")


@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "1e999"])
def test_a_timeout_is_a_number_that_json_has(number: str) -> None:
    done = CliRunner().invoke(main, ["submit", "x", "--timeout", number], env=NOWHERE)

    assert (done.exit_code, "is no number of seconds." in done.stderr) == (2, True)


@pytest.mark.parametrize("url", ["http://u:se@cret@127.0.0.1:9", "ftp://u:secret@127.0.0.1:9/x"])
def test_a_password_in_a_url_is_not_shown(url: str) -> None:
    done = CliRunner().invoke(main, ["tasks", "--server", url])

    assert done.exit_code in (Exit.NO_SERVER, Exit.USAGE)
    assert "127.0.0.1:9" in done.stderr
    assert "cret" not in done.stderr
    assert without_password("see http://a.example/x@y and mail@b") == "see http://a.example/x@y and mail@b"


def test_a_connection_shows_its_server_without_a_password() -> None:
    connection = Connection("http://u:secret@127.0.0.1:9", None)

    assert connection.url == "http://127.0.0.1:9"
    connection.close()
