"""Which pages may use the server from a browser, and what their browsers are told: CORS, of WHATWG Fetch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from alex_http.denials import ForeignOrigin, ForeignSite
from alex_http.hosts import LOOPBACK

REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "X-Alex-Owner",
    "X-Request-ID",
    "traceparent",
)
"""What the API takes that a browser asks leave for."""
REPLY_HEADERS = ("Location", "Retry-After", "X-Request-ID", "X-Trace-ID")
"""What the API answers that a page sees only if it is told so."""

PREFLIGHT_SECONDS = 600
"""How long a browser may remember that a page has leave. Chromium's own limit is two hours."""

_PORT = re.compile(r":[0-9]*\Z")

Env = Mapping[str, Any]
"""WSGI's environment has values of many types."""


class Origins:
    """The origins whose pages may use the server: its own, and ``allowed``, as browsers send them.

    This keeps the pages of all other sites from making a browser that reaches the server, and is logged in, send
    requests in its user's name. It keeps out no program: those send what they like, and need a token.
    """

    def __init__(self, *, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def check(self, env: Env) -> None:
        """Raise ForeignOrigin or ForeignSite for a request of a page of another site."""
        origin = env.get("HTTP_ORIGIN")
        if origin is not None:
            host, sent = env["HTTP_HOST"], origin.lower()
            if sent not in self._allowed and sent not in _own(host.lower()):
                raise ForeignOrigin(origin, host)
        elif (site := env.get("HTTP_SEC_FETCH_SITE")) is not None and site not in ("same-origin", "none"):
            # No Origin: a script or an image of another page, or a link that somebody followed.
            followed = env.get("HTTP_SEC_FETCH_MODE") == "navigate" and env["REQUEST_METHOD"] in ("GET", "HEAD")
            if not followed or env.get("HTTP_SEC_FETCH_DEST", "document") != "document":
                raise ForeignSite("same-site" if site == "same-site" else "cross-site")

    def is_preflight(self, env: Env) -> bool:
        """Return whether a browser asks leave for what an allowed page is about to send."""
        return (
            env["REQUEST_METHOD"] == "OPTIONS"
            and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in env
            and env.get("HTTP_ORIGIN", "").lower() in self._allowed
        )

    def preflight_headers(self) -> list[tuple[str, str]]:
        """Return what is answered then, besides the headers of every reply."""
        return [
            ("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE"),
            ("Access-Control-Allow-Headers", ", ".join(REQUEST_HEADERS)),
            ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
        ]

    def headers(self, origin: str | None) -> list[tuple[str, str]]:
        """Return what every reply to a request of that origin has, errors and streams too."""
        if not self._allowed:
            return []
        if origin is None or origin.lower() not in self._allowed:
            return [("Vary", "Origin")]
        return [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", ", ".join(REPLY_HEADERS)),
        ]


OWN_ORIGIN = Origins(allowed=())
"""No page but the server's own."""


def _own(host: str) -> Sequence[str]:
    """Return the origins of the server's own pages. By name it may be behind a proxy that ends TLS.

    On this machine ``https://localhost`` and ``http://localhost`` may be two servers: there it is not.
    """
    name = _PORT.sub("", host).strip("[]")
    return (f"http://{host}",) if name in LOOPBACK else (f"http://{host}", f"https://{host}")
