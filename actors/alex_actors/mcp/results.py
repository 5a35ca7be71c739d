"""What MCP servers answer, as the text that a model is given. Imports the SDK, an extra package."""

from __future__ import annotations

import json
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.types import (
    PARSE_ERROR,
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
from pydantic import ValidationError

from alex_actors.tools.excerpts import MAX_TEXT, head


def text_of(result: CallToolResult) -> str:
    """Return the texts of a result, at most MAX_TEXT bytes; what is none is named in a line.

    Structured content follows as JSON, unless the texts say the same already, as the protocol advises.
    """
    parts = [_text(block) for block in result.content]
    if result.structured_content is not None and not _said(result.structured_content, parts):
        parts.append(json.dumps(result.structured_content, ensure_ascii=False))
    return bounded("\n".join(parts)) or "(no output)"


def bounded(text: str) -> str:
    """Return a text that an event and a model's context have room for."""
    data = text.encode(errors="replace")  # a server can write half a surrogate pair in JSON
    return head(data[:MAX_TEXT], size=len(data))


def fault_of(error: Exception) -> str:
    """Return what has gone wrong with a call, as a model is told it."""
    if isinstance(error, ValidationError):
        return refusal(error)
    if isinstance(error, MCPError):
        own = error.code == PARSE_ERROR  # the SDK's text, pydantic's lines in it; else the server's, as it is
        return " ".join(error.message.split()) if own else error.message
    return str(error).partition("\n")[0]  # what follows is a schema, for developers


def refusal(error: ValidationError) -> str:
    """Return in a line what is wrong with a message of a server."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return " ".join(f"it is not as the protocol has it: {where and where + ': '}{first['msg']}".split())


def _text(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return f"[{block.type}: {block.mime_type}, {_decoded(block.data):,} bytes]"
        case ResourceLink():
            size = "" if block.size is None else f", {block.size:,} bytes"
            return f"[resource {block.uri}: {block.name}, {block.mime_type or 'of unknown type'}{size}]"
        case EmbeddedResource(resource=BlobResourceContents() as blob):
            kind = blob.mime_type or "of unknown type"
            return f"[resource {blob.uri}: {kind}, {_decoded(blob.blob):,} bytes]"
        case EmbeddedResource(resource=TextResourceContents() as text):
            return f"[resource {text.uri}: {text.mime_type or 'text'}]\n{text.text}"
        case EmbeddedResource():  # for mypy: there are no others
            return "[resource]"


def _decoded(base64: str) -> int:
    """Return how many bytes are encoded."""
    return len(base64) * 3 // 4 - base64[-2:].count("=")


def _said(structured: Any, texts: list[str]) -> bool:  # Any: JSON, of a schema that the server chose
    """Return whether one of the texts is this value; or all are, where it wraps what has no structure."""
    if structured == {"result": "\n".join(texts)}:
        return True
    for text in texts:
        try:
            said = json.loads(text)
        except ValueError:
            continue
        if said == structured or structured == {"result": said}:
            return True
    return False
