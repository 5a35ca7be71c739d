"""The Python client on a real server: keys, copies of sessions, tokens."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from alex_actors.clock import SystemClock
from alex_actors.data_directory import tokens_file
from alex_actors.values import Owner
from alex_http.client import (
    AsyncClient,
    Client,
    CopyRefused,
    Event,
    Forbidden,
    KeyReused,
    Task,
    Unauthorized,
    UnknownSession,
)
from alex_http.tokens import Scope, TokenFile
from tests.live.conftest import Start
from tests.live.process import ServerProcess


def made_token(directory: Path, name: str, scope: Scope = "write") -> str:
    """Make a token, as ``alex token create`` does."""
    file = TokenFile(tokens_file(directory), now=SystemClock().now, random_hex=secrets.token_hex)
    return file.create(name=name, owner=Owner(name), scope=scope)[1]


def test_one_key_is_one_task_however_often_it_is_submitted(server: ServerProcess) -> None:
    async def at_once() -> list[Task]:
        async with AsyncClient(server.url) as alex:
            one = [alex.submit("What is 6 * 7?", idempotency_key="client-copies-1") for _ in range(8)]
            return await asyncio.gather(*one)

    submitted = asyncio.run(at_once())

    with Client(server.url) as alex:
        again = alex.submit("What is 6 * 7?", idempotency_key="client-copies-1")
        others = [alex.submit("What is 6 * 7?") for _ in range(2)]
        with pytest.raises(KeyReused):
            alex.submit("What is 6 * 9?", idempotency_key="client-copies-1")
    assert {task.task_id for task in submitted} == {again.task_id}
    assert len({task.task_id for task in [again, *others]}) == 3


def test_a_session_is_forked_exported_deleted_and_imported(server: ServerProcess) -> None:
    with Client(server.url) as alex:
        task = alex.submit("What is 6 * 7?", session_id="client-original")
        alex.wait(task.task_id)
        original = alex.session("client-original")
        before = events(alex, task)

        fork = alex.fork("client-original", new_session_id="client-fork", metadata={"why": "a test"})
        document = alex.export_session("client-original")
        with pytest.raises(CopyRefused):
            alex.fork("client-original", new_session_id="client-fork")
        with pytest.raises(CopyRefused):
            alex.import_session(document)
        alex.delete_session("client-original")
        with pytest.raises(UnknownSession):
            alex.export_session("client-original")
        imported = alex.import_session(document)
        after = events(alex, task)

    assert (fork.forked_from, fork.tasks, fork.messages) == ("client-original", [], original.messages)
    assert fork.metadata == {"why": "a test"}
    assert imported == original
    assert [(event.event_type, event.data) for event in after] == [
        (event.event_type, event.data) for event in before
    ]


def events(alex: Client, task: Task) -> list[Event]:
    """Return the events of a task that has ended."""
    return list(alex.events(task_id=task.task_id))


def test_who_has_no_token_or_a_wrong_one_is_told_so_and_who_has_one_follows_its_task(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    token, reading = (made_token(tmp_path / "data", name, scope) for name, scope in TOKENS.items())

    with Client(server.url, token=token) as alex:
        task = alex.submit("What is 6 * 7?", session_id="mine")
        followed = events(alex, task)

    assert followed[-1].event_type == "task_completed"
    with Client(server.url) as alex, pytest.raises(Unauthorized):
        alex.submit("What is 6 * 7?")
    with Client(server.url, token="alex_wrong") as alex, pytest.raises(Forbidden):
        list(alex.events(task_id=task.task_id))
    with Client(server.url, token=reading) as alex:
        with pytest.raises(Forbidden):
            alex.submit("What is 6 * 7?")
        with pytest.raises(UnknownSession):
            alex.session("mine")


TOKENS: dict[str, Scope] = {"writer": "write", "reader": "read"}
