"""What many calls have in common: parameters, and problems."""

from __future__ import annotations

from alex_http import denials, errors, refusals, wire
from alex_http.openapi import examples
from alex_http.openapi.parts import Json, Parameter
from alex_http.query import LARGEST
from alex_http.tokens import NAME_PATTERN

COMMON = (
    errors.MissingHost,
    errors.MalformedRequest,
    errors.BadParameters,
    denials.ForeignHost,
    denials.ForeignOrigin,
    denials.ForeignSite,
    refusals.RequestTimeout,
    errors.BodyTooLarge,
    refusals.UrlTooLong,
    denials.TooManyRequests,
    errors.HeadersTooLarge,
    errors.InternalError,
    errors.UnknownTransferCoding,
    errors.ServiceUnavailable,
)
"""What any call may be answered with."""

WITH_TOKEN = (denials.TokenMissing, denials.WrongToken, denials.ScopeTooSmall, denials.NotAdmin)
"""What a call that needs a token, if the server has any, may be answered with."""

BODY = (errors.BadBody, errors.BadFields, errors.NotJson)
"""What a call with a JSON body may be answered with."""

ID: Json = {"type": "string", "pattern": f"^{wire.ID_PATTERN}$"}
COUNT: Json = {"type": "integer", "minimum": 0, "maximum": LARGEST}

TASK_ID = Parameter(
    name="task_id", where="path", says="The task.", schema={"type": "string"}, example=examples.TASK_ID
)
SESSION_ID = Parameter(
    name="session_id", where="path", says="The session.", schema={"type": "string"}, example=examples.SESSION_ID
)
OFFSET = Parameter(name="offset", where="query", says="How many to skip.", schema=COUNT | {"default": 0})
AFTER = Parameter(name="after", where="query", says="Only events with a larger id.", schema=COUNT | {"default": 0})
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    where="header",
    says="The same as `after`, which it beats. Of a stream alone: a page does not look at it.",
    schema=COUNT,
)
OWNER = Parameter(
    name="X-Alex-Owner",
    where="header",
    says="The owner for whom to act. Only a token of scope `admin` may.",
    schema={"type": "string", "pattern": f"^{NAME_PATTERN}$"},
)


def limit(default: int, says: str = "How many at most.") -> Parameter:
    """Return the parameter that limits a page."""
    schema = {"type": "integer", "minimum": 1, "maximum": 1000, "default": default}
    return Parameter(name="limit", where="query", says=says, schema=schema)


STREAM: Json = {"type": "string", "description": "Server-sent events; the data of each is an `Event`."}
FRAMES = (
    "The first frame is `event: connected`, without an id. Then every event of the {what} above the position asked"
    " for comes once, in the order of the ids: the recorded ones, then the live ones. `id:` is the event's id,"
    " `event:` its type, `data:` one line of JSON, an `Event`. Without an event a comment comes every 10 seconds."
    " {end}"
)
"""How a stream of a task or a session begins, goes on and ends."""
