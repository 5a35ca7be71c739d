"""The runtime over the real actors and a real file: submits, workers that give up, cancels, a store that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alex_actors.agent_actor import RESEND_AT_LEAST_EVERY
from alex_actors.events import IterationStart, TaskAnalysis
from alex_actors.replies import (
    AlreadyEnded,
    Cancelled,
    SessionBusy,
    SessionMade,
    Submitted,
    TooManyTasks,
    Unavailable,
    UnknownTask,
)
from alex_actors.runtime import LARGEST_PAGE
from alex_actors.simulation.store import disk_error
from alex_actors.store.database import open_readers
from alex_actors.store.reader import StoreReader
from alex_actors.store.troubles import RETRY_AFTER
from alex_actors.values import SessionId, TaskId
from tests.unit.protocol_server import Server, StaleReader
from tests.unit.protocol_system import ASK_TIMEOUT, CONTEXT, GRACE, failing, new_task


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "alex.sqlite3")
    yield server
    server.close()


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[Server]:
    """A server whose clients are workers, so that the test says who waits for how long."""
    server = Server(tmp_path / "alex.sqlite3")
    yield server
    server.close()


# Submits.


def test_the_session_is_confirmed_then_the_task_recorded_then_its_agent_started(server: Server) -> None:
    server.submit()

    assert server.messages[:3] == ["Confirm", "Create", "_Commit"]
    assert server.messages.index("Start") > server.messages.index("_Commit")
    assert [event for event in server.events() if event != "message"] == [
        "session.confirmed",
        "task.created",
        "agent.started",
        "task.started",
    ]


def test_the_session_id_is_the_same_in_reply_record_events_and_log(server: Server) -> None:
    task = server.submit(None)
    server.finish(task)

    assert task.session_id.startswith("session-")
    assert server.store.task(task.task_id).session_id == task.session_id
    assert {event.session_id for event in server.store.events(task.task_id)} == {task.session_id}
    assert {line["session_id"] for line in server.system.log.lines} == {task.session_id}


def test_a_submitted_task_runs_to_its_end_and_leaves_nothing_behind(server: Server) -> None:
    task = server.submit()
    server.run_of(task).yields(IterationStart(iteration=1, total_iters=50))
    server.finish(task)

    assert server.store.task(task.task_id).status == "completed"
    assert server.store.event_types(task.task_id) == [
        "task_created",
        "task_started",
        "iteration_start",
        "task_completed",
    ]
    assert server.system.leftovers() == {}


def test_a_busy_session_is_told_with_its_tasks(server: Server) -> None:
    task = server.submit()

    reply = server.runtime.submit(new_task("home", strategy="reject"), CONTEXT)

    assert reply == SessionBusy(SessionId("home"), (task.task_id,))
    assert server.store.task_ids() == [task.task_id]


def test_too_many_tasks_are_refused_and_nothing_is_recorded(tmp_path: Path) -> None:
    server = Server(tmp_path / "alex.sqlite3", max_unfinished=1)
    task = server.submit()

    reply = server.runtime.submit(new_task("other"), CONTEXT)
    server.finish(task)

    assert reply == TooManyTasks(1)
    assert server.store.task_ids() == [task.task_id]
    assert server.system.leftovers() == {}
    server.close()


def test_a_client_that_has_read_the_end_is_not_told_that_the_session_is_busy(stepped: Server) -> None:
    first = stepped.submitting().complete()
    assert isinstance(first, Submitted)
    task_id = first.task.task_id
    stepped.run_of(first.task).finishes()
    while stepped.store.task(task_id).status != "completed":
        stepped.dispatcher.step()

    client = stepped.worker(lambda: stepped.runtime.submit(new_task("home", strategy="reject"), CONTEXT))
    stepped.dispatcher.handle(stepped.system.session_ref)  # busy: it has not heard of the end
    client.go()
    stepped.dispatcher.handle(stepped.system.session_ref)  # confirmed: it has been told of it
    reply = client.complete()

    assert stepped.messages.count("Confirm") == 3
    assert isinstance(reply, Submitted)


def test_a_client_that_has_read_the_end_is_not_told_that_there_are_too_many_tasks(tmp_path: Path) -> None:
    stepped = Server(tmp_path / "alex.sqlite3", max_unfinished=1)
    first = stepped.submitting().complete()
    assert isinstance(first, Submitted)
    stepped.run_of(first.task).finishes()
    while stepped.store.task(first.task.task_id).status != "completed":
        stepped.dispatcher.step()

    client = stepped.worker(lambda: stepped.runtime.submit(new_task("other"), CONTEXT))
    stepped.dispatcher.handle(stepped.system.session_ref)  # too many: it has not heard of the end
    client.go()
    stepped.dispatcher.handle(stepped.system.session_ref)  # confirmed: it has been told of it
    reply = client.complete()

    assert isinstance(reply, Submitted)
    stepped.close()


# Workers that give up.


def test_a_worker_that_gives_up_on_the_confirmation_leaves_nothing_open(stepped: Server) -> None:
    worker = stepped.submitting()

    worker.go()
    stepped.dispatcher.run()

    assert isinstance(worker.result, Unavailable)
    assert stepped.messages == ["Confirm", "Settle", "Revoke", "Settled"]
    assert stepped.events() == ["session.confirmed", "session.released"]
    assert stepped.store.task_ids() == []
    assert stepped.system.leftovers() == {}


def test_a_worker_that_gives_up_before_the_task_is_committed_has_it_revoked(stepped: Server) -> None:
    worker = stepped.submitting()
    stepped.dispatcher.run()
    worker.go()  # it is confirmed, and asks to create

    worker.go()
    stepped.dispatcher.handle(stepped.system.session_ref)  # the session actor asks the store
    stepped.dispatcher.run()

    assert isinstance(worker.result, Unavailable)
    assert stepped.messages.index("Create") < stepped.messages.index("Revoke") < stepped.messages.index("_Commit")
    assert stepped.store.task_ids() == []
    assert stepped.executor_runs() == 0
    assert stepped.system.leftovers() == {}


def test_a_worker_that_gives_up_while_the_task_is_being_committed_has_its_agent_started(stepped: Server) -> None:
    worker = stepped.submitting()
    stepped.dispatcher.run()
    worker.go()

    stepped.dispatcher.handle(stepped.system.store_ref)  # it waits for its commit, which is next
    worker.go()
    stepped.dispatcher.run()
    task = stepped.only_task()
    stepped.finish(task)

    assert isinstance(worker.result, Unavailable)
    assert "Settled" in stepped.messages
    assert stepped.store.event_types(task.task_id) == ["task_created", "task_started", "task_completed"]
    assert stepped.system.leftovers() == {}


def test_a_task_behind_one_that_was_given_up_has_its_turn(stepped: Server) -> None:
    given_up = stepped.submitting()
    stepped.dispatcher.run()
    next_one = stepped.submitting()
    reply = next_one.complete()
    assert isinstance(reply, Submitted)
    runs_before = stepped.executor_runs()

    given_up.go()  # it asks to create
    given_up.go()
    stepped.dispatcher.handle(stepped.system.session_ref)
    stepped.dispatcher.run()

    assert runs_before == 0
    assert list(stepped.system.executor.runs) == [reply.task.task_id]


# Cancels.


def test_a_cancel_of_a_running_task_is_answered_when_its_agent_has_stopped(stepped: Server) -> None:
    submitted = stepped.submitting().complete()
    assert isinstance(submitted, Submitted)
    task = submitted.task

    cancel = stepped.worker(lambda: stepped.cancel(task.task_id))
    stepped.dispatcher.run()
    waits = cancel.waits
    stepped.run_of(task).stops()
    reply = cancel.complete()

    assert waits
    assert reply == Cancelled()
    assert stepped.store.task(task.task_id).status == "cancelled"
    assert stepped.system.leftovers() == {}


def test_a_cancel_of_an_agent_that_will_not_die_is_answered_after_the_grace(server: Server) -> None:
    task = server.submit()

    reply = server.cancel(task.task_id)
    cancelled_at = server.system.clock.monotonic()
    still_running = server.system.executor.live()
    server.run_of(task).stops()
    server.dispatcher.run()

    assert reply == Cancelled()
    assert cancelled_at == GRACE
    assert len(still_running) == 1
    assert server.system.leftovers() == {}


def test_a_cancel_and_a_finish_that_meet_have_one_end_and_both_an_answer(stepped: Server) -> None:
    submitted = stepped.submitting().complete()
    assert isinstance(submitted, Submitted)
    task_id = submitted.task.task_id

    cancels = [stepped.worker(lambda: stepped.cancel(task_id)) for _ in range(2)]
    stepped.run_of(submitted.task).finishes()
    replies = [cancel.complete() for cancel in cancels]

    status = stepped.store.task(task_id).status
    assert stepped.store.event_types(task_id)[1:] == ["task_started", f"task_{status}"]
    assert replies == [Cancelled() if status == "cancelled" else AlreadyEnded(status)] * 2
    assert stepped.system.leftovers() == {}


def test_a_cancel_of_a_task_that_has_ended_or_never_was(server: Server) -> None:
    task = server.submit()
    server.finish(task)

    assert server.cancel(task.task_id) == AlreadyEnded("completed")
    assert server.cancel(TaskId("never")) == UnknownTask()


def test_a_cancel_of_a_task_that_leaves_its_line_meanwhile_is_told_its_end(server: Server, tmp_path: Path) -> None:
    task = server.submit()
    server.finish(task)
    engine = open_readers(tmp_path / "alex.sqlite3", connections=1)
    runtime = server.runtime_with(StaleReader(engine=engine, stale=task))

    reply = server.cancel(task.task_id, runtime=runtime)
    engine.dispose()

    assert reply == AlreadyEnded("completed")


def test_a_cancel_whose_end_cannot_be_recorded_in_time_is_not_answered_with_an_end(server: Server) -> None:
    task = server.submit()
    server.store.writer.fail_if(bool)

    with pytest.raises(Unavailable, match="not recorded yet"):
        server.cancel(task.task_id)
    server.store.writer.fail_next()
    server.run_of(task).stops()
    server.dispatcher.advance(2 * RESEND_AT_LEAST_EVERY)

    assert server.store.task(task.task_id).status == "cancelled"
    assert server.system.leftovers() == {}


# A store that fails.


def test_a_submit_that_cannot_be_recorded_is_unavailable_and_leaves_nothing(server: Server) -> None:
    server.store.writer.fail_next(True)

    with pytest.raises(Unavailable, match="store cannot be used"):
        server.runtime.submit(new_task("home"), CONTEXT)
    server.dispatcher.advance(RETRY_AFTER)

    assert server.store.task_ids() == []
    assert server.events()[-1] == "session.released"
    assert server.system.leftovers() == {}
    assert server.submit().status == "pending"


def test_a_place_is_given_back_also_if_the_store_cannot_be_read_for_long(server: Server) -> None:
    server.store.writer.fail_if(lambda _batches: True)
    server.store.actors_reader.fails = disk_error

    with pytest.raises(Unavailable):
        server.runtime.submit(new_task("home"), CONTEXT)
    server.dispatcher.advance(60.0)
    held = server.system.leftovers()
    server.store.actors_reader.fails = failing()
    server.store.writer.fail_next()
    server.dispatcher.advance(60.0)

    assert "SessionActor._lines.places" in held
    assert server.system.leftovers() == {}


def test_a_task_whose_events_cannot_be_recorded_for_a_while_ends_with_all_of_them(server: Server) -> None:
    task = server.submit()
    server.store.writer.fail_if(bool)

    server.run_of(task).yields(IterationStart(iteration=1, total_iters=50))
    server.dispatcher.advance(7.0)
    server.run_of(task).yields(IterationStart(iteration=2, total_iters=50))
    server.finish(task)
    server.dispatcher.advance(60.0)
    before = server.store.event_types(task.task_id)
    server.store.writer.fail_next()
    server.dispatcher.advance(2 * RESEND_AT_LEAST_EVERY)

    assert before == ["task_created", "task_started"]
    assert server.store.event_types(task.task_id)[2:] == ["iteration_start", "iteration_start", "task_completed"]
    assert server.store.task(task.task_id).total_iterations == 2
    assert server.system.leftovers() == {}


def test_reads_of_a_store_that_cannot_be_read_are_unavailable(server: Server, tmp_path: Path) -> None:
    engine = open_readers(tmp_path / "nothing here.sqlite3", connections=1)
    runtime = server.runtime_with(StoreReader(engine=engine))
    reads: list[Callable[[], object]] = [
        lambda: runtime.task(TaskId("a")),
        lambda: runtime.tasks(limit=1, offset=0, session_id=None, status=None),
        lambda: runtime.events(TaskId("a"), after=0, limit=1),
        lambda: runtime.session(SessionId("s")),
        lambda: runtime.sessions(limit=1, offset=0),
        lambda: server.cancel(TaskId("a"), runtime=runtime),
    ]

    for read in reads:
        with pytest.raises(Unavailable, match="store cannot be used"):
            read()
    engine.dispose()


def test_a_submit_to_a_server_that_stops_is_unavailable(server: Server) -> None:
    server.system.session_ref.stop(block=False)

    with pytest.raises(Unavailable, match="stopping"):
        server.runtime.submit(new_task("home"), CONTEXT)


def test_a_cancel_after_an_outage_does_not_wait_until_what_was_lost_is_sent_again(server: Server) -> None:
    task = server.submit()
    server.store.writer.fail_next(True)
    server.run_of(task).yields(IterationStart(iteration=1, total_iters=50))
    server.dispatcher.run()  # that was lost; the store works again

    server.run_of(task).finishes()
    server.dispatcher.run()

    assert server.store.event_types(task.task_id)[2:] == ["iteration_start", "task_completed"]
    assert server.system.leftovers().keys() <= {"timers"}


def test_a_store_that_cannot_be_read_is_seen_until_it_can(server: Server, tmp_path: Path) -> None:
    engine = open_readers(tmp_path / "gone.sqlite3", connections=1)
    with pytest.raises(Unavailable):
        server.runtime_with(StoreReader(engine=engine)).task(TaskId("a"))
    engine.dispose()
    server.dispatcher.run()
    failing = server.system.condition.failure

    server.dispatcher.advance(RETRY_AFTER)

    assert failing == "unable to open database file"
    assert server.system.condition.failure is None


# Sessions and reads.


def test_a_session_is_made_once(server: Server) -> None:
    made = server.runtime.make_session(None, {"team": "x"}, CONTEXT)
    assert isinstance(made, SessionMade)
    again = server.runtime.make_session(made.session.session_id, {"team": "y"}, CONTEXT)

    assert isinstance(again, SessionMade)
    assert (made.existed, again.existed) == (False, True)
    assert again.session == made.session
    assert again.session.metadata == {"team": "x"}


def test_a_session_that_cannot_be_made_is_unavailable(server: Server) -> None:
    server.store.writer.fail_next(True)

    with pytest.raises(Unavailable):
        server.runtime.make_session(None, {}, CONTEXT)


def test_reads_show_what_was_recorded(server: Server) -> None:
    task = server.submit()

    assert server.runtime.task(task.task_id) == server.store.task(task.task_id)
    assert server.runtime.tasks(limit=5, offset=0, session_id=None, status="running").total == 1
    assert server.runtime.sessions(limit=5, offset=0).total == 1
    detail = server.runtime.session(task.session_id)
    assert detail is not None
    assert [one.task_id for one in detail.tasks] == [task.task_id]
    events = server.runtime.events(task.task_id, after=0, limit=100)
    assert events is not None
    assert len(events) == 2


def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_configured(server: Server) -> None:
    server.dispatcher.keep_busy(server.system.session_ref)

    with pytest.raises(Unavailable, match="too busy"):
        server.runtime.submit(new_task("home"), CONTEXT)

    assert server.system.clock.monotonic() == ASK_TIMEOUT


def test_a_page_of_events_ends_early_when_it_is_large(server: Server) -> None:
    task = server.submit()
    large = TaskAnalysis(action_name="a", goal="x" * 1_000_000)
    for _ in range(LARGEST_PAGE // 1_000_000 + 4):
        server.run_of(task).yields(large)
        server.dispatcher.run()

    first = server.runtime.events(task.task_id, after=0, limit=1000)
    assert first is not None
    rest = server.runtime.events(task.task_id, after=first[-1].event_id, limit=1000)

    assert rest is not None
    assert sum(len(event.body) for event in first[:-1]) < LARGEST_PAGE
    assert len(first) + len(rest) == len(server.store.events(task.task_id))
    server.finish(task)
