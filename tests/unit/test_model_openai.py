"""A model that is asked by OpenAI's protocol: what is sent, and what becomes of what comes."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx2
import pytest

from alex_actors.events import Usage
from alex_actors.models.chat_stream import CUT_NOTICE
from alex_actors.models.faults import ModelFailure
from alex_actors.models.spec import ModelSpec
from alex_actors.models.unreadable import UNREADABLE, unreadable
from alex_actors.ports import AgentError, ContextOverflow, Message, TextDelta, ToolCall
from tests.unit.model_fakes import (
    ASKED,
    CALCULATOR,
    KEY,
    SPEC,
    BrokenStream,
    Json,
    Provider,
    broken,
    chunk,
    heard,
    model_at,
    piece,
    refused,
    reply_of,
    streamed,
    usage,
)

STOP = chunk(finish="stop")
CALLS = chunk(finish="tool_calls")


def failure(*replies: httpx2.Response | Exception, spec: ModelSpec = SPEC) -> AgentError:
    """Return the error of a call that fails."""
    with pytest.raises(AgentError) as raised:
        heard(model_at(Provider(*replies), spec))
    return raised.value


def calls_of(*chunks: Json) -> tuple[ToolCall, ...]:
    """Return the calls that a stream comes to."""
    return reply_of(heard(model_at(Provider(streamed(*chunks))))).tool_calls


def test_text_comes_as_it_streams_and_whole_at_the_end() -> None:
    provider = Provider(streamed(chunk("Hel", role="assistant"), chunk("lo"), STOP, usage(11, 2)))

    events = heard(model_at(provider))

    assert events[:2] == [TextDelta("Hel"), TextDelta("lo")]
    assert reply_of(events).usage == Usage(input_tokens=11, output_tokens=2)


def test_a_conversation_with_calls_and_tools_is_sent_as_the_api_has_it() -> None:
    provider = Provider(streamed(chunk("4"), STOP))
    call = ToolCall("call-1", "calculator", {"expression": "2 + 2"})
    messages = (
        *ASKED,
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="4", call_id="call-1"),
    )

    heard(model_at(provider), messages)

    (request,), (body,) = provider.requests, provider.bodies
    assert request.url == "http://models.test/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert body["model"] == "a-model"
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][2]["content"] is None
    function = {"name": "calculator", "arguments": '{"expression":"2 + 2"}'}
    assert body["messages"][2]["tool_calls"] == [{"id": "call-1", "type": "function", "function": function}]
    assert body["messages"][3] == {"role": "tool", "tool_call_id": "call-1", "content": "4"}
    assert body["tools"][0]["function"]["parameters"] == CALCULATOR.parameters


def test_without_tools_none_are_named() -> None:
    provider = Provider(streamed(chunk("4"), STOP))

    heard(model_at(provider), tools=())

    assert "tools" not in provider.bodies[0]


def test_names_that_no_tool_could_have_are_not_sent_back_as_they_are() -> None:
    provider = Provider(streamed(chunk("4"), STOP))
    call = ToolCall("call-1", "functions.what is this?", {})

    heard(model_at(provider), (*ASKED, Message(role="assistant", content="", tool_calls=(call,))))

    assert provider.bodies[0]["messages"][2]["tool_calls"][0]["function"]["name"] == "functions_what_is_this_"


def test_calls_side_by_side_come_in_pieces_that_are_told_apart_by_their_index() -> None:
    calls = calls_of(
        chunk(calls=[piece(0, "a", "calculator", ""), piece(1, "b", "calculator", "")]),
        chunk(calls=[piece(1, None, None, '{"expression": ')]),
        chunk(calls=[piece(0, None, None, '{"expression": "1"}'), piece(1, None, None, '"2"}')]),
        CALLS,
    )

    assert calls == (
        ToolCall("a", "calculator", {"expression": "1"}),
        ToolCall("b", "calculator", {"expression": "2"}),
    )


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(None, "a", "one", '{"n": 1}'), piece(None, "b", "two", '{"n": 2}')],
        [piece(None, None, "one", '{"n": 1}'), piece(None, None, "two", '{"n": 2}')],
        [piece(0, "a", "one", '{"n": 1}'), piece(0, "b", "two", '{"n": 2}')],
        [piece(0, None, "one", '{"n": 1}'), piece(0, None, "two", '{"n": 2}')],
        [piece(0, "a", "one", {"n": 1}), piece(1, "b", "two", {"n": 2})],
        [piece(0, "a", "one", '{"n":'), piece(0, "a", "one", " 1}"), piece(1, "b", "two", '"{\\"n\\": 2}"')],
        [piece(None, "a", "one", '{"n":'), piece(None, None, None, " 1}"), piece(None, "b", "two", '{"n": 2}')],
    ],
    ids=["no index", "no index, no id", "all 0", "all 0, no id", "objects", "repeated, twice JSON", "id once"],
)
def test_calls_are_put_together_however_a_server_sends_them(pieces: list[Json]) -> None:
    calls = calls_of(*(chunk(calls=[one]) for one in pieces), CALLS)

    assert [(call.tool_name, call.arguments) for call in calls] == [("one", {"n": 1}), ("two", {"n": 2})]
    assert len({call.call_id for call in calls}) == 2


def test_a_call_without_arguments_has_none() -> None:
    (call,) = calls_of(chunk(calls=[piece(0, "a", "list_files", "")]), CALLS)

    assert call.arguments == {}


@pytest.mark.parametrize(
    "written", ['{"expression": "2 +', "two and two", "[1, 2]", '{"n": NaN}', "[" * 100_000, "null"]
)
def test_a_call_whose_arguments_are_no_object_keeps_what_was_written_for_the_model_to_be_told(
    written: str,
) -> None:
    (call,) = calls_of(chunk(calls=[piece(0, "a", "calculator", written)]), CALLS)

    assert call.tool_name == "calculator"
    assert list(call.arguments) == [UNREADABLE]
    assert written[:100] in (unreadable(call.arguments) or "")


def test_readable_arguments_are_not_told_of() -> None:
    assert unreadable({"expression": "2 + 2"}) is None


def test_arguments_are_read_where_a_model_forgets_to_escape_line_breaks() -> None:
    (call,) = calls_of(chunk(calls=[piece(0, "a", "file_write", '{"content": "a\nb \\ud83d"}')]), CALLS)

    assert call.arguments == {"content": "a\nb ?"}


def test_reasoning_is_no_part_of_the_answer_but_is_counted() -> None:
    events = heard(model_at(Provider(streamed(chunk(reasoning_content="x" * 400), chunk("4"), STOP))))

    reply = reply_of(events)
    assert reply.content == "4"
    assert reply.usage is not None
    assert reply.usage.output_tokens == 101
    assert reply.usage.estimated


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    reply = reply_of(heard(model_at(Provider(streamed(chunk("a\ud83d"), STOP)))))

    assert reply.content == "a?"


def test_a_refusal_is_what_the_model_answers() -> None:
    reply = reply_of(heard(model_at(Provider(streamed(chunk(refusal="I will"), chunk(refusal=" not."), STOP)))))

    assert reply.content == "I will not."


def test_an_answer_that_a_filter_stopped_is_an_error_that_is_not_tried_again() -> None:
    error = failure(streamed(chunk("Well, "), chunk(finish="content_filter")))

    assert str(error) == "The model a-model at http://models.test refused to answer: its filter says no."
    assert isinstance(error, ModelFailure)
    assert not error.again


def test_an_answer_that_was_cut_at_the_limit_says_so() -> None:
    reply = reply_of(heard(model_at(Provider(streamed(chunk("To be or"), chunk(finish="length"))))))

    assert reply.content == "To be or" + CUT_NOTICE


def test_an_answer_that_was_all_reasoning_names_the_setting() -> None:
    error = failure(streamed(chunk(reasoning="Hm."), chunk(finish="length")))

    assert "raise model.max_output_tokens" in str(error)


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (streamed(chunk("Hel"), done=False), "broke off before the end of its answer."),
        (streamed(chunk("Hel"), chunk(finish="error")), "it ended with 'error'."),
        (streamed(STOP), "answered with nothing."),
        (broken(BrokenStream([chunk("Hel")], httpx2.ReadError("reset by peer"))), "answer: reset by peer."),
        (broken(BrokenStream([chunk("Hel")], httpx2.RemoteProtocolError("chunk"))), "broke off before the end"),
        (broken(BrokenStream([], httpx2.ReadTimeout("slow"))), "did not answer within 120 seconds."),
        (broken(BrokenStream([chunk("H")], httpx2.ReadTimeout("slow"))), "in the middle of its answer for 120"),
        (httpx2.Response(200, text="data: {nonsense\n\n"), "it sent what is not JSON"),
        (httpx2.ConnectTimeout("slow"), "cannot be reached: no connection within 30 seconds"),
        (httpx2.ConnectError("refused"), "cannot be reached: refused; is the server at model.base_url running?"),
        (
            streamed({"error": {"message": "Overloaded", "type": "overloaded_error"}}),
            "has trouble (529): Overloaded.",
        ),
        (streamed({"error": {"message": "no luck", "code": 502}}), "has trouble (502): no luck."),
        (refused(503, "down"), "has trouble (503): down."),
        (refused(429, "slowly"), "is asked too often (429): slowly."),
        (refused(408, "late"), "has trouble (408): late."),
    ],
)
def test_what_may_be_gone_the_next_time_is_worth_trying_again(
    reply: httpx2.Response | Exception, what: str
) -> None:
    error = failure(reply)

    assert what in str(error)
    assert isinstance(error, ModelFailure)
    assert error.again


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (refused(400, "no such parameter"), "refuses the request (400): no such parameter."),
        (refused(401, f"bad key {KEY}"), "refuses the API key (401): bad key [API key]: check model.api_key."),
        (refused(403, "not you"), "(403): not you: check what the account may use."),
        (refused(404, "no a-model"), "(404): no a-model: check model.name and model.base_url."),
        (refused(422, "what?"), "refuses the request (422): what?."),
        (refused(429, "no money", code="insufficient_quota"), "(429): no money: see to the account's credit."),
        (streamed({"error": {"message": "bad", "code": 400}}), "refuses the request (400): bad."),
    ],
)
def test_what_no_trying_mends_says_what_to_do(reply: httpx2.Response, what: str) -> None:
    error = failure(reply)

    assert what in str(error)
    assert KEY not in str(error)
    assert isinstance(error, ModelFailure)
    assert not error.again


AZURE = ModelSpec(
    name="m", provider="azure", base_url="https://me.openai.azure.com", api_version="2024-10-21", api_key=KEY
)


@pytest.mark.parametrize("spec", [SPEC, AZURE], ids=["openai", "azure"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_says_where_to_look(spec: ModelSpec, status: int) -> None:
    moved = httpx2.Response(status, headers={"location": f"https://me:secret@else.test/{KEY}?q=secret"})
    provider = Provider(moved, streamed(chunk("4"), STOP))

    with pytest.raises(ModelFailure) as raised:
        heard(model_at(provider, spec))

    assert len(provider.requests) == 1
    assert f"a redirect ({status}) to https://else.test/[API key], which is not followed" in str(raised.value)
    assert "Check model.base_url." in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not raised.value.again


def test_a_redirect_to_nowhere_is_one_too() -> None:
    error = failure(httpx2.Response(307))

    assert "answers with a redirect (307), which is not followed" in str(error)


def test_a_server_that_wants_a_key_and_got_none_says_so() -> None:
    spec = ModelSpec(name="m", base_url="http://models.test/v1", section="models.small")

    error = failure(refused(401, "who are you?"), spec=spec)

    assert "wants an API key (401): who are you?: check models.small.api_key." in str(error)


def test_a_server_that_does_not_stream_is_understood_all_the_same() -> None:
    message = {"role": "assistant", "content": "Hm.", "tool_calls": [piece(None, "a", "calculator", '{"n": 1}')]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    counted = {"prompt_tokens": 3, "completion_tokens": 4}

    reply = reply_of(heard(model_at(Provider(httpx2.Response(200, json={"choices": [choice], "usage": counted})))))

    assert reply.content == "Hm."
    assert reply.tool_calls == (ToolCall("a", "calculator", {"n": 1}),)
    assert reply.usage == Usage(input_tokens=3, output_tokens=4)


def test_an_error_with_a_good_status_is_one() -> None:
    error = failure(httpx2.Response(200, json={"error": {"message": "no such model", "code": 404}}))

    assert "is not known there (404): no such model" in str(error)


def test_a_conversation_that_is_too_long_is_told_from_other_refusals() -> None:
    error = failure(refused(400, "maximum context length is 8192 tokens", code="context_length_exceeded"))

    assert isinstance(error, ContextOverflow)


def test_a_key_of_the_environment_is_sent_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-the-environment")
    provider = Provider(streamed(chunk("4"), STOP))

    heard(model_at(provider, ModelSpec(name="m", base_url="http://models.test/v1")))

    headers = provider.requests[0].headers
    assert "authorization" not in headers
    assert "of-the-environment" not in str(headers)


def test_a_cancel_before_the_first_token_and_an_early_end_close_the_stream() -> None:
    silent, talking = BrokenStream([], None), BrokenStream([chunk("Hel")], None)

    async def scenario() -> tuple[bool, bool]:
        model = model_at(Provider(broken(silent), broken(talking)))
        waiting = asyncio.ensure_future(anext(model.complete(ASKED, ())))
        await silent.waits.wait()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        after_cancel = silent.is_closed
        said = model.complete(ASKED, ())
        assert await anext(said) == TextDelta("Hel")
        await said.aclose()
        return after_cancel, talking.is_closed  # at once: not when the loop comes round to what nobody needs

    assert asyncio.run(scenario()) == (True, True)


def test_a_closed_model_opens_new_connections_when_it_is_asked_again() -> None:
    provider = Provider(streamed(chunk("4"), STOP), streamed(chunk("5"), STOP))
    model = model_at(provider)

    async def scenario() -> str:
        for _ in range(2):
            events = [event async for event in model.complete(ASKED, ())]
            await model.aclose()
        return reply_of(events).content

    assert asyncio.run(scenario()) == "5"
    assert json.loads(provider.requests[1].content)["model"] == "a-model"
