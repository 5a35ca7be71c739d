"""The pages for browsers and their files, as the document has them."""

from __future__ import annotations

from collections.abc import Mapping

from alex_http import errors
from alex_http.openapi.parts import Json, Operation, Parameter, Reply

HTML, CSS, SCRIPT, SVG = "text/html", "text/css", "text/javascript", "image/svg+xml"

_TEXT: Json = {"type": "string"}
_KNOWN = Parameter(name="If-None-Match", where="header", says="The `ETag` of the one that is there.", schema=_TEXT)


def _page(name: str, says: str, media_type: str) -> Operation:
    """Return the call that sends one file."""
    return Operation(
        name=name,
        tag="pages",
        says=says,
        scope=None,
        parameters=[_KNOWN],
        replies=_replies(media_type),
    )


def _files(name: str, says: str, *media_types: str, example: str) -> Operation:
    """Return the call that sends a file of a folder."""
    file = Parameter(name="file", where="path", says="Its name.", schema=_TEXT, example=example)
    return Operation(
        name=name,
        tag="pages",
        says=says,
        scope=None,
        parameters=[file, _KNOWN],
        replies=_replies(*media_types),
        problems=[errors.UnknownPath],
    )


def _replies(*media_types: str) -> list[Reply]:
    return [
        Reply(status=200, says="The file.", body=dict.fromkeys(media_types, _TEXT), headers=["ETag"]),
        Reply(status=304, says="It is the one that is there.", headers=["ETag"]),
    ]


PAGE_CALLS: Mapping[tuple[str, str], Operation] = {
    ("/", "get"): _page("page", "Open the web page.", HTML),
    ("/page/{file}", "get"): _files("pageFile", "Read a file of the page.", CSS, SCRIPT, SVG, example="icon.svg"),
    ("/docs", "get"): _page("docs", "Open the page on which these calls can be tried.", HTML),
    ("/docs/{file}", "get"): _files("docsFile", "Read a file of the page.", CSS, SCRIPT, example="docs.css"),
    ("/favicon.ico", "get"): _page("icon", "Read the icon of the pages.", SVG),
}
