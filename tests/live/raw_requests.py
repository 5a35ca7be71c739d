"""Requests as no HTTP library sends them: well-known attacks, and valid ones with something wrong in them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import NamedTuple

BODY = b'{"task": "What is 2 + 2?", "metadata": {"a": "b"}}'
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
HOST = b"Host: localhost"
JSON = b"Content-Type: application/json"

ANY: frozenset[int] = frozenset()
"""Whatever is no fault of the server."""


class Case(NamedTuple):
    """What is sent, and the statuses of which the first reply has to have one."""

    name: str
    sent: bytes
    statuses: frozenset[int] = ANY
    says_end: bool = True
    """Whether the client closes its side: else it is half a request, and waits for the rest to be missed."""


def request(*lines: bytes, body: bytes = b"") -> bytes:
    """Return a request from its lines."""
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(*lines: bytes, body: bytes = BODY, version: bytes = b"1.1") -> bytes:
    """Return a submit, whose framing is in ``lines``."""
    return request(b"POST /api/tasks HTTP/" + version, HOST, JSON, *lines, body=body)


def sized(body: bytes) -> bytes:
    """Return a submit with a body of its length."""
    return post(b"Content-Length: %d" % len(body), body=body)


def chunked(body: bytes, *lines: bytes) -> bytes:
    """Return a submit in chunks, which ``body`` is as it is sent."""
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def get(target: bytes, *lines: bytes) -> bytes:
    """Return a request for a target."""
    return request(b"GET " + target + b" HTTP/1.1", HOST, *lines)


def case(name: str, sent: bytes, *statuses: int) -> Case:
    """Return a case."""
    return Case(name, sent, frozenset(statuses))


SHAPES: tuple[Case, ...] = (
    case("two lengths", post(b"Content-Length: 5", b"Content-Length: 6", body=b"00000" + SMUGGLED), 400),
    case("one length twice", post(b"Content-Length: 2", b"Content-Length: 2", body=b"{}" + SMUGGLED), 400),
    case("lengths in a list", post(b"Content-Length: 2, 2", body=b"{}" + SMUGGLED), 400),
    case("CL.TE", post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED), 400),
    case("TE.CL", post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n" + SMUGGLED), 400),
    case(
        "TE.TE", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: cow", body=b"0\r\n\r\n" + SMUGGLED), 501
    ),
    case("twice chunked", post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n" + SMUGGLED), 400),
    case("chunked not last", post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n" + SMUGGLED), 501),
    case("no coding", post(b"Transfer-Encoding:", b"Content-Length: 2", body=b"{}" + SMUGGLED), 400),
    case("folded coding", post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + SMUGGLED), 400),
    case("tab before coding", post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n" + SMUGGLED), 400, 501),
    case("space before colon", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED), 400),
    case("chunked in 1.0", post(b"Transfer-Encoding: chunked", version=b"1.0", body=b"0\r\n\r\n" + SMUGGLED), 400),
    case("chunked in 1.2", post(b"Transfer-Encoding: chunked", version=b"1.2", body=b"0\r\n\r\n" + SMUGGLED), 400),
    case("length with a sign", post(b"Content-Length: +2", body=b"{}" + SMUGGLED), 400),
    case("length below nothing", post(b"Content-Length: -1", body=SMUGGLED), 400),
    case("length in hex", post(b"Content-Length: 0x2", body=b"{}" + SMUGGLED), 400),
    case("length with a line feed", post(b"Content-Length: 2\n", body=b"{}" + SMUGGLED), 400),
    case("endless length", post(b"Content-Length: " + b"9" * 5000), 400),
    case("length of everything", post(b"Content-Length: 18446744073709551617"), 413),
    case("too large a body", post(b"Content-Length: 2097153"), 413),
    case("chunk of everything", chunked(b"f" * 40 + b"\r\n{}")),
    case("chunk with a sign", chunked(b"+2\r\n{}\r\n0\r\n\r\n" + SMUGGLED), 400),
    case("chunk in 0x", chunked(b"0x2\r\n{}\r\n0\r\n\r\n" + SMUGGLED), 400),
    case("chunk with a bare LF", chunked(b"2\n{}\r\n0\r\n\r\n" + SMUGGLED), 400),
    case("chunk that is longer than it says", chunked(b"2\r\n{}XX\r\n0\r\n\r\n" + SMUGGLED), 400),
    case("chunk with extensions", chunked(b"2;a=b;c\r\n{}\r\n0\r\n\r\n"), 400, 422),
    case("endless extension", chunked(b"2;" + b"a" * 6000), 400),
    case("bad extension", chunked(b"2;\x00\r\n{}\r\n0\r\n\r\n" + SMUGGLED), 400),
    case("trailers", chunked(b"2\r\n{}\r\n0\r\nX: y\r\nContent-Length: 5\r\n\r\n"), 400),
    case(
        "chunks of a byte", chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in b'{"task": 1}') + b"0\r\n\r\n"), 400
    ),
    case("100,000 headers", get(b"/ready", *(b"a%d: b" % number for number in range(100_000))), 431),
    case("a large header", get(b"/ready", b"X: " + b"x" * 70_000), 431),
    case("a long URL", get(b"/" + b"x" * 8192), 414),
    case("a long URL without an end", b"GET /" + b"x" * 70_000, 414),
    case("a long query", get(b"/api/tasks?" + b"limit=1&" * 2000), 414),
    case("NUL in the target", get(b"/re\x00ady"), 400),
    case("NUL in the target, encoded", get(b"/re%00ady"), 404),
    case("NUL in a header", get(b"/ready", b"X: a\x00b"), 400),
    case("NUL in a name", get(b"/ready", b"X\x00: a"), 400),
    case("CR in a header", get(b"/ready", b"X: a\rb"), 400),
    case("LF in a header", get(b"/ready", b"X: a\nb"), 400),
    case("bare LFs", b"GET /ready HTTP/1.1\nHost: localhost\n\n", 400),
    case("bare CRs", b"GET /ready HTTP/1.1\rHost: localhost\r\r", 400),
    case("CR before the end", b"GET /ready HTTP/1.1\r\r\nHost: localhost\r\n\r\n", 400),
    case("empty lines first", b"\r\n\r\n\r\n" + get(b"/ready"), 200),
    case("a folded header", get(b"/ready", b"X: a\r\n b"), 200, 400),
    case("a folded first header", request(b"GET /ready HTTP/1.1", b" Host: localhost"), 400),
    case("no host", request(b"GET /ready HTTP/1.1"), 400),
    case("two hosts", get(b"/ready", b"Host: evil.example"), 400),
    case("an empty host", request(b"GET /ready HTTP/1.1", b"Host:"), 400),
    case("a foreign host", request(b"GET /ready HTTP/1.1", b"Host: evil.example"), 403),
    case("a host and a path", request(b"GET /ready HTTP/1.1", b"Host: localhost/x"), 403),
    case("an absolute URL", get(b"http://localhost/ready"), 200),
    case("an absolute URL elsewhere", get(b"http://evil.example/ready"), 403),
    case("an absolute URL with a user", get(b"http://localhost@evil.example/ready"), 403),
    case("an absolute URL that is none", get(b"http://["), 400),
    case("no scheme", get(b"://ready")),
    case("two slashes", get(b"//ready"), 404),
    case("two slashes and a host", get(b"//evil.example/ready"), 404),
    case("a star", request(b"OPTIONS * HTTP/1.1", HOST), 404),
    case("an authority", request(b"CONNECT localhost:80 HTTP/1.1", HOST)),
    case("no slash", get(b"ready"), 404),
    case("dots", get(b"/api/../ready"), 404),
    case("dots, encoded", get(b"/api/%2e%2e/ready"), 404),
    case("half a percent", get(b"/ready%"), 404),
    case("no hex", get(b"/ready%zz"), 404),
    case("no UTF-8 in the path", get(b"/api/tasks/\xff\xfe"), 400, 404),
    case("no UTF-8 in the path, encoded", get(b"/api/tasks/%ff%fe"), 400, 404),
    case("a slash, encoded", get(b"/api%2ftasks/x"), 404),
    case("a line feed, encoded", get(b"/api/tasks/a%0d%0aX: y"), 400),
    case("a line feed in an ID", get(b"/api/tasks/a%0d%0aX:y"), 404),
    case("no UTF-8 in the query", get(b"/api/tasks?session_id=%ff"), 200, 400),
    case("a bad query", get(b"/api/tasks?limit=9" + b"9" * 5000), 400),
    case("HTTP/0.9", b"GET /ready\r\n\r\n", 400),
    case("HTTP/1.2", request(b"GET /ready HTTP/1.2", HOST), 400),
    case("HTTP/9.9", request(b"GET /ready HTTP/9.9", HOST), 400),
    case("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", 400),
    case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2, 400),
    case("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400),
    case("SOCKS", b"\x05\x01\x00", 400),
    case("nothing at all", b""),
    case("a method in small letters", request(b"get /ready HTTP/1.1", HOST), 400),
    case("a method that nobody knows", request(b"BREW /ready HTTP/1.1", HOST), 405),
    case("a long method", request(b"A" * 5000 + b" /ready HTTP/1.1", HOST)),
    case("deep JSON", sized(b"[" * 100_000), 400),
    case("deep JSON in a field", sized(b'{"metadata": ' + b'{"a":' * 100_000 + b"}" * 100_001), 400),
    case("deep JSON in an unknown field", sized(b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"), 400),
    case("a huge number", sized(b'{"task": "a", "max_iterations": ' + b"9" * 100_000 + b"}"), 400),
    case("a huge exponent", sized(b'{"task": "a", "timeout_seconds": 1e999999}'), 400),
    case("no number", sized(b'{"task": "a", "timeout_seconds": NaN}'), 400),
    case("half a character", sized(b'{"task": "\\ud800"}'), 400),
    case("no UTF-8 in JSON", sized(b'{"task": "\xff"}'), 400),
    case("NUL in JSON", sized(b'{"task": "a\x00"}'), 400),
    case("100,000 names", sized(json.dumps({f"a{number}": 1 for number in range(100_000)}).encode()), 400),
    case("a string and more", sized(b'"What is it that is 2 + 2?", "metadata": {"a": 1}}'), 400),
    case("a name twice", sized(b'{"task": "a", "task": "b"}'), 400),
    case("a byte order mark", sized(b"\xef\xbb\xbf{}"), 400),
    case("a body for GET", get(b"/ready", b"Content-Length: 5") + b"hello", 200),
    case("an expectation that nobody knows", get(b"/ready", b"Expect: the-unexpected"), 200, 417),
    case("an upgrade", get(b"/ready", b"Connection: Upgrade", b"Upgrade: websocket"), 200),
    case("half a request", b"GET /ready HTTP/1.1\r\nHost: local"),
    case("half a body", post(b"Content-Length: 500", body=b'{"task"')),
)

VALID: tuple[bytes, ...] = (
    get(b"/ready"),
    get(b"/health"),
    get(b"/api/tasks?limit=2&offset=1"),
    get(b"/api/tasks/task-1/events?after=3", b"Accept: application/json"),
    get(
        b"/api/sessions/session-1", b"X-Request-ID: a", b"traceparent: 00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01"
    ),
    get(b"/api/sessions/s/events", b"Last-Event-ID: 5", b"Accept: text/event-stream"),
    request(b"HEAD /api/tasks HTTP/1.1", HOST),
    request(b"DELETE /api/sessions/nobody HTTP/1.1", HOST),
    request(b"OPTIONS /api/tasks HTTP/1.1", HOST, b"Origin: http://localhost"),
    sized(BODY.replace(b'"b"', b"1")),
    sized(b'{"task": "a", "session_id": "\\u0000", "multitask_strategy": "none"}'),
    chunked(b'5\r\n{"tas\r\n6\r\nk": 1}\r\n0\r\n\r\n'),
    post(b"Content-Length: 2", b"Expect: 100-continue", b"Idempotency-Key: abc", body=b"{}"),
    get(b"/ready") + get(b"/nowhere") + get(b"/ready"),
)

TOKENS: tuple[bytes, ...] = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b",", b";", b"/", b"//", b"?", b"#", b"%", b"%00", b"..",
    b"%0d%0a", b"\xff", b"\x80", b"\xc3\xa9", b"\xe2\x80\xa8", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/3.0", b"HEAD ",
    b"GET ", b"POST ", b"Content-Length: 0\r\n", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Host: a\r\n", b"Origin: null\r\n", b"0\r\n\r\n",
    b"ffffffff\r\n", b"{", b"[", b'"', b"\\u", b"9" * 400, b"A" * 3000, b"[" * 2000, b"http://", b"@",
    b"Range: bytes=0-\r\n", b"Authorization: Bearer x\r\n", b"Cookie: alex=1\r\n", b"Last-Event-ID: -1\r\n",
    b"Accept: */*;q=x\r\n", b"Content-Encoding: gzip\r\n",
)  # fmt: skip


def drawn(rng: random.Random) -> Case:
    """Return half a request now and then; else a valid one with one to five things wrong in it, or a shape."""
    if rng.random() < 0.01:
        whole = rng.choice(VALID[:-1])
        return Case("half", whole[: rng.randint(1, whole.index(b"\r\n\r\n"))], frozenset({408}), says_end=False)
    sent = rng.choice(VALID) if rng.random() < 0.8 else rng.choice(SHAPES).sent[:20_000]
    for _ in range(rng.randint(1, 5)):
        sent = rng.choice(MUTATIONS)(rng, sent)
    return Case("mutated", sent)


def _insert(rng: random.Random, sent: bytes) -> bytes:
    at = rng.randint(0, len(sent))
    return sent[:at] + rng.choice(TOKENS) + sent[at:]


def _replace(rng: random.Random, sent: bytes) -> bytes:
    at = rng.randint(0, len(sent))
    return sent[:at] + rng.choice(TOKENS) + sent[at + rng.randint(1, 8) :]


def _flip(rng: random.Random, sent: bytes) -> bytes:
    if not sent:
        return sent
    at = rng.randrange(len(sent))
    return sent[:at] + bytes([sent[at] ^ 1 << rng.randrange(8)]) + sent[at + 1 :]


def _cut(rng: random.Random, sent: bytes) -> bytes:
    at = rng.randint(0, len(sent))
    return sent[:at] + sent[at + rng.randint(0, 30) :]


def _double(rng: random.Random, sent: bytes) -> bytes:
    begin = rng.randint(0, len(sent))
    end = begin + rng.randint(0, 60)
    return sent[:end] + sent[begin:]


def _double_line(rng: random.Random, sent: bytes) -> bytes:
    lines = sent.split(b"\r\n")
    at = rng.randrange(len(lines))
    return b"\r\n".join([*lines[: at + 1], *lines[at:]])


def _append(rng: random.Random, sent: bytes) -> bytes:
    return sent + (rng.randbytes(rng.randint(1, 200)) if rng.random() < 0.3 else rng.choice(VALID))


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _insert, _insert, _replace, _replace, _flip, _cut, _double, _double_line, _append,
)  # fmt: skip
