"""The runtime over the real actors and a real file: submits that are repeated with their idempotency key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from alex_actors.replies import KeyReused, Repeated, SessionBusy, SubmitReply, Submitted, Unavailable
from alex_actors.tasks import KEYS_ARE_KEPT, IdempotencyKey, Strategy
from alex_actors.values import Context, Owner
from tests.unit.protocol_server import Server
from tests.unit.protocol_system import CONTEXT, new_task

KEY = IdempotencyKey("k", "the body")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "alex.sqlite3")
    yield server
    server.close()


def submit(
    server: Server,
    session_id: str | None = "home",
    *,
    key: IdempotencyKey = KEY,
    strategy: Strategy = "enqueue",
    owner: str = "local",
) -> Callable[[], SubmitReply]:
    """Return what submits a task with a key."""
    context = Context(CONTEXT.trace_id, sender="client", owner=Owner(owner))
    return lambda: server.runtime.submit(new_task(session_id, strategy=strategy), context, key=key)


def nothing_is_claimed(server: Server) -> bool:
    server.dispatcher.run()
    return "SessionActor._claims" not in str(server.system.leftovers())


def test_a_repeat_is_answered_with_the_first_task(server: Server) -> None:
    first = submit(server, None)()
    server.dispatcher.run()

    again = submit(server, None)()

    assert isinstance(first, Submitted)
    assert isinstance(again, Repeated)
    assert again.task.task_id == first.task.task_id
    assert server.store.task_ids() == [first.task.task_id]
    assert server.executor_runs() == 1
    assert nothing_is_claimed(server)


def test_a_repeat_is_answered_with_the_task_as_it_is_by_then(server: Server) -> None:
    first = submit(server)()
    assert isinstance(first, Submitted)
    server.dispatcher.run()
    server.finish(first.task)

    again = submit(server)()

    assert isinstance(again, Repeated)
    assert again.task.status == "completed"


def test_another_body_is_refused_and_does_nothing(server: Server) -> None:
    submit(server)()

    again = submit(server, "other", key=IdempotencyKey("k", "another body"))()

    assert again == KeyReused("k")
    assert len(server.store.task_ids()) == 1


def test_no_strategy_acts_twice(server: Server) -> None:
    first = server.submit()
    interrupting = submit(server, strategy="interrupt")()
    server.dispatcher.run()
    third = server.submit()
    server.run_of(first).stops()
    server.dispatcher.run()

    again = submit(server, strategy="interrupt")()
    server.dispatcher.run()

    assert isinstance(interrupting, Submitted)
    assert isinstance(again, Repeated)
    assert server.store.task(first.task_id).status == "cancelled"
    assert server.store.task(interrupting.task.task_id).status == "running"
    assert server.store.task(third.task_id).status == "pending"


def test_a_submit_that_is_refused_claims_nothing(server: Server) -> None:
    first = server.submit()

    refused = submit(server, strategy="reject")()
    server.finish(first)
    taken = submit(server, strategy="reject")()

    assert isinstance(refused, SessionBusy)
    assert isinstance(taken, Submitted)
    assert nothing_is_claimed(server)


def test_repeats_in_flight_wait_for_the_first(server: Server) -> None:
    workers = [server.worker(submit(server)) for _ in range(3)]

    replies = [worker.complete() for worker in workers]

    assert [type(reply) for reply in replies] == [Submitted, Repeated, Repeated]
    assert len(server.store.task_ids()) == 1
    assert nothing_is_claimed(server)


def test_a_repeat_of_a_submit_whose_worker_gave_up_finds_what_became_of_it(server: Server) -> None:
    first = server.worker(submit(server))
    server.dispatcher.run()
    first.go()  # it has its key, and asks to be confirmed
    server.dispatcher.run()
    first.go()  # it is confirmed, and asks to have its task recorded
    first.go()  # it gives up
    again = server.worker(submit(server))

    reply = again.complete()

    assert isinstance(first.result, Unavailable)
    assert isinstance(reply, Submitted | Repeated)
    assert len(server.store.task_ids()) == 1
    assert nothing_is_claimed(server)


def test_a_repeat_that_gives_up_leaves_nothing(server: Server) -> None:
    first = server.worker(submit(server))
    again = server.worker(submit(server))
    server.dispatcher.run()

    again.go()
    first.complete()

    assert isinstance(again.result, Unavailable)
    assert isinstance(first.result, Submitted)
    assert nothing_is_claimed(server)


def test_a_key_survives_a_restart(server: Server, tmp_path: Path) -> None:
    first = submit(server)()
    server.close()
    restarted = Server(tmp_path / "alex.sqlite3")

    again = submit(restarted)()

    assert isinstance(first, Submitted)
    assert isinstance(again, Repeated)
    assert again.task.task_id == first.task.task_id
    restarted.close()


def test_a_key_is_free_again_after_a_day_and_its_row_is_gone(server: Server) -> None:
    submit(server)()
    submit(server, key=IdempotencyKey("never used again", "body"))()
    server.dispatcher.run()
    server.dispatcher.clock.advance_to(KEYS_ARE_KEPT.total_seconds() - 1)
    within = submit(server)()
    server.dispatcher.clock.advance_to((KEYS_ARE_KEPT + timedelta(seconds=1)).total_seconds())

    after = submit(server)()
    submit(server, key=IdempotencyKey("other", "body"))()

    assert isinstance(within, Repeated)
    assert isinstance(after, Submitted)
    with server.store.writer._engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM idempotency_keys").scalar_one()
    assert rows == 2


def test_keys_of_a_session_that_is_deleted_are_free_again(server: Server) -> None:
    first = submit(server)()
    assert isinstance(first, Submitted)
    server.dispatcher.run()
    server.finish(first.task)
    server.delete()

    assert isinstance(submit(server)(), Submitted)


def test_two_owners_may_use_the_same_key_and_the_same_session(server: Server) -> None:
    one = submit(server, owner="ada")()
    other = submit(server, owner="bob", strategy="reject")()

    assert isinstance(one, Submitted)
    assert isinstance(other, Submitted)
    assert one.task.task_id != other.task.task_id
    assert server.runtime.task(one.task.task_id, owner=Owner("bob")) is None
    assert server.runtime.task(one.task.task_id, owner=Owner("ada")) is not None
    sessions = [server.runtime.session(one.task.session_id, owner=Owner(owner)) for owner in ("ada", "bob")]
    assert [[task.task_id for task in detail.tasks] for detail in sessions if detail is not None] == [
        [one.task.task_id],
        [other.task.task_id],
    ]
