"""The runtime over the real actors and a real file: sessions that are deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.replies import (
    AlreadyEnded,
    Cancelled,
    Deleted,
    SessionDeleting,
    SessionMade,
    Submitted,
    Unavailable,
    UnknownSession,
    UnknownTask,
)
from alex_actors.values import SessionId
from tests.unit.protocol_server import Server
from tests.unit.protocol_system import CONTEXT, GRACE, new_task

HOME = SessionId("home")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "alex.sqlite3")
    yield server
    server.close()


def test_a_session_whose_tasks_have_ended_is_deleted_and_leaves_nothing(server: Server) -> None:
    task = server.submit()
    server.finish(task)

    reply = server.delete()

    assert reply == Deleted()
    assert server.runtime.session(HOME) is None
    assert server.runtime.task(task.task_id) is None
    assert server.runtime.events(task.task_id, after=0, limit=10) is None
    assert server.system.leftovers() == {}
    assert server.system.workspaces.keys == [task.session_key]


def test_what_is_not_there_is_unknown_and_nobody_is_asked(server: Server) -> None:
    reply = server.delete("never")

    assert reply == UnknownSession()
    assert server.messages == []


def test_a_deletion_is_answered_when_the_agents_have_stopped_and_not_before(server: Server) -> None:
    running, waiting = server.submit(), server.submit()
    deleting = server.worker(server.delete)
    server.dispatcher.run()
    meanwhile = (
        deleting.result,
        server.runtime.submit(new_task("home"), CONTEXT),
        server.runtime.make_session(HOME, {}, CONTEXT),
        server.runtime.session(HOME) is not None,
    )

    server.run_of(running).stops()
    reply = deleting.complete()

    assert meanwhile == (None, SessionDeleting(HOME), SessionDeleting(HOME), True)
    assert reply == Deleted()
    assert waiting.task_id not in server.system.executor.runs
    assert server.store.task_ids() == []
    assert server.system.leftovers() == {}
    assert [event for event in server.events() if event.startswith("session.d")] == [
        "session.deleting",
        "session.deleted",
    ]


def test_two_deletions_have_one_end_and_both_an_answer(server: Server) -> None:
    task = server.submit()
    workers = [server.worker(server.delete) for _ in range(2)]
    server.dispatcher.run()

    server.run_of(task).stops()

    assert [worker.complete() for worker in workers] == [Deleted(), Deleted()]


def test_a_cancel_of_a_task_of_it_is_answered(server: Server) -> None:
    task = server.submit()
    deleting = server.worker(server.delete)
    cancelling = server.worker(lambda: server.cancel(task.task_id))
    server.dispatcher.run()

    server.run_of(task).stops()
    deleting.complete()

    assert cancelling.complete() in (Cancelled(), AlreadyEnded("cancelled"))
    assert server.cancel(task.task_id) == UnknownTask()


def test_an_agent_that_will_not_die_holds_up_the_deletion_and_the_client_is_told_so(server: Server) -> None:
    task = server.submit()

    with pytest.raises(Unavailable, match="not gone yet"):
        server.delete()
    before = server.store.task(task.task_id).status
    server.run_of(task).stops()
    server.dispatcher.advance(GRACE)

    assert before == "cancelled"
    assert server.store.task_ids() == []
    assert server.delete() == UnknownSession()


def test_a_deletion_that_cannot_be_committed_is_unavailable_and_may_be_asked_for_again(server: Server) -> None:
    server.finish(server.submit())
    server.store.writer.fail_next(True)

    with pytest.raises(Unavailable, match="delete it again"):
        server.delete()
    kept = server.store.task_ids()

    assert len(kept) == 1
    assert server.delete() == Deleted()


def test_a_session_is_deleted_and_made_anew_under_its_id(server: Server) -> None:
    first = server.submit()
    server.finish(first)
    server.delete()

    made = server.runtime.make_session(HOME, {"team": "new"}, CONTEXT)
    second = server.runtime.submit(new_task("home"), CONTEXT)

    assert isinstance(made, SessionMade)
    assert (made.existed, made.session.task_count) == (False, 0)
    assert isinstance(second, Submitted)
    assert second.task.session_key > first.session_key
