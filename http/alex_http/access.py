"""Who may come in: the host, the page and the token of a request, and how many requests of one client."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from alex_actors.ports import Clock
from alex_actors.values import Owner
from alex_http.callers import LOCAL, Caller
from alex_http.denials import (
    ForeignHost,
    NotAdmin,
    ScopeTooSmall,
    TokenMissing,
    TokensUnreadable,
    TooManyRequests,
    TooManyWrongTokens,
    WrongToken,
)
from alex_http.errors import MalformedRequest, MissingHost
from alex_http.exchange import Request, for_log
from alex_http.hosts import Hosts, is_exposed
from alex_http.operations import PROBES
from alex_http.origins import Origins
from alex_http.rates import Rate, client_at
from alex_http.tokens import NAME_PATTERN, Found, Token, Tokens

COOKIE = "alex_token"
"""In which a browser keeps the token that it was logged in with."""

WITHOUT_TOKEN = frozenset({"/api/login", "/api/logout"})
"""The paths, besides the probes, that are for those who have none yet, or one that is no good any more."""

WRONG_TOKENS_PER_MINUTE = 10
"""From one address. What keeps a token from being guessed are its 256 random bits; this keeps the log, which has a
line for each of these, from being filled. So a right token is let in whatever others of its address send."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWNER = re.compile(NAME_PATTERN)


class Access:
    """Decides for each request, before anything else is done with it. Any thread."""

    def __init__(
        self,
        *,
        tokens: Path,
        host: str,
        allowed_hosts: Sequence[str],
        cors_origins: Sequence[str],
        requests_per_minute: int,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """``tokens`` is their file, ``host`` what is listened on; 0 ``requests_per_minute`` are no limit."""
        now = clock.monotonic
        self.tokens = Tokens(tokens, always=is_exposed(host), now=now)
        self.origins = Origins(allowed=cors_origins)
        self._hosts = Hosts(listening=host, allowed=allowed_hosts)
        self._limit = requests_per_minute
        self._rate = Rate(per_minute=requests_per_minute, now=now) if requests_per_minute else None
        self._wrong = Rate(per_minute=WRONG_TOKENS_PER_MINUTE, now=now)
        self._log = log

    def admit(self, req: Request) -> None:
        """Let a request in, and tell it for whom it is; or raise the Problem that keeps it out."""
        env = req.env
        host = env.get("HTTP_HOST")
        if not host:
            raise MissingHost
        if not self._hosts.has(host):
            raise ForeignHost(host, self._hosts.names)
        self.origins.check(env)
        if req.path in PROBES or self.origins.is_preflight(env):
            return
        if req.path not in WITHOUT_TOKEN:
            req.caller = caller = self._caller(req)
            if caller.scope == "read" and req.method not in _READING:
                self._deny(req, "scope", caller.token_name)
                raise ScopeTooSmall
            req.owner = self._owner(req, caller)
        if self._rate is not None and not req.is_repeated:
            caller = req.caller
            client = ("owner", caller.owner) if caller.token_id else ("address", client_at(_address(req)))
            if wait := self._rate.take(client):
                raise TooManyRequests(wait, limit=self._limit)

    def verified(self, req: Request, text: str) -> Token:
        """Return the token whose text somebody sent. Raises WrongToken, TooManyWrongTokens, TokensUnreadable."""
        return self._verified(req, text, self._found())

    def may_stay(self, caller: Caller) -> bool:
        """Return whether who came in before may still be sent what is new."""
        return self.tokens.is_valid(caller.token_id)

    def _caller(self, req: Request) -> Caller:
        found = self._found()
        if not self.tokens.needed(found):
            return LOCAL
        text = _sent(req)
        if text is None:
            self._deny(req, "missing")
            raise TokenMissing
        token = self._verified(req, text, found)
        return Caller(Owner(token.owner), token.scope, token.id, token.name)

    def _found(self) -> Found:
        found = self.tokens.look()
        if found.trouble:
            raise TokensUnreadable(found.trouble)
        return found

    def _verified(self, req: Request, text: str, found: Found) -> Token:
        token = found.verified(text)
        if token is not None and token.revoked_at is None:
            return token
        if wait := self._wrong.take(client_at(_address(req))):
            raise TooManyWrongTokens(wait, limit=WRONG_TOKENS_PER_MINUTE)
        self._deny(req, "wrong" if token is None else "revoked", "" if token is None else token.name)
        raise WrongToken(revoked=token is not None)

    def _owner(self, req: Request, caller: Caller) -> Owner:
        """Return for whom the request is: an administrator may say so."""
        named: str | None = req.env.get("HTTP_X_ALEX_OWNER")
        if named is None:
            return caller.owner
        if caller.scope != "admin":
            self._deny(req, "not_admin", caller.token_name)
            raise NotAdmin
        if not _OWNER.fullmatch(named):
            raise MalformedRequest("X-Alex-Owner must be 1 to 64 letters, digits, '.', '_', '@' and '-'")
        return Owner(named)

    def _deny(self, req: Request, reason: str, token_name: str = "") -> None:
        about = {"token_name": token_name} if token_name else {}
        self._log.warning(
            "http.denied",
            reason=reason,
            address=_address(req),
            method=for_log(req.method),
            path=for_log(req.path),
            request_id=req.request_id,
            trace_id=req.trace_id,
            **about,
        )


def _sent(req: Request) -> str | None:
    """Return the token that came with a request: the header's if it has one, else the cookie's."""
    scheme, _, text = req.env.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return str(text.strip())
    cookies = req.get_cookie_values(COOKIE) if "HTTP_COOKIE" in req.env else None
    return cookies[0] if cookies else None


def _address(req: Request) -> str:
    return str(req.env.get("REMOTE_ADDR", ""))
