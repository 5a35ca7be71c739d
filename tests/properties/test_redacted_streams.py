"""A text that comes in pieces is redacted as it would be in one: whatever it is, and wherever it is split."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from alex_actors.redact import NO_SECRETS, Redactor
from alex_actors.redact_streams import RedactedStream

SECRETS = ("correct horse battery", "abcabcabd", "abcabc", "x1", "\nkey\n", "aXa", " , ")
REDACTOR = Redactor(SECRETS)

FRAGMENTS = (
    *SECRETS, "correct horse", " battery", "abc", "abd", "x", "1", "a", " ", "  ", "\n", "\t", ",", "(", '"',
    "\u3002", "\u6c49", "\U0001f600", "\ud83d", "sk-proj-0123456789abcdef", "sk-", "task-", "0123456789", "xoxb-",
    "abcdefghijklmnop", "ghp_", "github_pat_", "hf_", "AKIA", "ABCDEFGHIJKLMNOP", "AIza", "eyJhbGciOiJI",
    ".eyJzdWIiOiIx", "Bearer", "basic", "Authorization: ", "https://", "://", "user:", "password", "@", "@host/",
    ":", "/", "-", "_", "=", ".", "-----BEGIN ", "RSA ", "PRIVATE KEY", " BLOCK", "-----", "-----END ",
    "-----BEGIN PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "MIIEvQ", "[redacted]",
)  # fmt: skip

texts = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


@st.composite
def split_texts(draw: st.DrawFn) -> list[str]:
    text = draw(texts)
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=12))
    return [text[begin:end] for begin, end in pairwise(sorted({0, *cuts, len(text)}))]


@settings(max_examples=400)
@given(pieces=split_texts())
def test_joined_the_pieces_are_what_the_whole_text_is(pieces: list[str]) -> None:
    stream = RedactedStream(REDACTOR)

    told = [stream.add(piece) for piece in pieces] + [stream.rest()]

    assert "".join(told) == REDACTOR.text("".join(pieces))


@settings(max_examples=200)
@given(text=texts)
@example(text="https://us,er:password@host")
@example(text="https://us,er:x-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----y@host")
def test_a_text_that_comes_character_by_character_is_redacted_too(text: str) -> None:
    stream = RedactedStream(REDACTOR)

    told = "".join(map(stream.add, text)) + stream.rest()

    assert told == REDACTOR.text(text)


PROSE = "and so on, as before, "


@settings(max_examples=200)
@given(text=texts)
def test_what_cannot_be_the_beginning_of_a_secret_is_told_soon(text: str) -> None:
    assume("PRIVATE KEY" not in text)  # one that has begun lasts until its end
    stream = RedactedStream(REDACTOR)
    stream.add(text)

    for _ in range(200):
        stream.add(PROSE)

    assert len(stream.rest()) <= len(PROSE)


@pytest.mark.parametrize(
    ("repeated", "is_told"),
    [
        ("bearer ", True),
        ("bearer a bearer b ", True),
        ("bearer abcdefgh1:", False),
        ("\u4f60\u597d\uff0c", True),
        ("https://alice:wonder@x,", True),
        ("://a,", True),
        ("QUJD/+", False),
        ("-----BEGIN PRIVATE KEY-----MIIEvQ-----END PRIVATE KEY-----", False),
        ("-----BEGIN ", True),
    ],
)
def test_a_long_text_in_many_pieces_takes_no_longer_than_in_few(repeated: str, is_told: bool) -> None:
    text = (repeated * 300_000)[:300_000]
    stream = RedactedStream(NO_SECRETS)
    began = time.process_time()

    told = sum(len(stream.add(text[begin : begin + 100])) for begin in range(0, len(text), 100))

    # 0.1 s or less where this was written; what looks at all of it with each piece took 5 to 500 s.
    assert time.process_time() - began < 2.0
    assert (told > 290_000) == is_told
