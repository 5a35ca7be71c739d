"""What MCP servers answer, as models are given it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from alex_actors.mcp.results import text_of
from alex_actors.tools.excerpts import MAX_TEXT

DATA = base64.b64encode(b"1234567").decode()


def text(value: str) -> TextContent:
    return TextContent(type="text", text=value)


@pytest.mark.parametrize(
    ("block", "line"),
    [
        (text("as it is"), "as it is"),
        (ImageContent(type="image", data=DATA, mime_type="image/png"), "[image: image/png, 7 bytes]"),
        (AudioContent(type="audio", data=DATA, mime_type="audio/wav"), "[audio: audio/wav, 7 bytes]"),
        (
            ResourceLink(type="resource_link", uri="demo://1", name="One", mime_type="text/plain", size=1234),
            "[resource demo://1: One, text/plain, 1,234 bytes]",
        ),
        (
            ResourceLink(type="resource_link", uri="demo://1", name="One"),
            "[resource demo://1: One, of unknown type]",
        ),
        (
            EmbeddedResource(type="resource", resource=BlobResourceContents(uri="demo://2", blob=DATA)),
            "[resource demo://2: of unknown type, 7 bytes]",
        ),
        (
            EmbeddedResource(type="resource", resource=TextResourceContents(uri="demo://3", text="Its text.")),
            "[resource demo://3: text]\nIts text.",
        ),
    ],
)
def test_texts_are_passed_on_and_what_is_none_is_named(block: ContentBlock, line: str) -> None:
    assert text_of(CallToolResult(content=[text("Here:"), block])) == f"Here:\n{line}"


@pytest.mark.parametrize(
    ("texts", "structured", "expected"),
    [
        ([], {"sum": 3}, '{"sum": 3}'),
        (["It is done."], {"sum": 3}, 'It is done.\n{"sum": 3}'),
        (['{\n  "sum": 3\n}'], {"sum": 3}, '{\n  "sum": 3\n}'),
        (["3"], {"result": 3}, "3"),
        (["Hello."], {"result": "Hello."}, "Hello."),
        (["[1]"], [1], "[1]"),
    ],
)
def test_structured_content_is_told_once(texts: list[str], structured: Any, expected: str) -> None:  # Any: JSON
    result = CallToolResult(content=[text(one) for one in texts], structured_content=structured)

    assert text_of(result) == expected


def test_nothing_is_said_to_be_nothing() -> None:
    assert text_of(CallToolResult(content=[])) == "(no output)"


def test_a_result_is_cut_to_what_an_event_has_room_for() -> None:
    said = text_of(CallToolResult(content=[text("ä" * MAX_TEXT)]))

    assert len(said.encode()) < MAX_TEXT + 100
    assert said.endswith("[only the first 65,536 of 131,072 bytes are shown]")


def test_half_a_character_does_no_harm() -> None:
    assert text_of(CallToolResult(content=[text("\ud83d!")])) == "?!"
