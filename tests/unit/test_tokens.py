"""Tokens: the file that the command line writes, and what a server that runs sees of it."""

from __future__ import annotations

import itertools
import json
import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alex_actors.values import Owner
from alex_http.tokens import LOOK, Scope, TokenFile, Tokens, TokensError, read_tokens


class File:
    """A file of tokens, and a server that looks at it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "tokens.json"
        self.seconds = 100.0
        numbers = itertools.count(1)
        self.edits = TokenFile(
            self.path,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            random_hex=lambda size: f"{next(numbers):0{2 * size}x}",
        )

    def server(self, *, always: bool = False) -> Tokens:
        return Tokens(self.path, always=always, now=lambda: self.seconds)

    def make(self, name: str = "ann", scope: Scope = "write") -> str:
        return self.edits.create(name=name, owner=Owner(name), scope=scope)[1]


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def test_a_token_is_found_by_its_text_and_says_whose_it_is(file: File) -> None:
    text = file.make("ann", "read")

    token = file.server().look().verified(text)

    assert token is not None
    assert (token.name, token.owner, token.scope, token.revoked_at) == ("ann", "ann", "read", None)
    assert token.created_at == "2026-01-01T00:00:00.000000Z"


def test_what_is_kept_of_a_token_lets_nobody_in(file: File) -> None:
    text = file.make()
    secret = text.rpartition("_")[2]

    kept = file.path.read_text()

    assert len(secret) == 64
    assert secret not in kept
    sha256 = json.loads(kept)["tokens"][0]["sha256"]
    assert file.server().look().verified(text.replace(secret, sha256)) is None


def test_a_text_that_is_not_quite_a_token_is_none(file: File) -> None:
    text = file.make()
    file.make("bob")
    found = file.server().look()
    other_id = text.replace("alex_000000000001", "alex_000000000003")

    wrong = [
        "",
        text[:-1],
        text + "0",
        text + "\n",
        text.upper(),
        " " + text,
        text[:-1] + ("0" if text[-1] != "0" else "1"),
        other_id,
        text.replace("alex_000000000001", "alex_00000000000f"),
        text.removeprefix("alex_"),
        "alex__" + "0" * 64,
        "ann",
        "\u0661" * 64,
    ]

    assert other_id != text
    assert [one for one in wrong if found.verified(one) is not None] == []


def test_the_file_and_its_lock_are_for_their_user_alone(file: File) -> None:
    umask = os.umask(0)
    try:
        file.make()
    finally:
        os.umask(umask)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.path.parent.iterdir()}

    assert modes == {"tokens.json": 0o600, "tokens.lock": 0o600}


def test_a_file_that_was_half_written_by_one_who_was_killed_is_in_nobodys_way(file: File) -> None:
    file.path.with_suffix(".new").write_text("{")

    text = file.make()

    assert file.server().look().verified(text) is not None
    assert not file.path.with_suffix(".new").exists()


def test_a_name_is_there_once_among_those_that_are_good(file: File) -> None:
    file.make("ann")

    with pytest.raises(TokensError, match="already"):
        file.make("ann")
    file.edits.revoke("ann")
    file.make("ann")

    assert [token.revoked_at is None for token in read_tokens(file.path)] == [False, True]


def test_a_revoked_token_is_known_as_revoked_and_keeps_its_time(file: File) -> None:
    text = file.make()

    first = file.edits.revoke("ann")
    again = file.edits.revoke(first.id)

    token = file.server().look().verified(text)
    assert token == first == again
    assert token is not None
    assert token.revoked_at is not None


def test_what_is_not_there_cannot_be_revoked(file: File) -> None:
    file.make()

    with pytest.raises(TokensError, match="no token bob"):
        file.edits.revoke("bob")


def test_changes_at_the_same_time_all_happen(file: File) -> None:
    names = [f"n{number}" for number in range(24)]
    threads = [threading.Thread(target=file.make, args=(name,)) for name in names]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(token.name for token in read_tokens(file.path)) == sorted(names)


# What a server sees.


def test_without_a_file_nobody_needs_a_token(file: File) -> None:
    server = file.server()

    assert not server.needed(server.look())
    assert server.look().trouble == ""


def test_where_others_reach_the_server_they_always_need_one(file: File) -> None:
    server = file.server(always=True)

    assert server.needed(server.look())


def test_a_server_that_runs_sees_at_once_what_the_command_line_does(file: File) -> None:
    server = file.server()
    text = file.make()
    made = server.look()
    file.edits.revoke("ann")
    revoked = server.look()

    assert server.needed(made)
    assert made.verified(text) != revoked.verified(text)
    assert server.needed(revoked)


def test_a_file_that_has_not_changed_is_not_read_again(file: File) -> None:
    file.make()
    server = file.server()

    assert server.look() is server.look()


DAMAGED = {
    "empty": b"",
    "cut": b'{"version": 1, "tokens": [',
    "no JSON": b"\xff\xfe",
    "an array": b"[]",
    "another version": b'{"version": 2, "tokens": []}',
    "another field": b'{"version": 1, "tokens": [], "more": 1}',
    "deep": b"[" * 100_000,
    "no token": b'{"version": 1, "tokens": [{"id": "0"}]}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_damaged_lets_nobody_in_until_it_is_mended(file: File, content: bytes) -> None:
    text = file.make()
    server = file.server()
    good = file.path.read_bytes()
    server.look()

    file.path.write_bytes(content)
    damaged = server.look()
    again = server.look()
    file.path.write_bytes(good)

    assert "damaged" in damaged.trouble
    assert again is damaged
    assert server.look().verified(text) is not None
    assert server.look().trouble == ""


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_the_command_line_says_that_a_file_is_damaged_and_leaves_it_as_it_is(file: File, content: bytes) -> None:
    file.path.write_bytes(content)

    with pytest.raises(TokensError, match=r"tokens.json is damaged.*make new tokens"):
        file.make()

    assert file.path.read_bytes() == content


def test_two_tokens_with_one_id_are_damage(file: File) -> None:
    file.make()
    content = json.loads(file.path.read_text())
    file.path.write_text(json.dumps(content | {"tokens": content["tokens"] * 2}))

    assert "same ID" in file.server().look().trouble


def test_a_file_that_goes_opens_no_door(file: File) -> None:
    file.make()
    server = file.server()
    server.look()

    file.path.unlink()
    gone = server.look()

    assert gone.trouble == "is gone"
    assert server.look().trouble == "is gone"
    assert server.needed(gone)


def test_a_file_that_has_no_tokens_any_more_opens_no_door(file: File) -> None:
    text = file.make()
    server = file.server()
    server.look()
    good = file.path.read_bytes()

    file.path.write_bytes(b'{"version": 1, "tokens": []}')
    emptied = server.look()
    again = server.look()
    file.path.write_bytes(good)

    assert emptied.trouble == "has no tokens any more"
    assert again is emptied
    assert server.needed(emptied)
    assert server.look().verified(text) is not None
    assert server.look().trouble == ""


def test_a_file_that_never_had_tokens_asks_for_none(file: File) -> None:
    file.path.write_bytes(b'{"version": 1, "tokens": []}')
    server = file.server()

    found = server.look()

    assert found.trouble == ""
    assert not server.needed(found)


@pytest.mark.parametrize("there_were_tokens", [True, False])
def test_a_pipe_in_its_place_is_not_waited_for_and_lets_nobody_in(file: File, there_were_tokens: bool) -> None:
    server = file.server()
    if there_were_tokens:
        file.make()
        server.look()
        file.path.unlink()
    os.mkfifo(file.path)

    found = server.look()

    assert found.trouble == "cannot be read (it is no regular file)"
    with pytest.raises(TokensError, match="no regular file"):
        read_tokens(file.path)


def test_a_file_that_cannot_be_opened_is_tried_again_for_each_request(file: File) -> None:
    text = file.make()
    server = file.server()
    server.look()
    good = file.path.rename(file.path.with_suffix(".good"))

    file.path.mkdir()
    unreadable = server.look()
    file.path.rmdir()
    good.rename(file.path)

    assert "cannot be read" in unreadable.trouble
    assert server.look().verified(text) is not None


# Those who came in before.


def test_who_came_in_may_stay_until_a_second_after_the_token_is_revoked(file: File) -> None:
    file.make()
    server = file.server()
    (token,) = server.look().tokens.values()
    file.edits.revoke("ann")

    at_once = server.is_valid(token.id)
    file.seconds += LOOK
    later = server.is_valid(token.id)

    assert (at_once, later) == (True, False)


def test_who_came_in_without_a_token_may_stay_until_there_is_one(file: File) -> None:
    server = file.server()

    before = server.is_valid("")
    file.make()
    file.seconds += LOOK

    assert (before, server.is_valid("")) == (True, False)


def test_who_came_in_may_stay_while_the_file_cannot_be_read(file: File) -> None:
    file.make()
    server = file.server()
    (token,) = server.look().tokens.values()

    file.path.write_bytes(b"")
    file.seconds += LOOK

    assert server.is_valid(token.id)
    assert server.look().trouble
