"""A turn that is put together from chunks is what the official SDK makes of the same chunks."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from alex_actors.models.chat_stream import ChatTurn
from tests.unit.model_fakes import Json, chunk, piece, usage

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
ARGUMENTS = st.dictionaries(TEXTS, TEXTS | st.integers() | st.booleans() | st.none(), max_size=3)


def cut_up(draw: st.DrawFn, text: str) -> list[str]:
    """Return a text in pieces."""
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]], list[Json]]:
    """Return a text, the arguments of calls, and both as OpenAI streams them: pieces in any mix."""
    text, calls = draw(TEXTS), draw(st.lists(ARGUMENTS, max_size=3))
    waiting = [
        [piece(index, None, None, part) for part in cut_up(draw, json.dumps(arguments))]
        for index, arguments in enumerate(calls)
    ]
    chunks = [chunk("", role="assistant"), *(chunk(part) for part in cut_up(draw, text))]
    chunks += [chunk(calls=[piece(index, f"call_{index}", f"tool_{index}", "")]) for index in range(len(calls))]
    while any(waiting):
        pieces = draw(st.sampled_from([one for one in waiting if one]))
        chunks.append(chunk(calls=[pieces.pop(0)]))
    return text, calls, [*chunks, chunk(finish="tool_calls" if calls else "stop"), usage(10, 5)]


@given(streams())
def test_it_comes_to_what_was_said_and_to_what_the_sdk_makes_of_it(
    stream: tuple[str, list[dict[str, Any]], list[Json]],
) -> None:
    text, wanted, chunks = stream
    turn, official = ChatTurn(), ChatCompletionStreamState[None]()

    deltas = []
    for one in chunks:
        read = ChatCompletionChunk.model_validate(one)
        deltas.append(turn.add(read))
        official.handle_chunk(read)
    deltas.append(turn.end() if text.strip() or wanted else "")

    message = official.get_final_completion().choices[0].message
    assert turn.content == "".join(deltas) == text == message.content
    calls = turn.calls()
    assert [call.arguments for call in calls] == wanted
    theirs = [
        (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()
    ]
    assert [(call.call_id, call.tool_name, call.arguments) for call in calls] == theirs
    assert turn.counted is not None
    assert (turn.counted.input, turn.counted.output) == (10, 5)
