"""The SessionActor: idempotency keys, each of them one submit's at a time."""

from __future__ import annotations

import msgspec
import pytest

from alex_actors.messages import tell
from alex_actors.session_protocol import Claimed, ClaimKey, ClaimLost, Confirm, Confirmed, ReleaseKey, Settle
from alex_actors.simulation.mailboxes import SimulatedFuture
from alex_actors.values import Context, Owner, TaskId
from tests.unit.protocol_system import CONTEXT, ask_result
from tests.unit.session_lines import HOME, Lines, Restarted, task


class Keys(Lines):
    """Lines whose clients have idempotency keys."""

    def claim(self, task_id: str, key: str = "k", *, owner: str = "local") -> SimulatedFuture:
        context = CONTEXT.sent_by("client").about(TaskId(task_id), HOME)
        message = ClaimKey(context=owned(context, owner), task_id=TaskId(task_id), key=key)
        future = self.dispatcher.post(self.ref, message)
        self.dispatcher.run()
        return future

    def release(self, task_id: str) -> None:
        tell(self.ref, ReleaseKey(context=CONTEXT, task_id=TaskId(task_id)))
        self.dispatcher.run()

    def confirm_claimed(self, task_id: str) -> object:
        confirm = Confirm(
            context=CONTEXT, task_id=TaskId(task_id), session_id=HOME, strategy="enqueue", claimed=True
        )
        future = self.dispatcher.post(self.ref, confirm)
        self.dispatcher.run()
        return ask_result(future)


def owned(context: Context, owner: str) -> Context:
    return msgspec.structs.replace(context, owner=Owner(owner))


@pytest.fixture
def keys() -> Keys:
    return Keys()


def test_a_key_that_nobody_has_is_claimed_at_once(keys: Keys) -> None:
    assert ask_result(keys.claim("a")) == Claimed()


def test_a_repeat_waits_until_the_first_has_released_it(keys: Keys) -> None:
    keys.claim("a")
    repeats = [keys.claim("b"), keys.claim("c")]
    before = [repeat.done for repeat in repeats]

    keys.release("a")
    after = [repeat.done for repeat in repeats]
    keys.release("b")

    assert before == [False, False]
    assert after == [True, False]
    assert repeats[1].done


@pytest.mark.parametrize(("key", "owner"), [("other", "local"), ("k", "ada")])
def test_another_key_and_another_owners_are_no_repeats(keys: Keys, key: str, owner: str) -> None:
    keys.claim("a")

    assert ask_result(keys.claim("b", key, owner=owner)) == Claimed()


def test_a_repeat_that_gives_up_is_passed_over(keys: Keys) -> None:
    keys.claim("a")
    keys.claim("b")
    last = keys.claim("c")

    keys.settle("b")
    keys.release("a")

    assert ask_result(last) == Claimed()


def test_a_submit_that_gave_up_keeps_its_key_until_it_is_known_what_became_of_it(keys: Keys) -> None:
    keys.claim("a")
    keys.confirm_claimed("a")
    repeat = keys.claim("b")

    keys.settle("a")
    before = repeat.done
    keys.settled("a", None)

    assert not before
    assert ask_result(repeat) == Claimed()


def test_a_submit_that_gave_up_before_it_was_confirmed_has_no_key(keys: Keys) -> None:
    keys.claim("a")
    repeat = keys.claim("b")

    tell(keys.ref, Settle(context=CONTEXT, task_id=TaskId("a")))
    keys.dispatcher.run()

    assert ask_result(repeat) == Claimed()


def test_nothing_is_left_of_keys_that_were_released(keys: Keys) -> None:
    keys.claim("a")
    keys.claim("b")

    for task_id in ("a", "b", "a", "never"):
        keys.release(task_id)

    assert len(keys.actor._claims) == 0


def test_what_has_claimed_its_key_is_confirmed(keys: Keys) -> None:
    keys.claim("a")

    assert isinstance(keys.confirm_claimed("a"), Confirmed)


def test_what_has_not_is_refused_as_its_claim_was_forgotten_in_a_crash(keys: Keys) -> None:
    keys.claim("other")
    keys.claim("waits")

    assert keys.confirm_claimed("a") == ClaimLost()
    assert keys.confirm_claimed("waits") == ClaimLost()
    assert keys.actor._lines.unfinished == 0


def test_a_claim_waits_for_the_stock() -> None:
    lines = Restarted()
    claim = lines.dispatcher.post(lines.ref, ClaimKey(context=CONTEXT, task_id=TaskId("b"), key="k"))
    lines.dispatcher.run()
    before = claim.done

    lines.stock(task("a", 1))

    assert not before
    assert ask_result(claim) == Claimed()
