"""Who may come in: the host, the page and the token of a request, and how many requests of one client."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from alex_actors.ports import Clock
from alex_actors.values import Owner
from alex_http.callers import LOCAL, Caller, Denial
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
from alex_http.errors import MalformedRequest, MissingHost, Problem
from alex_http.exchange import Request
from alex_http.hosts import Hosts, is_exposed
from alex_http.operations import PROBES
from alex_http.origins import Env, Origins
from alex_http.pages import is_page
from alex_http.rates import Rate
from alex_http.tokens import NAME_PATTERN, Found, Token, Tokens
from alex_http.transport import counted_as

COOKIE = "alex_token"
"""In which a browser keeps the token that it was logged in with."""

WITHOUT_TOKEN = frozenset({"/api/login", "/api/logout"})
"""The paths, besides the probes, that are for those who have none yet, or one that is no good any more."""

WRONG_TOKENS_PER_MINUTE = 10
"""From one address; more are told to come later. What keeps a token from being guessed are its 256 random bits,
what keeps the log from being filled is ``FewLines``. So a right token is let in whatever its address sent."""

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
    ) -> None:
        """``tokens`` is their file, ``host`` what is listened on; 0 ``requests_per_minute`` are no limit."""
        now = clock.monotonic
        self.tokens = Tokens(tokens, always=is_exposed(host), now=now)
        self.origins = Origins(allowed=cors_origins)
        self._hosts = Hosts(listening=host, allowed=allowed_hosts)
        self._limit = requests_per_minute
        self._rate = Rate(per_minute=requests_per_minute, now=now) if requests_per_minute else None
        self._wrong = Rate(per_minute=WRONG_TOKENS_PER_MINUTE, now=now)

    def admit(self, req: Request) -> None:
        """Let a request in, and tell it for whom it is; or raise the Problem that keeps it out.

        Those that are kept out count as well, against their address as long as it is not known whose they are.
        """
        try:
            counts = self._let_in(req)
        except Problem:
            self._count(req)
            raise
        if counts:
            self._count(req)

    def may_write(self, env: Env) -> bool:
        """Return whether a request will be let in and may change something, as far as its headers tell.

        Only looks: nothing is counted or logged, since the request itself is still to come.
        """
        host = env.get("HTTP_HOST")
        if not host or not self._hosts.has(host):
            return False
        try:
            self.origins.check(env)
        except Problem:
            return False
        found = self.tokens.look()
        if found.trouble or not self.tokens.needed(found):
            return not found.trouble
        text = _sent(env)
        token = None if text is None else found.verified(text)
        return token is not None and token.revoked_at is None and token.scope != "read"

    def verified(self, req: Request, text: str) -> Token:
        """Return the token whose text somebody sent. Raises WrongToken, TooManyWrongTokens, TokensUnreadable."""
        return self._verified(req, text, self._found(req))

    def may_stay(self, caller: Caller) -> bool:
        """Return whether who came in before may still be sent what is new."""
        return self.tokens.is_valid(caller.token_id)

    def _let_in(self, req: Request) -> bool:
        """Return whether the request counts. Raises the Problem that keeps it out."""
        env = req.env
        host = env.get("HTTP_HOST")
        if not host:
            raise _denied(req, "host", MissingHost())
        if not self._hosts.has(host):
            raise _denied(req, "host", ForeignHost(host, self._hosts.names))
        try:
            self.origins.check(env)
        except Problem as problem:
            raise _denied(req, "origin", problem) from None
        if req.path in PROBES or self.origins.is_preflight(env):
            return False
        if is_page(req.path) and req.method in _READING:
            return False
        if req.path not in WITHOUT_TOKEN:
            req.caller = caller = self._caller(req)
            if caller.scope == "read" and req.method not in _READING:
                raise _denied(req, "scope", ScopeTooSmall(), caller.token_name)
            req.owner = self._owner(req, caller)
        return True

    def _count(self, req: Request) -> None:
        """Count a request of its owner, or else of its address. Raises TooManyRequests."""
        if self._rate is None or req.is_repeated:
            return
        caller = req.caller
        client = ("owner", caller.owner) if caller.token_id else ("address", counted_as(req.address))
        if wait := self._rate.take(client):
            raise _denied(req, "too_many", TooManyRequests(wait, limit=self._limit), caller.token_name) from None

    def _caller(self, req: Request) -> Caller:
        found = self._found(req)
        if not self.tokens.needed(found):
            return LOCAL
        text = _sent(req.env)
        if text is None:
            raise _denied(req, "missing", TokenMissing())
        token = self._verified(req, text, found)
        return Caller(Owner(token.owner), token.scope, token.id, token.name)

    def _found(self, req: Request) -> Found:
        found = self.tokens.look()
        if found.trouble:
            raise _denied(req, "unreadable", TokensUnreadable(found.trouble))
        return found

    def _verified(self, req: Request, text: str, found: Found) -> Token:
        token = found.verified(text)
        if token is not None and token.revoked_at is None:
            return token
        reason, name = ("wrong", "") if token is None else ("revoked", token.name)
        problem: Problem = WrongToken(revoked=token is not None)
        if wait := self._wrong.take(counted_as(req.address)):
            problem = TooManyWrongTokens(wait, limit=WRONG_TOKENS_PER_MINUTE)
        raise _denied(req, reason, problem, name)

    def _owner(self, req: Request, caller: Caller) -> Owner:
        """Return for whom the request is: an administrator may say so."""
        named: str | None = req.env.get("HTTP_X_ALEX_OWNER")
        if named is None:
            return caller.owner
        if caller.scope != "admin":
            raise _denied(req, "not_admin", NotAdmin(), caller.token_name)
        if not _OWNER.fullmatch(named):
            raise MalformedRequest("X-Alex-Owner must be 1 to 64 letters, digits, '.', '_', '@' and '-'")
        return Owner(named)


def _denied(req: Request, reason: str, problem: Problem, token_name: str = "") -> Problem:
    """Return the problem, after telling the request why it is kept out, for its log line."""
    req.denial = Denial(reason, token_name)
    return problem


def _sent(env: Env) -> str | None:
    """Return the token that came with a request: the header's if it has one, else the cookie's."""
    scheme, _, text = env.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return str(text.strip())
    for cookie in env.get("HTTP_COOKIE", "").split(";"):
        name, _, value = cookie.partition("=")
        if name.strip() == COOKIE:
            return str(value.strip().strip('"'))
    return None
