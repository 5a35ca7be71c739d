"""The runtime and a person's word on a tool call: from the task's actor to the record and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from alex_actors.events import ApprovalRequested, ApprovalResolved
from alex_actors.ports import Decision
from alex_actors.replies import ApproveReply, Awaited, Decided, NothingWaits, Unavailable, UnknownTask
from alex_actors.store.database import open_readers
from alex_actors.tasks import Task
from alex_actors.values import Owner, TaskId
from tests.unit.protocol_server import Server, StaleReader
from tests.unit.protocol_system import CONTEXT

YES = Decision(approved=True)
REQUEST = ApprovalRequested(iteration=1, call_id="call-1", tool_name="shell", arguments={})
RESOLVED = ApprovalResolved(call_id="call-1", approved=True, reason=None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "alex.sqlite3")
    yield server
    server.close()


@pytest.fixture
def task(server: Server) -> Task:
    """A task with a call that waits."""
    task = server.submit()
    server.run_of(task).yields(REQUEST)
    server.dispatcher.run()
    return task


class Approval:
    """One that is asked for, and how often who waits for the reply was woken."""

    def __init__(self, server: Server, task_id: str, call_id: str = "call-1", *, owner: str = "local") -> None:
        self.woken = 0
        context = msgspec.structs.replace(CONTEXT, owner=Owner(owner))
        self.awaited: Awaited[ApproveReply] = server.runtime.approve(
            TaskId(task_id), call_id, YES, context, wake=self._wake
        )
        server.dispatcher.run()

    @property
    def reply(self) -> ApproveReply | None:
        return self.awaited.poll()

    def _wake(self) -> None:
        self.woken += 1


def test_it_is_answered_with_the_task_when_the_resolution_is_recorded(server: Server, task: Task) -> None:
    approval = Approval(server, task.task_id)
    early, told = approval.reply, list(server.run_of(task).decisions)

    server.run_of(task).yields(RESOLVED)
    server.dispatcher.run()

    assert (early, told) == (None, [("call-1", YES)])
    assert approval.woken == 1
    assert approval.reply == Decided(server.store.task(task.task_id))
    assert server.store.event_types(task.task_id)[-2:] == ["approval_requested", "approval_resolved"]


def waiting(server: Server) -> list[str]:
    return [call.call_id for call in server.runtime.waiting_calls(limit=10, after=0, session_id=None).calls]


def test_a_call_is_listed_until_the_reply_to_the_decision_is_there(server: Server, task: Task) -> None:
    before = waiting(server)
    approval = Approval(server, task.task_id)
    server.run_of(task).yields(RESOLVED)
    server.dispatcher.run()

    assert before == ["call-1"]
    assert isinstance(approval.reply, Decided)
    assert waiting(server) == []


def test_a_call_is_listed_until_the_reply_to_a_cancel_is_there(server: Server, task: Task) -> None:
    before = waiting(server)

    server.cancel(task.task_id)

    assert (before, waiting(server)) == (["call-1"], [])


def test_who_comes_second_is_told_so(server: Server, task: Task) -> None:
    Approval(server, task.task_id)
    second = Approval(server, task.task_id)
    server.run_of(task).yields(RESOLVED)
    server.dispatcher.run()

    assert second.reply == NothingWaits("decided")
    assert Approval(server, task.task_id, "call-2").reply == NothingWaits("unknown")


def test_a_task_of_another_owner_or_one_that_never_was_is_not_there(server: Server, task: Task) -> None:
    assert Approval(server, task.task_id, owner="ada").reply == UnknownTask()
    assert Approval(server, "never").reply == UnknownTask()
    assert server.run_of(task).decisions == []


def test_a_task_that_waits_in_line_or_has_ended_has_no_call_that_waits(server: Server, task: Task) -> None:
    behind = server.submit()
    in_line = Approval(server, behind.task_id)
    server.finish(task)

    assert in_line.reply == NothingWaits("unknown")
    assert Approval(server, task.task_id).reply == NothingWaits("ended")


def test_a_task_that_ends_while_a_word_waits_answers_it(server: Server, task: Task) -> None:
    approval = Approval(server, task.task_id)
    server.finish(task)

    assert approval.reply == NothingWaits("ended")
    assert server.system.leftovers() == {}


def test_a_word_to_an_actor_that_has_stopped_meanwhile_hears_of_the_end(server: Server, task: Task) -> None:
    agent = server.system.launcher.agent_of(task.task_id)
    assert agent is not None
    server.finish(task)
    vars(server.runtime)["_agent_of"] = lambda _task_id: agent  # as it was found a moment ago

    assert Approval(server, task.task_id).reply == NothingWaits("ended")


def test_a_task_that_has_begun_and_is_not_taken_up_again_yet_can_be_decided_on_later(
    server: Server, task: Task
) -> None:
    server.system.launcher.forget(task.task_id)

    with pytest.raises(Unavailable, match="Try again"):
        Approval(server, task.task_id)


def test_a_task_without_an_actor_is_read_again(server: Server, task: Task, tmp_path: Path) -> None:
    server.finish(task)
    engine = open_readers(tmp_path / "alex.sqlite3", connections=1)
    runtime = server.runtime_with(StaleReader(engine=engine, stale=task))

    reply = runtime.approve(task.task_id, "call-1", YES, CONTEXT, wake=lambda: None).poll()
    engine.dispose()

    assert reply == NothingWaits("ended")


def test_a_task_that_is_not_started_yet_has_no_call_that_waits(server: Server) -> None:
    worker = server.submitting()
    server.dispatcher.run()
    worker.go()
    server.dispatcher.run()  # it is recorded, and its worker has not started its agent

    reply = Approval(server, server.only_task().task_id).reply
    worker.complete()

    assert reply == NothingWaits("unknown")


def test_a_deleted_session_leaves_nobody_waiting(server: Server, task: Task) -> None:
    approval = Approval(server, task.task_id)
    server.runtime.delete(task.session_id, CONTEXT, wake=lambda: None)
    server.dispatcher.run()
    server.run_of(task).stops()
    server.dispatcher.run()

    assert approval.reply in (NothingWaits("ended"), UnknownTask())
    assert server.system.leftovers() == {}
