"""Whatever clients send: parsers take what the contract says, refuse the rest as a problem, and never fail."""

from __future__ import annotations

import json
import math
import re

import pytest
from falcon import testing
from hypothesis import example, given
from hypothesis import strategies as st

from alex_http.bodies import Body
from alex_http.client.frames import Frames
from alex_http.errors import BadParameters, Problem
from alex_http.exchange import Request
from alex_http.idempotency import fingerprint
from alex_http.query import LARGEST, Query
from alex_http.wire import ID_PATTERN, SessionIn, SubmitIn
from tests.properties.effort import effort

EXAMPLES = 100

SUBMITS = Body(SubmitIn, limit=2**20)
SESSIONS = Body(SessionIn, limit=2**20)

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
STORED_JSON = st.none() | st.integers(-(2**53), 2**53) | TEXT | st.lists(TEXT, max_size=3)
ALMOST = st.fixed_dictionaries(
    {},
    optional={
        "task": TEXT | ANY_JSON,
        "session_id": st.from_regex(ID_PATTERN, fullmatch=True) | ANY_JSON,
        "multitask_strategy": st.sampled_from(["enqueue", "reject", ""]) | ANY_JSON,
        "timeout_seconds": st.floats() | ANY_JSON,
        "max_iterations": st.integers() | ANY_JSON,
        "metadata": st.dictionaries(TEXT, TEXT | ANY_JSON, max_size=20) | ANY_JSON,
        "nonsense": ANY_JSON,
    },
)
"""Bodies of a submit of which something or other is wrong."""


def request(*, query: str = "", body: bytes = b"") -> Request:
    """Return a request as the server's application gets it."""
    environ = testing.create_environ(method="POST", body=body, headers={"Content-Type": "application/json"})
    environ["QUERY_STRING"] = query  # as it comes
    return Request(environ)


