"""Tabs of a browser on the pages of a server: what may never happen in one, and what keeps people out of it."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any, Literal, TypeAlias

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, expect

from tests.browser.event_sources import NODE_MODULES
from tests.live.process import SOON

Scheme: TypeAlias = Literal["light", "dark"]

WIDE, NARROW = 1400, 400
"""Pixels."""

AXE = NODE_MODULES / "axe-core" / "axe.min.js"
BARRIERS = ("serious", "critical")
"""The impacts, as axe says, that no finding may have."""

expect.set_options(timeout=SOON * 1000)


class Tabs:
    """Opens tabs, and keeps what went wrong in any: complaints on the console, errors, requests to other hosts.

    A violation of the content security policy is a complaint on the console. The end raises AssertionError if
    there was anything that was not allowed. Tabs of one look share a profile, as those of one browser do.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.troubles: list[str] = []
        self.replies: list[Response] = []
        self._browser = browser
        self._contexts: dict[tuple[int, Scheme], BrowserContext] = {}
        self._allowed: list[str] = []

    def open(self, path: str = "/", *, width: int = WIDE, scheme: Scheme = "light") -> Page:
        """Open a tab at a path of the server."""
        look = (width, scheme)
        if look not in self._contexts:
            viewport: Any = {"width": width, "height": 900}  # Any: Playwright's type for it is private
            self._contexts[look] = self._browser.new_context(color_scheme=scheme, viewport=viewport)
        page = self._contexts[look].new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("request", self._see)
        page.on("response", lambda reply: self.replies.append(reply))  # Playwright takes no built-in
        page.goto(self.url + path)
        return page

    def allow(self, complaint: str) -> None:
        """Let the browser complain of what a test makes happen: a pattern of the complaint."""
        self._allowed.append(complaint)

    def look(self) -> list[str]:
        """Return the troubles that were not allowed, so far."""
        for context in self._contexts.values():
            for page in context.pages:
                page.evaluate("0")  # Playwright tells of what happened only while it is asked for something
        return [one for one in self.troubles if not any(re.search(allowed, one) for allowed in self._allowed)]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _see(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.troubles.append(f"request: {request.url}")

    def __enter__(self) -> Tabs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        troubles = self.look() if error is None else []
        for context in self._contexts.values():
            context.close()
        assert troubles == []


def barriers(page: Page) -> list[str]:
    """Return what axe finds that keeps people out of the page as it is now, with where it is."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{finding['id']} ({finding['impact']}): {node['html'][:300]} {node['failureSummary']}"
        for finding in found["violations"]
        if finding["impact"] in BARRIERS
        for node in finding["nodes"]
    ]
