"""The calls that are about the server itself, as the document has them."""

from __future__ import annotations

from collections.abc import Mapping

from alex_http import denials, errors, wire
from alex_http.login import LoginIn
from alex_http.openapi import examples
from alex_http.openapi.parts import JSON_TYPE, Operation, Reply
from alex_http.openapi.shared import BODY

SERVER_CALLS: Mapping[tuple[str, str], Operation] = {
    ("/api/login", "post"): Operation(
        name="login",
        tag="server",
        says="Log a browser in.",
        more="A program sends its token with each request, and needs no login.",
        scope=None,
        body=LoginIn,
        body_examples={"token": examples.LOGIN},
        replies=[Reply(status=204, says="The browser has a cookie with the token.", headers=["Set-Cookie"])],
        problems=(*BODY, denials.WrongToken, denials.TooManyWrongTokens),
    ),
    ("/api/logout", "post"): Operation(
        name="logout",
        tag="server",
        says="Log a browser out.",
        scope=None,
        body=wire.EmptyIn,
        body_required=False,
        body_examples={"empty": {}},
        replies=[Reply(status=204, says="The cookie is gone.", headers=["Set-Cookie"])],
        problems=(errors.BadBody, errors.BadFields),
    ),
    ("/health", "get"): Operation(
        name="health",
        tag="server",
        says="Tell how each component is.",
        scope=None,
        replies=[
            Reply(status=200, says="All of them do their work.", body={JSON_TYPE: wire.HealthOut}),
            Reply(status=503, says="One is down.", body={JSON_TYPE: wire.HealthOut}, headers=["Retry-After"]),
        ],
    ),
    ("/ready", "get"): Operation(
        name="ready",
        tag="server",
        says="Tell whether tasks are accepted.",
        scope=None,
        replies=[Reply(status=200, says="They are.", body={JSON_TYPE: wire.ReadyOut}, example=examples.READY)],
        problems=[errors.NotReady],
    ),
    ("/metrics", "get"): Operation(
        name="metrics",
        tag="server",
        says="Read what the server measures.",
        more="In the text format of Prometheus, or as OpenMetrics for who accepts that. Of all owners together.",
        scope="read",
        replies=[
            Reply(
                status=200,
                says="The metrics.",
                body={"text/plain": {"type": "string"}, "application/openmetrics-text": {"type": "string"}},
            )
        ],
    ),
    ("/openapi.json", "get"): Operation(
        name="openapi",
        tag="server",
        says="Read this document.",
        scope="read",
        replies=[Reply(status=200, says="The document.", body={JSON_TYPE: {"type": "object"}})],
    ),
}
