"""Reading a request's body: its size, its type, its JSON."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from alex_http.errors import BadBody, BodyTooLarge, NotJson
from alex_http.exchange import Request
from alex_http.faults import Fields, refuse_doubled_names

T = TypeVar("T", bound=msgspec.Struct)

_JSON = "application/json"
_UTF_8 = frozenset({"utf-8", "utf8"})


class Body(Generic[T]):
    """Reads bodies into one kind of struct.

    ``limit`` is in bytes. An absent body is as good as ``{}`` if it is ``optional``.
    """

    def __init__(self, struct: type[T], *, limit: int, optional: bool = False) -> None:
        self._limit = limit
        self._optional = optional
        self._struct = struct
        self._decode = msgspec.json.Decoder(struct).decode
        self._fields = Fields(struct)

    def read(self, req: Request) -> T:
        """Return the decoded body.

        Raises BadBody, BadFields, BodyTooLarge, NotJson.
        """
        return self.read_with_data(req)[0]

    def read_with_data(self, req: Request) -> tuple[T, bytes]:
        """Return the decoded body, and what it was decoded from. Raises what ``read`` raises."""
        data = self._bytes(req)
        if data:
            _require_json(req.content_type)
        return self._decoded(data), data

    def read_untyped(self, req: Request) -> T:
        """Return the decoded body, whatever its Content-Type: for calls that need none."""
        return self._decoded(self._bytes(req))

    def _bytes(self, req: Request) -> bytes:
        return _body_of(req, self._limit)

    def _decoded(self, data: bytes) -> T:
        if not data and self._optional:
            return self._struct()
        if not data:
            raise BadBody("The request has no body. Send a JSON object.")
        try:
            value = self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._fields.problem(data) from None
        refuse_doubled_names(data)
        return value


def read_json(req: Request, *, limit: int) -> bytes:
    """Return a body of at most ``limit`` bytes that says it is JSON, as it was sent.

    Raises BadBody, BodyTooLarge, NotJson.
    """
    data = _body_of(req, limit)
    if not data:
        raise BadBody("The request has no body. Send a JSON object.")
    _require_json(req.content_type)
    return data


def _body_of(req: Request, limit: int) -> bytes:
    # The server has taken the whole body, and given a chunked one its length.
    length = req.content_length or 0
    if length > limit:
        raise BodyTooLarge(limit)
    data: bytes = req.stream.read(length) if length else b""
    return data


def _require_json(content_type: str | None) -> None:
    """Raise NotJson unless the type is JSON in UTF-8."""
    if content_type == _JSON:
        return
    media_type, _, parameters = (content_type or "").lower().partition(";")
    if media_type.strip() != _JSON:
        raise NotJson(content_type)
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in _UTF_8:
            raise NotJson(content_type)
