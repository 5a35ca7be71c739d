"""Two owners whose sessions have the same ID: whatever is read of one has nothing of the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic
from alex_actors.copies import Message
from alex_actors.events import ApprovalRequested
from alex_actors.replies import ExportedSession, SessionForked, Submitted
from alex_actors.simulation.runtime import wait_for_reply
from alex_actors.simulation.scheduler import Wait
from alex_actors.tasks import Task
from alex_actors.values import Context, Owner, SessionId, TaskId
from tests.unit.protocol_server import Server
from tests.unit.protocol_system import CONTEXT, new_task

ADA, BOB, NOBODY = Owner("ada"), Owner("bob"), Owner("nobody")
HOME, FORK = SessionId("home"), SessionId("fork")
MOST = 1_000_000
"""Bytes of an export."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "alex.sqlite3")
    yield server
    server.close()


def context_of(owner: Owner) -> Context:
    return Context(CONTEXT.trace_id, sender="client", owner=owner)


def submitted(server: Server, owner: Owner) -> Task:
    """Have an owner submit a task in the session of that ID, and its agent end it."""
    reply = server.runtime.submit(new_task(HOME, text=f"a task of {owner}"), context_of(owner))
    assert isinstance(reply, Submitted)
    server.dispatcher.run()
    server.run_of(reply.task).finishes(f"an answer to {owner}")
    server.dispatcher.run()
    return reply.task


def forked(server: Server, owner: Owner) -> SessionForked:
    """Have an owner fork the session of that ID, and its files be copied."""
    awaited = server.runtime.fork(HOME, FORK, None, context_of(owner), wake=lambda: None)
    server.dispatcher.run()
    (_, _, done) = server.system.workspaces.copies.pop()
    done(None)
    server.dispatcher.run()
    reply = awaited.poll()
    assert isinstance(reply, SessionForked)
    return reply


@pytest.fixture
def tasks(server: Server) -> dict[Owner, Task]:
    """A task of each, in a session of the same ID, and a fork of each session."""
    tasks = {owner: submitted(server, owner) for owner in (ADA, BOB)}
    for owner in tasks:
        forked(server, owner)
    return tasks


@pytest.mark.parametrize("owner", [ADA, BOB])
def test_lists_have_ones_own_and_count_them(server: Server, tasks: dict[Owner, Task], owner: Owner) -> None:
    sessions = server.runtime.sessions(limit=10, offset=0, owner=owner)
    page = server.runtime.tasks(limit=10, offset=0, session_id=None, status=None, owner=owner)
    of_session = server.runtime.tasks(limit=10, offset=0, session_id=HOME, status="completed", owner=owner)

    assert sorted(session.session_id for session in sessions.sessions) == [FORK, HOME]
    assert sessions.total == 2
    assert {session.last_task for session in sessions.sessions} == {None, f"a task of {owner}"}
    for found in (page, of_session):
        assert [task.task_id for task in found.tasks] == [tasks[owner].task_id]
        assert found.total == 1


def test_tool_calls_that_wait_are_listed_for_their_owner_alone(server: Server) -> None:
    asked = {}
    for owner in (ADA, BOB):
        reply = server.runtime.submit(new_task(HOME), context_of(owner))
        assert isinstance(reply, Submitted)
        asked[owner] = reply.task.task_id
        server.dispatcher.run()
        server.run_of(reply.task).yields(
            ApprovalRequested(iteration=1, call_id="call-1", tool_name="shell", arguments={})
        )
        server.dispatcher.run()

    seen = {
        (owner, session_id): [
            call.task_id
            for call in server.runtime.waiting_calls(limit=10, after=0, session_id=session_id, owner=owner).calls
        ]
        for owner in (ADA, BOB, NOBODY)
        for session_id in (None, HOME)
    }

    assert seen == {
        (owner, session_id): [asked[owner]] if owner in asked else []
        for owner in (ADA, BOB, NOBODY)
        for session_id in (None, HOME)
    }