def parsed(body: bytes) -> SubmitIn | Problem:
    """Return what comes of a body. Whatever it is, nothing else may be raised."""
    try:
        return SUBMITS.read(request(body=body))
    except Problem as problem:
        return problem


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"task": ' + b'{"a":' * 100_000)
@example(b'{"task": "x", "timeout_seconds": 1e999}')
@example(b'{"task": "x", "max_iterations": ' + b"9" * 10_000 + b"}")
@example(b'{"task": "\\ud800"}')
@example(b'{"task": "x"}\x00')
@effort(EXAMPLES)
def test_any_bytes_are_a_submit_or_a_problem(body: bytes) -> None:
    found = parsed(body)

    if isinstance(found, Problem):
        assert found.status == 400
        assert json.loads(found.encode())["detail"]
        assert len(found.encode()) < 10_000


@given(ALMOST)
@effort(EXAMPLES)
def test_a_submit_is_taken_if_and_only_if_all_of_it_is_as_it_must_be(fields: dict[str, object]) -> None:
    found = parsed(json.dumps(fields).encode())

    assert isinstance(found, SubmitIn) == all(is_right(name, fields.get(name)) for name in {*fields, "task"})
    if isinstance(found, SubmitIn):
        assert found.task == fields["task"]
        assert found.session_id == fields.get("session_id")


def is_right(name: str, value: object) -> bool:
    """Whether the contract takes this for a field. Said another way than the server does."""
    if value is None:
        return name not in ("task", "nonsense")
    match name, value:
        case "task", str():
            return 1 <= len(value) <= 100_000 and not value.isspace()
        case "session_id", str():
            return value == "" or re.fullmatch(ID_PATTERN, value) is not None
        case "multitask_strategy", str():
            return value in ("", "enqueue", "reject", "interrupt", "parallel")
        case "timeout_seconds", int() | float() if not isinstance(value, bool):
            return 0 < value <= 604_800
        case "max_iterations", int() if not isinstance(value, bool):
            return 1 <= value <= 1000
        case "metadata", dict():
            short = all(isinstance(one, str) and len(one) <= 4096 for one in value.values())
            return short and len(value) <= 16 and all(len(key) <= 128 for key in value)
        case _:
            return False


@given(TEXT)
@example("a\n")
@example("\uff41")  # another kind of a
@example("a" * 129)
@example("..")
@effort(EXAMPLES)
def test_a_session_id_is_the_same_wherever_it_is_sent(text: str) -> None:
    body = json.dumps({"session_id": text}).encode()
    in_body = in_query = True

    try:
        SESSIONS.read(request(body=body))
    except Problem:
        in_body = False
    try:
        if text:  # an empty parameter is none
            Query(request(query=f"session_id={percent(text)}"), "session_id").session_id()
    except Problem:
        in_query = False

    assert in_body == in_query == (text == "" or re.fullmatch(ID_PATTERN, text, re.ASCII) is not None)


def percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@given(st.text(st.characters(max_codepoint=255), max_size=60))
@example("limit=%00")
@example("limit=%ff&wait=%")
@effort(EXAMPLES)
def test_any_query_is_read_or_is_a_problem(query: str) -> None:
    try:
        found = Query(request(query=query), "limit", "offset", "status", "session_id", "after", "wait")
        limit, offset, wait = found.limit(10), found.offset(), found.wait()
        found.after()
        found.status()
        found.session_id()
    except BadParameters as problem:
        named = [error.field for error in problem.errors]
        assert named
    else:
        assert 1 <= limit <= 1000
        assert 0 <= offset <= LARGEST
        assert 0 <= wait <= 60


@given(st.integers(-10, 2**64) | st.text(max_size=25))
@example("\u0661")  # another kind of 1
@example("+1")
@example("1_0")
@example(" 1")
@example(LARGEST)
@example(LARGEST + 1)
@effort(EXAMPLES)
def test_a_position_is_an_integer_that_the_store_can_have(sent: int | str) -> None:
    text = f"{sent}"
    right = re.fullmatch("[0-9]{1,19}", text, re.ASCII) is not None and int(text) <= LARGEST

    in_query, in_header = request(query=f"after={percent(text)}"), request()
    in_header.env["HTTP_LAST_EVENT_ID"] = text.encode().decode("latin-1")  # as WSGI has it
    for req in (in_query, in_header) if text else (in_query,):  # an empty header is none
        try:
            assert Query(req, "after").position() == int(text)
        except BadParameters:
            assert not right
        else:
            assert right


@given(st.floats(allow_nan=True) | st.integers())
@example(math.inf)
@example(33.300000000000004)
@example(5e-324)
@effort(EXAMPLES)
def test_a_wait_is_any_number_from_0_to_60_as_programs_print_it(seconds: float) -> None:
    right = 0 <= seconds <= 60 and not f"{seconds}".startswith("-")

    try:
        assert Query(request(query=f"wait={percent(f'{seconds}')}"), "wait").wait() == seconds
    except BadParameters:
        assert not right
    else:
        assert right


@given(st.dictionaries(TEXT, STORED_JSON, max_size=6), st.dictionaries(TEXT, STORED_JSON, max_size=6))
@effort(EXAMPLES)
def test_two_bodies_have_one_fingerprint_if_and_only_if_they_are_the_same_json(
    fields: dict[str, object], others: dict[str, object]
) -> None:
    backwards = dict(reversed(fields.items()))
    again = json.dumps(backwards, indent=3, ensure_ascii=False)

    prints = [fingerprint(text.encode()) for text in (json.dumps(fields), again, json.dumps(others))]

    assert prints[0] == prints[1]
    assert (prints[0] == prints[2]) == (fields == others)


@given(st.lists(st.tuples(st.integers(1, 10**9), TEXT), max_size=6), st.data())
@effort(EXAMPLES)
def test_frames_come_out_as_they_went_in_wherever_they_are_cut(
    sent: list[tuple[int, str]], data: st.DataObject
) -> None:
    stream = b"".join(
        f"id: {number}\nevent: thinking\ndata: {json.dumps(text, ensure_ascii=False)}\n\n".encode()
        for number, text in sent
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    frames = Frames()

    received = [
        frame
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for frame in frames.received(stream[begin:end])
    ]

    assert [json.loads(frame.data) for frame in received] == [text for _, text in sent]
    assert {frame.event for frame in received} <= {"thinking"}


@pytest.mark.parametrize("text", ["a\n", "a\x00", "\uff41", "a" * 129, ".a", "a/b", ""])
def test_what_is_no_session_id(text: str) -> None:
    assert re.fullmatch(ID_PATTERN, text) is None
