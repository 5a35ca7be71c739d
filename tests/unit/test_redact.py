"""What is taken out of values before they are recorded, and what is left alone."""

from __future__ import annotations

from time import process_time
from typing import Any

import msgspec
import pytest

from alex_actors.redact import REDACTED, Redactor, redact

KEY = "abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apikey", "apiKey", "X-Api-Key", "OPENAI_API_KEY", "token", "access_token", "accessToken",
        "refresh_tokens", "secret", "client_secret", "AWS_SECRET_ACCESS_KEY", "password", "dbPassword", "passwd",
        "Authorization", "Set-Cookie", "private_key", "access_key", "credentials",
    ],
)  # fmt: skip
def test_a_value_under_a_key_that_names_a_secret_is_redacted(name: str) -> None:
    assert redact({name: "x"}) == {name: REDACTED}


@pytest.mark.parametrize(
    "name",
    [
        "tokens", "tokens_used", "total_tokens", "max_tokens", "max_token", "token_count", "tokenizer", "key",
        "session_key", "keyboard", "author", "secretary", "path", "next_token",
    ],
)  # fmt: skip
def test_a_value_under_another_key_is_kept(name: str) -> None:
    assert redact({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"curl -H 'Authorization: Bearer {KEY}' x", f"curl -H 'Authorization: Bearer {REDACTED}' x"),
        (f"key sk-proj-{KEY}.", f"key {REDACTED}."),
        ("id AKIAIOSFODNN7EXAMPLE here", f"id {REDACTED} here"),
        (f"ghp_{KEY}", REDACTED),
        (f"github_pat_{KEY}", REDACTED),
        ("xoxb-1234567890-abcdef", REDACTED),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv", REDACTED),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", REDACTED),
        ("jwt_a-eyJhbGciOiJI.eyJzdWIiOiIx x", f"jwt_a-{REDACTED} x"),
        ("postgres://me:hunter2@db/x", f"postgres://me:{REDACTED}@db/x"),
        (
            "a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb",
            f"a\n{REDACTED}\nb",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMII", REDACTED),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nMII\n-----END OPENSSH PRIVATE KEY-----", REDACTED),
        (f"use alex_0123456789ab_{'0a' * 32}!", f"use {REDACTED}!"),
    ],
)
def test_the_shape_of_a_secret_is_redacted_in_a_text(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "What is 2 + 2?", "task-0193abcdef0123456789abcdef", "basic information on bearer certificates",
        "alex_http_requests_total",
        "https://example.org/a?b=c@d", "the task-force risk-assessment", "-----BEGIN CERTIFICATE-----\nMII",
    ],
)  # fmt: skip
def test_an_ordinary_text_is_kept(text: str) -> None:
    assert redact(text) == text


def test_nested_values_are_redacted_in_a_copy() -> None:
    value = {"list": [{"password": "x", "n": 1}, "Bearer 0123456789"], "token": {"a": 1}, "secret": None}

    redacted = redact(value)

    assert redacted == {
        "list": [{"password": REDACTED, "n": 1}, f"Bearer {REDACTED}"],
        "token": REDACTED,
        "secret": None,
    }
    assert value["token"] == {"a": 1}


def test_values_that_are_nested_without_end_are_cut_and_not_an_error() -> None:
    value: Any = "x"  # JSON of any depth
    for _ in range(100_000):
        value = [value]

    redacted = redact(value)

    assert REDACTED in repr(redacted)


# The secrets of this process.

ENVIRON = {
    "OPENAI_API_KEY": "plain-words-as-key",
    "ALEX_MODELS__TOKEN": 'tok en/with+"quotes" and é',
    "DB_PASSWORD": "plain-words",
    "SHORT_SECRET": "seven77",
    "TLS_KEY_FILE": "/etc/ssl/private/server.pem",
    "PATH": "/usr/local/bin:/usr/bin",
    "PWD": "/home/alex/work",
}


def test_the_values_of_variables_that_are_named_as_secrets_are_redacted_in_any_text() -> None:
    redactor = Redactor.of_environment(ENVIRON)

    text = redactor.text(" | ".join(ENVIRON.values()))

    assert text == (
        f"{REDACTED} | {REDACTED} | {REDACTED} | seven77 | /etc/ssl/private/server.pem | "
        "/usr/local/bin:/usr/bin | /home/alex/work"
    )


def test_a_secret_of_this_process_is_redacted_at_any_depth_and_makes_a_line_harmful() -> None:
    redactor = Redactor.of_environment(ENVIRON)

    assert redactor.redact({"a": ["x=plain-words;"], "b": 1}) == {"a": [f"x={REDACTED};"], "b": 1}
    assert not redactor.is_harmless({"event": "plain-words"}, trusted=frozenset())
    assert redactor.is_harmless({"event": "other-words"}, trusted=frozenset())


@pytest.mark.parametrize("secret", ["plain-words-as-key", 'tok en/with+"quotes" and é'])
def test_a_secret_of_this_process_is_redacted_in_json_whose_other_values_and_fields_stay(secret: str) -> None:
    redactor = Redactor.of_environment(ENVIRON)
    value = {
        "event_type": "error",
        "plain-words": [1, 2.5, None, {"n": f"it is {secret}"}, {secret: 1}],
        "é": True,
    }

    body = redactor.body(msgspec.json.encode(value))

    assert msgspec.json.decode(body) == {
        "event_type": "error",
        "plain-words": [1, 2.5, None, {"n": f"it is {REDACTED}"}, {REDACTED: 1}],
        "é": True,
    }


def test_json_without_secrets_is_handed_on_as_it_is() -> None:
    body = msgspec.json.encode({"a": f"sk-{KEY}"})

    assert Redactor.of_environment(ENVIRON).body(body) is body


def seconds(text: str) -> float:
    """Return how long it takes, of a few times the shortest."""
    took = []
    for _ in range(3):
        began = process_time()
        redact(text)
        took.append(process_time() - began)
    return min(took)


@pytest.mark.parametrize(
    "unit",
    [
        "-eyJ", "eyJ_", "eyJaaaaaaaa-", "eyJaaaaaaaa.", "eyJaaaaaaaa.a.", "a.eyJ", "sk-", "-sk-a ", "xoxa-xapp-",
        "glpat-", "_ghp_", "github_pat_", "sk_live_", "-hf_", "-AKIA", "-AIza", "bearer ", "basic \n", "Bearer a.",
        "bearer a. ", "://@", "://a:", "@://a:a", "-----BEGIN ", "-----BEGIN A A A A A ",
        "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY----------END ", "A ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "eyJ", "bearer ", "@://a:", "-----BEGIN "])
def test_a_text_of_four_times_the_length_takes_four_times_as_long(before: str, unit: str) -> None:
    short, long = (before + unit * (size // len(unit)) for size in (25_000, 100_000))

    # Where each beginning is followed to the end, it is sixteen times: a second and more.
    assert seconds(long) < 8 * seconds(short) + 0.1