@pytest.mark.parametrize("owner", [ADA, BOB])
def test_a_session_has_ones_own_tasks_and_messages(server: Server, tasks: dict[Owner, Task], owner: Owner) -> None:
    home = server.runtime.session(HOME, owner=owner)
    fork = server.runtime.session(FORK, owner=owner)

    assert home is not None
    assert fork is not None
    assert [task.task_id for task in home.tasks] == [tasks[owner].task_id]
    assert fork.tasks == ()
    assert fork.messages == (
        Message("user", f"a task of {owner}"),
        Message("assistant", f"an answer to {owner}"),
    )


@pytest.mark.parametrize("owner", [ADA, BOB])
def test_an_export_has_ones_own_events_and_messages(
    server: Server, tasks: dict[Owner, Task], owner: Owner
) -> None:
    home = server.runtime.export(HOME, owner=owner, most_bytes=MOST)
    fork = server.runtime.export(FORK, owner=owner, most_bytes=MOST)

    assert isinstance(home, ExportedSession)
    assert isinstance(fork, ExportedSession)
    assert {event.task_id for event in home.events} == {tasks[owner].task_id}
    assert fork.events == ()
    assert [message.content for message in fork.detail.messages] == [
        f"a task of {owner}",
        f"an answer to {owner}",
    ]


@pytest.mark.parametrize("owner", [ADA, BOB])
def test_a_stream_of_a_session_has_ones_own_events(server: Server, tasks: dict[Owner, Task], owner: Owner) -> None:
    following = server.runtime.follow(SessionTopic(HOME, owner), after=0, wake=lambda: None)
    server.dispatcher.run()
    recorded = server.runtime.take(following, limit=100)
    later = submitted(server, ADA if owner == BOB else BOB)
    live = server.runtime.take(following, limit=100)
    server.runtime.unfollow(following)

    assert {event.task_id for event in recorded} == {tasks[owner].task_id}
    assert later.task_id not in {event.task_id for event in live}
    assert live == ()


def test_what_another_owner_has_is_not_there(server: Server, tasks: dict[Owner, Task]) -> None:
    runtime, task_id = server.runtime, tasks[ADA].task_id
    following = runtime.follow(TaskTopic(task_id, BOB), after=0, wake=lambda: None)
    server.dispatcher.run()

    assert runtime.task(task_id, owner=BOB) is None
    assert runtime.events(task_id, after=0, limit=10, owner=BOB) is None
    assert runtime.take(following, limit=10) == ()
    assert following.missing
    assert runtime.session(HOME, owner=NOBODY) is None
    assert runtime.export(HOME, owner=NOBODY, most_bytes=MOST) is None
    assert not runtime.has_session(HOME, owner=NOBODY)
    assert runtime.sessions(limit=10, offset=0, owner=NOBODY).total == 0
    assert runtime.tasks(limit=10, offset=0, session_id=HOME, status=None, owner=NOBODY).total == 0
    runtime.unfollow(following)


def test_a_deletion_takes_ones_own(server: Server, tasks: dict[Owner, Task]) -> None:
    wait = Wait("the reply to a deletion")
    wait_for_reply(
        server.dispatcher.scheduler,
        wait,
        lambda wake: server.runtime.delete(HOME, context_of(ADA), wake=wake),
    )

    assert server.runtime.session(HOME, owner=ADA) is None
    assert server.runtime.task(tasks[ADA].task_id, owner=ADA) is None
    assert server.runtime.session(HOME, owner=BOB) is not None
    assert server.runtime.task(tasks[BOB].task_id, owner=BOB) is not None


def test_an_end_of_another_owners_task_of_that_id_ends_no_ones(server: Server) -> None:

    (ended,) = server.store.reader.ended([submitted(server, BOB).task_id], owner=BOB)

    assert ended[0] == BOB
    assert server.store.reader.ended([TaskId(ended[1])], owner=ADA) == ()
    assert {one[0] for one in server.store.reader.last_ended(10)} == {BOB}
