"""Logging in: a browser keeps the token in a cookie, since an ``EventSource`` cannot send ``Authorization``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import falcon
import msgspec
from msgspec import Meta

from alex_http.access import COOKIE, Access
from alex_http.bodies import Body
from alex_http.exchange import Request
from alex_http.query import Query
from alex_http.wire import EmptyIn

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class LoginIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a login."""

    token: Annotated[
        str, Meta(min_length=1, max_length=1000, description="a string: a token, as 'alex token create' showed it")
    ]


class Login:
    """``/api/login``."""

    def __init__(self, *, access: Access, max_body: int) -> None:
        self._access = access
        self._body = Body(LoginIn, limit=max_body)

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Give the browser a cookie with the token, which no script can read and no other site has sent along.

        It lasts until the browser ends, or until the token is revoked.
        """
        Query(req)
        text = self._body.read(req).token

        self._access.verified(req, text)
        _set_cookie(req, resp, text)


class Logout:
    """``/api/logout``."""

    def __init__(self, *, max_body: int) -> None:
        self._body = Body(EmptyIn, limit=max_body, optional=True)

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Have the browser forget its cookie."""
        Query(req)
        self._body.read_untyped(req)

        _set_cookie(req, resp, "", expires=_LONG_AGO)


def _set_cookie(req: Request, resp: falcon.Response, value: str, *, expires: datetime | None = None) -> None:
    # A proxy that ends TLS speaks plain HTTP with this server. One that is trusted says so; else the page's own
    # address does, which a browser sends along with each POST.
    secure = req.scheme == "https" or req.env.get("HTTP_ORIGIN", "").lower().startswith("https://")
    resp.set_cookie(COOKIE, value, expires=expires, path="/", secure=secure, http_only=True, same_site="Strict")
    resp.status = falcon.HTTP_204
