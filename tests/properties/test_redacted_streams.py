"""A text that comes in pieces is redacted as it would be in one: whatever it is, and wherever it is split."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from alex_actors.redact import Redactor
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
def test_a_text_that_comes_character_by_character_is_redacted_too(text: str) -> None:
    stream = RedactedStream(REDACTOR)

    told = "".join(map(stream.add, text)) + stream.rest()

    assert told == REDACTOR.text(text)
