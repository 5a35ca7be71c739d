"""Every way of not being let in, as a problem: the part of the tree in ``errors.py`` that the gate raises."""

from __future__ import annotations

from collections.abc import Sequence

from alex_http.errors import Forbidden, Problem, ServiceUnavailable, listed, quoted


class TokenMissing(Problem):
    """A token is needed, and none was sent."""

    status = 401
    title = "Unauthorized"

    def __init__(self) -> None:
        super().__init__(
            "This server asks for a token. Send it as 'Authorization: Bearer TOKEN'; a page logs in with"
            " POST /api/login. 'alex token create' makes one.",
            headers={"WWW-Authenticate": 'Bearer realm="Alex Runtime"'},
        )


class ForeignHost(Forbidden):
    """A name that somebody else may have pointed at this machine (DNS rebinding)."""

    def __init__(self, host: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"The Host {quoted(host)} is not one of this server. It answers to {listed(allowed)}, with any port."
            " The setting server.allowed_hosts has more names."
        )


class ForeignOrigin(Forbidden):
    """A page of another site, in a browser of somebody who can reach the server."""

    def __init__(self, origin: str, host: str) -> None:
        super().__init__(
            f"Pages of {quoted(origin)} may not use this server, only its own may, those of"
            f" {quoted(f'http://{host}')}, and those of the setting server.cors_origins. A program that is no"
            " browser sends no Origin."
        )


class ForeignSite(Forbidden):
    """As ForeignOrigin, where the browser does not say which page it is."""

    def __init__(self, site: str) -> None:
        super().__init__(
            f"The browser says that a page of another site asks for this (Sec-Fetch-Site: {site}). Only pages of"
            " this server may, and those of the setting server.cors_origins."
        )


class WrongToken(Forbidden):
    """A token that is none, or is none any more."""

    def __init__(self, *, revoked: bool) -> None:
        why = "has been revoked" if revoked else "is not one of this server"
        super().__init__(
            f"The token {why}. 'alex token list' shows those that there are, 'alex token create' makes one."
        )


class ScopeTooSmall(Forbidden):
    """A token that may not do this."""

    def __init__(self) -> None:
        super().__init__(
            "The token may only read: its scope is 'read'. This call takes one of scope 'write' or 'admin'."
        )


class NotAdmin(Forbidden):
    """A token that may only act for its own owner."""

    def __init__(self) -> None:
        super().__init__(
            "Only a token of scope 'admin' may act for another owner. Leave the header X-Alex-Owner out."
        )


class TooManyRequests(Problem):
    """More than are taken of one client. ``wait`` is in whole seconds."""

    status = 429
    title = "Too Many Requests"

    def __init__(self, wait: int, *, limit: int) -> None:
        self.wait = wait
        super().__init__(self._detail(limit), headers={"Retry-After": str(wait)})

    def _detail(self, limit: int) -> str:
        return (
            f"More than {limit:,} requests a minute of one client are not taken here (limits.requests_per_minute)."
            f" Try again in {self.wait} s."
        )


class TooManyWrongTokens(TooManyRequests):
    """Somebody tries tokens, or a program goes on with one that is wrong."""

    def _detail(self, limit: int) -> str:
        return (
            f"The token is wrong, as were more than {limit} from this address within a minute."
            f" Try again in {self.wait} s, with another one."
        )


class TokensUnreadable(ServiceUnavailable):
    """Whether a token is right cannot be known; so nobody comes in."""

    def __init__(self, trouble: str) -> None:
        super().__init__(
            f"The server cannot tell who may come in: its file of tokens {trouble}. Whoever operates it has to"
            " mend that; then it is seen at once."
        )
