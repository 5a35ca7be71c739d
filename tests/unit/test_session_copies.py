"""The TaskStoreActor: sessions that are made from others, by a fork or an import, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pykka
import pytest
from sqlalchemy import text

from alex_actors.copies import BroughtSession
from alex_actors.events import TaskStarted
from alex_actors.replies import SessionDetail, SessionExists, TaskExists, UnknownSession, WorkspaceTooLarge
from alex_actors.simulation.mailboxes import SimulatedFuture
from alex_actors.simulation.store import disk_error, row_error
from alex_actors.store.check import check
from alex_actors.task_store_protocol import ForkSession, ImportSession, StoreFailure
from alex_actors.trees import TreeTooLarge
from alex_actors.values import LOCAL_OWNER, Owner, SessionId, TaskId
from alex_http.imports import read_document
from tests.unit.exported_documents import NOW, document
from tests.unit.protocol_system import CONTEXT, ask_result
from tests.unit.recorded_data import run_sql
from tests.unit.store_under_test import COMPLETED, HOME, StoreUnderTest

ADA = Owner("ada")
NEW = SessionId("new")


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """A store with one session: a task that has ended, and one that runs."""
    under = StoreUnderTest(tmp_path / "alex.sqlite3", restarted=True)
    under.create("done", text="What is 2 + 2?")
    under.record("done", 1, TaskStarted(), COMPLETED)
    under.create("running", text="Count")
    under.record("running", 1, TaskStarted())
    under.run()
    under.broadcaster.take()
    yield under
    under.close()


def post_fork(
    under: StoreUnderTest, source: str = HOME, new_id: str = NEW, *, metadata: dict[str, str] | None = None
) -> SimulatedFuture:
    """Ask for a fork; its workspace is not copied yet."""
    context = CONTEXT.about(TaskId(""), SessionId(source))
    message = ForkSession(context=context, new_id=SessionId(new_id), metadata=metadata)
    future = under.dispatcher.post(under.ref, message)
    under.run()
    return future


def copied(under: StoreUnderTest, error: Exception | None = None) -> None:
    """Have the workspace copied, or say why it is not."""
    _, _, done = under.workspaces.copies.pop(0)
    done(error)
    under.run()


def forked(under: StoreUnderTest, source: str = HOME, new_id: str = NEW) -> object:
    """Have a session forked; return the answer."""
    future = post_fork(under, source, new_id)
    copied(under)
    return ask_result(future)


def session(under: StoreUnderTest, session_id: str, owner: Owner = LOCAL_OWNER) -> SessionDetail:
    found = under.store.reader.session(SessionId(session_id), owner=owner)
    assert found is not None
    return found


def said(under: StoreUnderTest, session_id: str) -> list[str]:
    return [f"{one.role}: {one.content}" for one in session(under, session_id).messages]


def rows(under: StoreUnderTest, table: str) -> int:
    with under.store._readers.connect() as connection:
        count: int = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
        return count


def brought(session_id: str = "home", task_id: str = "task-a") -> BroughtSession:
    text = json.dumps(document()).replace('"home"', f'"{session_id}"').replace('"task-a"', f'"{task_id}"')
    return read_document(text.encode(), NOW)


def post_import(
    under: StoreUnderTest,
    what: BroughtSession,
    *,
    owner: Owner = ADA,
    first_place: int = 100,
    incarnation: int = 0,
) -> SimulatedFuture:
    context = CONTEXT.about(TaskId(""), what.session.session_id)
    context = type(context)(context.trace_id, "", context.session_id, context.sender, owner)
    message = ImportSession(context=context, brought=what, first_place=first_place, incarnation=incarnation)
    future = under.dispatcher.post(under.ref, message)
    under.run()
    return future


def is_sound(under: StoreUnderTest) -> bool:
    return check(under.path, under.path.parent / "workspaces").findings == ()


# Forks.


def test_a_fork_has_the_conversation_so_far_and_no_task(under: StoreUnderTest) -> None:
    assert forked(under) == NEW

    found = session(under, NEW)
    assert said(under, NEW) == ["user: What is 2 + 2?", "assistant: 4", "user: Count"]
    assert (found.tasks, found.session.task_count, found.session.forked_from) == ((), 0, HOME)
    assert is_sound(under)


def test_a_fork_has_nothing_of_what_sub_agents_said(under: StoreUnderTest) -> None:
    under.create("child", text="Add 2 and 2")
    under.record("child", 1, TaskStarted(), COMPLETED)
    under.run()
    run_sql(under.path, "UPDATE tasks SET parent_task_id = 'running' WHERE task_id = 'child'")

    forked(under)

    assert not any("Add 2 and 2" in one for one in said(under, NEW))
    assert len(said(under, NEW)) == 3


def test_a_fork_of_a_fork_has_what_both_have(under: StoreUnderTest) -> None:
    forked(under)
    under.create("more", session_id=NEW, text="And 3 + 3?")
    under.run()

    forked(under, NEW, "newest")

    assert said(under, "newest") == ["user: What is 2 + 2?", "assistant: 4", "user: Count", "user: And 3 + 3?"]
    assert session(under, "newest").session.forked_from == NEW
    assert is_sound(under)


def test_what_was_said_while_the_workspace_was_copied_is_in_it(under: StoreUnderTest) -> None:
    future = post_fork(under)
    under.create("late", text="One more")

    copied(under)

    assert ask_result(future) == NEW
    assert said(under, NEW)[-1] == "user: One more"


def test_its_metadata_is_that_of_its_source_unless_others_are_given(under: StoreUnderTest) -> None:
    under.make_session("named", {"a": "b"})
    under.run()

    forked(under, "named", "same")
    post_fork(under, "named", "others", metadata={"c": "d"})
    copied(under)

    assert session(under, "same").session.metadata == {"a": "b"}
    assert session(under, "others").session.metadata == {"c": "d"}


def test_a_workspace_is_copied_under_a_key_that_nobody_is_given_after_a_crash(under: StoreUnderTest) -> None:
    future = post_fork(under)
    ((source_key, fork_key, done),) = under.workspaces.copies

    under.make_session("other")
    under.crash()
    under.make_session("another")
    under.run()
    done(None)
    under.run()

    assert source_key == 1
    assert under.store.reader.session_keys() == {1, fork_key + 1, fork_key + 2}
    assert under.workspaces.keys == [fork_key]  # and the copy is removed
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=0)


def test_a_session_that_is_not_there_is_not_forked(under: StoreUnderTest) -> None:
    assert ask_result(post_fork(under, "nowhere")) == UnknownSession()
    assert under.workspaces.copies == []


def test_a_fork_takes_no_id_that_exists(under: StoreUnderTest) -> None:
    under.make_session(NEW)

    assert ask_result(post_fork(under)) == SessionExists(NEW)
    assert under.workspaces.copies == []


def test_of_two_forks_under_one_id_there_is_one(under: StoreUnderTest) -> None:
    first, second = post_fork(under), post_fork(under)
    second_key = under.workspaces.copies[1][1]

    copied(under)
    copied(under)

    assert (ask_result(first), ask_result(second)) == (NEW, SessionExists(NEW))
    assert under.workspaces.keys == [second_key]
    assert rows(under, "messages") == 3


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_session_that_is_deleted_meanwhile_has_no_fork(under: StoreUnderTest, *, made_anew: bool) -> None:
    future = post_fork(under)
    key = under.workspaces.copies[0][1]
    under.erase()
    if made_anew:
        under.make_session(HOME)

    copied(under)

    assert ask_result(future) == UnknownSession()
    assert under.workspaces.keys == [1, key]
    assert rows(under, "messages") == 0


@pytest.mark.parametrize(
    ("error", "answer"), [(TreeTooLarge(), WorkspaceTooLarge()), (OSError(28, "No space left on device"), None)]
)
def test_without_its_workspace_there_is_no_fork(under: StoreUnderTest, error: Exception, answer: object) -> None:
    future = post_fork(under)

    copied(under, error)

    if answer is None:
        with pytest.raises(StoreFailure, match="No space left on device"):
            future.get(timeout=0)
    else:
        assert ask_result(future) == answer
    assert under.store.reader.session(NEW) is None


def test_a_fork_that_cannot_be_recorded_leaves_nothing(under: StoreUnderTest) -> None:
    future = post_fork(under)
    key = under.workspaces.copies[0][1]
    under.store.writer.fail_next(True, error=row_error)

    copied(under)

    with pytest.raises(StoreFailure):
        future.get(timeout=0)
    assert under.workspaces.keys == [key]
    assert rows(under, "messages") == 0


def test_a_fork_that_cannot_begin_says_that_the_store_fails(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True, error=disk_error)

    future = post_fork(under)

    with pytest.raises(StoreFailure):
        future.get(timeout=0)
    assert under.condition.failure == "disk I/O error"


def test_a_deleted_fork_leaves_no_message(under: StoreUnderTest) -> None:
    forked(under)

    under.erase(NEW)
    under.run()

    assert rows(under, "messages") == 0


# Imports.


def test_an_import_records_the_session_with_all_that_it_brings(under: StoreUnderTest) -> None:
    assert ask_result(post_import(under, brought())) == "home"

    found = session(under, "home", ADA)
    assert [(one.task_id, one.status, one.place) for one in found.tasks] == [
        ("task-a", "completed", 100), ("task-b", "failed", 101),
    ]  # fmt: skip
    assert found.tasks[0].result is not None
    assert [one.content for one in found.messages] == ["Hi", "Hello"]
    assert is_sound(under)


def test_its_events_come_after_all_that_there_are_and_nobody_is_told(under: StoreUnderTest) -> None:
    last = under.store.event_ids()[-1]

    post_import(under, brought())

    assert under.store.event_ids()[-10:] == list(range(last + 1, last + 11))
    assert under.published() == []


def test_after_a_crash_nobody_is_told_of_it_either(under: StoreUnderTest) -> None:
    post_import(under, brought())

    under.make_session("after")
    under.crash()

    assert under.published() == []


def test_a_session_that_exists_is_not_touched(under: StoreUnderTest) -> None:
    before = session(under, HOME)

    assert ask_result(post_import(under, brought(), owner=LOCAL_OWNER)) == SessionExists(SessionId("home"))
    assert session(under, HOME) == before


def test_another_owner_may_have_the_same_session_and_the_same_tasks(under: StoreUnderTest) -> None:
    post_import(under, brought(), owner=ADA)
    post_import(under, brought(), owner=Owner("eve"), first_place=200)

    assert is_sound(under)
    assert rows(under, "sessions") == 3


def test_a_task_that_exists_elsewhere_keeps_all_of_it_out(under: StoreUnderTest) -> None:
    answer = ask_result(post_import(under, brought("else", "running"), owner=LOCAL_OWNER))

    assert answer == TaskExists(TaskId("running"))
    assert under.store.reader.session(SessionId("else")) is None
    assert rows(under, "messages") == 0


def test_places_of_a_session_actor_that_is_gone_are_void(under: StoreUnderTest) -> None:
    under.take_stock(5)

    future = post_import(under, brought(), incarnation=4)

    with pytest.raises(StoreFailure, match="void"):
        future.get(timeout=0)
    assert rows(under, "sessions") == 1


def test_an_import_that_cannot_be_recorded_leaves_nothing(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True, error=row_error)

    future = post_import(under, brought())

    with pytest.raises(StoreFailure):
        future.get(timeout=0)
    assert (rows(under, "sessions"), rows(under, "tasks"), rows(under, "messages")) == (1, 2, 0)


def test_an_imported_session_is_deleted_as_any_other(under: StoreUnderTest) -> None:
    post_import(under, brought("else"), owner=LOCAL_OWNER)

    under.erase("else")
    under.run()

    assert (rows(under, "sessions"), rows(under, "tasks"), rows(under, "messages")) == (1, 2, 0)
    assert is_sound(under)
