"""Reads requests: stricter than waitress where two readers could disagree, and within the limits of this server.

What is refused has the status of RFC 9110 and RFC 6585 as its code; who answers it finds more words for it.
"""

from __future__ import annotations

import re
from typing import Any

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # waitress has no types
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]  # waitress has no types
from waitress.utilities import Error  # type: ignore[import-untyped]  # waitress has no types

from alex_http.transport.limits import FREE, STEP, Head, Limits, Memory

LONGEST_CONTROL_LINE = 4096
"""Bytes of a chunk's size and extensions. waitress searches all that it has of one anew with each piece."""
LONGEST_REST = 64
"""Bytes of a request line besides its target: of a line that is not whole, which is which is not known."""

_TRANSFER_ENCODING = re.compile(rb"^transfer-encoding[ \t]*:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_NO_METHOD = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")


class Unread(Error):  # type: ignore[misc]  # waitress has no types
    """A request that is not read to its end. ``limit`` is the one that it exceeds, in bytes, if there is one."""

    def __init__(self, code: int, detail: str, limit: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.limit = limit


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Reads one request. For the loop's thread, and ``close`` and ``release`` for any."""

    command = ""
    path = ""
    error: Any  # one of waitress' or None: waitress has no types
    body_rcv: Any  # as above

    def __init__(
        self,
        adj: Adjustments,
        *,
        limits: Limits | None = None,
        max_body: int = 0,
        memory: Memory | None = None,
        large_memory: Memory | None = None,
    ) -> None:
        """Without ``limits``, it is hardly stricter than waitress, and those of the adjustments alone hold."""
        super().__init__(adj)
        self._limits = limits
        self._max_body = max_body
        self._memory = memory
        self._large_memory = large_memory
        self._counted = 0
        self._refused: Unread | None = None

    def received(self, data: bytes) -> int:
        """Take what came; return how much of it was this request's."""
        begun = self.header_plus
        in_body = self.body_rcv is not None
        consumed: int = super().received(data)
        if self._refused is not None:
            self.error = self._refused
        if self._limits is not None:
            if in_body:
                self._check_body(self._limits)
            elif self.error is not None or not self.headers_finished:
                self._check_head((begun + data).lstrip(), self._limits)
            self._count()
        if self.error is not None and not in_body and (begun + data).lstrip().startswith(b"HEAD "):
            self.command = "HEAD"  # waitress forgets it with headers that it refuses; the reply must have no body
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers. Raises ParsingError."""
        try:
            super().parse_header(header_plus)
        except ValueError:
            raise ParsingError("Its target or its Content-Length cannot be read") from None
        if self.chunked and "CONTENT_LENGTH" in self.headers:  # RFC 9112, section 6.1: somebody is smuggling
            raise ParsingError("It has both a Content-Length and a Transfer-Encoding")
        if "," in self.headers.get("HOST", ""):  # RFC 9112, section 3.2: waitress joins what comes twice
            raise ParsingError("It has more than one Host")
        if self.proxy_netloc:  # RFC 9112, section 3.2.2: the target's host, if it names one, is the host
            self.headers["HOST"] = self.proxy_netloc
        limits = self._limits
        if limits is None:
            return
        self._check_framing(header_plus)
        if _CONTROL.search(self.request_uri):
            raise ParsingError("Its target has a control character, which has to be percent-encoded")
        if len(self.request_uri) > limits.url_bytes:
            self._too_large(414, "Its target is too long", limits.url_bytes)
        if limits.body_of is not None:
            self._may_be_as_large_as(limits.body_of(Head(self.command, self.path, self.headers)))
        if self.content_length > self._max_body:
            self._too_large(413, "Its Content-Length is too large", self._max_body)

    def _may_be_as_large_as(self, most: int) -> None:
        """Take notice of its own limit, and have it take from the memory for large ones if it may be one."""
        if most > self._max_body and (self.chunked or self.content_length > self._max_body):
            self.release()
            self._memory = self._large_memory
        self._max_body = most

    def _check_framing(self, header_plus: bytes) -> None:
        """Refuse what another reader may take for two requests, or half of one. Raises ParsingError."""
        if b"\r" in header_plus.partition(b"\r\n")[0]:  # at the end of the line waitress drops it
            raise ParsingError("Bare CR or LF found in HTTP message")
        if self.version not in ("1.0", "1.1"):  # waitress takes others for 1.0, without their Transfer-Encoding
            raise ParsingError("It is not HTTP/1.1, nor HTTP/1.0")
        codings = [coding.strip(b" \t").lower() for coding in _TRANSFER_ENCODING.findall(header_plus)]
        if not codings:
            return
        if self.version != "1.1":
            raise ParsingError("It has a Transfer-Encoding, which HTTP/1.0 does not have")
        if codings != [b"chunked"]:
            raise ParsingError("Its Transfer-Encoding is not 'chunked', once")

    def _too_large(self, code: int, detail: str, limit: int) -> None:
        self._refused = Unread(code, detail, limit)
        raise ParsingError(detail)

    def _check_head(self, head: bytes, limits: Limits) -> None:
        """Refuse at once what will be refused, instead of waiting for a rest that may never come."""
        line, ended, _ = head.partition(b"\r\n")
        if len(line) > limits.url_bytes + LONGEST_REST:
            self._end(Unread(414, "Its request line is too long", limits.url_bytes))
        elif self.error is not None:
            if self.error.code == 431:
                self._end(Unread(431, "Its headers are too large", limits.header_bytes))
        elif _NO_METHOD.match(head):
            self._end(Unread(400, "It does not begin with a method. This port takes HTTP without TLS"))
        elif b"\n" in line or b"\r" in line[:-1] or (ended and b"\r" in line):
            self._end(Unread(400, "Bare CR or LF found in HTTP message"))

    def _check_body(self, limits: Limits) -> None:
        """Refuse what is too large of a body in chunks; what has a length was refused by that."""
        if not self.chunked or self.error is not None:
            return
        if self.body_bytes_received > self._max_body:
            self._end(Unread(413, "Its body is too large", self._max_body))
        elif len(self.body_rcv.control_line) > LONGEST_CONTROL_LINE:
            self._end(Unread(400, "The size of a chunk, with its extensions, is too long"))
        elif len(self.body_rcv.trailer) > limits.header_bytes:
            self._end(Unread(431, "Its trailers are too large", limits.header_bytes))

    def _end(self, error: Unread) -> None:
        self.error = error
        self.completed = True

    # The memory that it takes.

    def _count(self) -> None:
        """Take the memory for what is kept, or refuse the request if there is none."""
        size = len(self.header_plus) + (0 if self.body_rcv is None else len(self.body_rcv))
        if size <= max(FREE, self._counted) or self._memory is None or self.error is not None:
            return
        wanted = -(-size // STEP) * STEP
        if self._memory.grow(self._counted, wanted):
            self._counted = wanted
        else:
            self.refuse(503, "There is no memory for it now")

    def refuse(self, code: int, detail: str) -> None:
        """Read no more of it, keep nothing, and have it answered with this status."""
        self._end(Unread(code, detail))
        self.header_plus = b""
        if self.body_rcv is not None:
            self.body_rcv.getbuf().close()
        self.release()

    def release(self) -> None:
        """Give the memory back: nobody will read the request any more. From any thread, any number of times."""
        counted, self._counted = self._counted, 0
        if counted and self._memory is not None:
            self._memory.give_back(counted)

    def close(self) -> None:
        """Take notice that it is answered."""
        self.release()
        super().close()
