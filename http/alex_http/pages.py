"""The pages for browsers, and their files: read once, served to everybody, from a table of names.

They hold nothing of anybody's: what a page shows it reads from the API, as any client does, with the cookie of its
login. So they need no token; without one, a page can ask for it.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

import falcon

from alex_http.exchange import Request

INDEX = "index.html"

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Of the files that are served, by suffix. Others in the folder, such as licences, are not."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load (CSP Level 3, https://www.w3.org/TR/CSP3/): files of this server, and nothing inline."""
PAGE_POLICY = f"{_POLICY}; require-trusted-types-for 'script'; trusted-types 'none'"
"""That of the page at ``/``, in which text never becomes HTML or script (https://www.w3.org/TR/trusted-types/)."""
DOCS_POLICY = _POLICY
"""That of ``/docs``. Its viewer makes HTML of Markdown, after it was cleaned."""

_HEADERS = {
    "Cache-Control": "no-cache",  # a browser may keep it, and asks each time: after an upgrade it has the new one
    "Vary": "Accept-Encoding",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",  # frame-ancestors, for browsers that are too old to know it
}

_TAKES_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[^,]*)?(?:,|$)", re.IGNORECASE)


def is_page(path: str) -> bool:
    """Return whether a path is that of a page, or of a file of one."""
    return path in ("/", "/docs", "/favicon.ico") or path.startswith(("/page/", "/docs/"))


class WebFile:
    """A file, at a path of its own."""

    def __init__(self, body: bytes, *, media_type: str, policy: str) -> None:
        self._body = body
        self._media_type = media_type
        self._version = sha256(body).hexdigest()[:32]
        self._headers = _HEADERS | {"Content-Security-Policy": policy}

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Send it; or nothing, if the client has this very version.

        A query means nothing: programs that pass links on add some.
        """
        zipped = _TAKES_GZIP.search(req.env.get("HTTP_ACCEPT_ENCODING", "")) is not None
        etag = f"{self._version}-gzip" if zipped else self._version
        resp.set_headers(self._headers)
        resp.etag = etag
        # Compared weakly (RFC 9110, section 13.1.2).
        if any(known in ("*", etag) for known in req.if_none_match or ()):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = self._media_type
        if zipped:
            resp.set_header("Content-Encoding", "gzip")
        resp.data = self._zipped if zipped else self._body

    on_head = on_get

    @cached_property
    def _zipped(self) -> bytes:
        # Made when it is first asked for: 70 ms for the largest. Two workers that make it at once make the same.
        return gzip.compress(self._body, mtime=0)


class WebFolder:
    """The files of a folder, by their names. No name of a client's ever reaches the file system."""

    def __init__(self, web_files: Mapping[str, WebFile]) -> None:
        self._files = web_files

    def on_get(self, req: Request, resp: falcon.Response, file: str) -> None:
        """Send one. Raises HTTPRouteNotFound if there is none of that name."""
        if file not in self._files:
            raise falcon.HTTPRouteNotFound
        self._files[file].on_get(req, resp)

    on_head = on_get


def page_routes() -> dict[str, WebFile | WebFolder]:
    """Return all of them, by path. Reads 2 MB, once."""
    package = files("alex_http")
    page = _read(package / "page", PAGE_POLICY)
    docs = _read(package / "docs_page", DOCS_POLICY) | _read(package / "docs_page" / "vendor", DOCS_POLICY)
    return {
        "/": page.pop(INDEX),
        "/page/{file}": WebFolder(page),
        "/docs": docs.pop(INDEX),
        "/docs/{file}": WebFolder(docs),
        "/favicon.ico": page["icon.svg"],  # which browsers ask for wherever they are shown a reply
    }


def _read(folder: Traversable, policy: str) -> dict[str, WebFile]:
    """Return the files of a folder that are of a known type, by name."""
    return {
        file.name: WebFile(file.read_bytes(), media_type=media_type, policy=policy)
        for file in folder.iterdir()
        for suffix, media_type in MEDIA_TYPES.items()
        if file.name.endswith(suffix)
    }
