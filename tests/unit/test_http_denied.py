"""What is logged of those who are not let in, how they are counted, and who may send a large body."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alex_http.few_lines import LINES_PER_MINUTE, FewLines
from alex_http.rates import MOST_CLIENTS
from alex_http.refusals import BodyLimits, Refusals
from alex_http.tokens import Scope
from alex_http.transport import Head, RefusedRequest
from tests.unit.fake_runtime import CountedIds, Log
from tests.unit.guarded_server import Guarded, SetClock

UNKNOWN = "alex_" + "0" * 12 + "_" + "0" * 64
LONG = "/" + "x" * 8000
USUAL, OF_IMPORT = 10, 1000


@pytest.fixture
def server(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


@pytest.mark.parametrize(
    ("headers", "reason", "status"),
    [
        ({}, "missing", 401),
        ({"Authorization": f"Bearer {UNKNOWN}"}, "wrong", 403),
        ({"Host": "evil.example"}, "host", 403),
        ({"Origin": "http://evil.example"}, "origin", 403),
        ({"Sec_Fetch_Site": "cross-site"}, "origin", 403),
    ],
)
def test_who_is_not_let_in_costs_one_short_line_with_all_that_is_known(
    server: Guarded, headers: dict[str, str], reason: str, status: int
) -> None:
    server.make()

    server.request("GET", LONG, address="10.0.0.1", **headers)

    (line,) = server.log.lines
    assert (line["event"], line["log_level"], line["reason"]) == ("http.denied", "warning", reason)
    assert (line["status"], line["duration"], line["address"], line["method"]) == (status, 0.0, "10.0.0.1", "GET")
    assert line["path"] == LONG[:100]
    assert line["request_id"]
    assert line["trace_id"]


def test_a_flood_of_one_address_has_sixty_lines_a_minute_and_one_that_says_how_many_more(server: Guarded) -> None:
    server.make()
    for _ in range(LINES_PER_MINUTE + 40):
        server.request("GET", LONG, address="10.0.0.1")
        server.request("GET", LONG, address="10.0.0.1", Host="evil.example")
    flood = list(server.log.lines)

    server.request(address="10.0.0.2")
    server.clock.seconds += 60
    server.request("GET", "/health")

    assert len(flood) == LINES_PER_MINUTE
    assert len(json.dumps(flood)) < LINES_PER_MINUTE * 400
    of_another, summary, probe = server.log.lines[len(flood) :]
    assert (of_another["event"], of_another["address"]) == ("http.denied", "10.0.0.2")
    assert summary == {"event": "http.denied", "log_level": "warning", "address": "10.0.0.1", "more": 140}
    assert probe["event"] == "http.request"


def test_the_next_minute_begins_anew() -> None:
    clock, log = SetClock(), Log()
    few = FewLines(clock=clock, log=log.logger)
    first = [few.may_have_one("x", "2001:db8::1") for _ in range(LINES_PER_MINUTE)]

    before, another = few.may_have_one("x", "2001:db8::2"), few.may_have_one("y", "2001:db8::1")
    clock.seconds += 60
    after = few.may_have_one("x", "2001:db8::1")
    few.tell()

    assert all(first)
    assert (before, another, after) == (False, True, True)
    assert log.only("x")["more"] == 1


def test_addresses_that_are_too_many_share_their_lines() -> None:
    few = FewLines(clock=SetClock(), log=Log().logger)
    for number in range(MOST_CLIENTS):
        few.may_have_one("x", str(number))

    lines = [few.may_have_one("x", str(MOST_CLIENTS + number)) for number in range(2 * LINES_PER_MINUTE)]

    assert lines.count(True) == LINES_PER_MINUTE
    assert len(few._counts) == MOST_CLIENTS + 1


def test_what_the_parser_refuses_has_as_few_lines() -> None:
    log = Log()
    refusals = Refusals(ids=CountedIds(), clock=SetClock(), log=log.logger)

    for _ in range(LINES_PER_MINUTE + 1):
        refusals(RefusedRequest(400, "x" * 8000, {}, address="10.0.0.1"))

    assert len(log.lines) == LINES_PER_MINUTE
    assert (log.lines[0]["reason"], log.lines[0]["address"]) == ("x" * 100, "10.0.0.1")


def test_those_who_are_not_let_in_are_counted_by_address_and_harm_no_right_token(tmp_path: Path) -> None:
    server = Guarded(tmp_path, requests_per_minute=2)
    text = server.make()

    strangers = [
        server.request(address="10.0.0.1"),
        server.request(address="10.0.0.1", Host="evil.example"),
        server.request(address="10.0.0.1", token=UNKNOWN),
        server.request("GET", "/health", address="10.0.0.1", Host="evil.example"),
    ]
    right = server.request(address="10.0.0.1", token=text)

    assert [one.status_code for one in strangers] == [401, 403, 429, 429]
    assert right.status_code == 200
    assert server.reasons() == ["missing", "host", "too_many", "too_many"]


# Large bodies.


def limit_of(server: Guarded, method: str = "POST", path: str = "/api/import", **headers: str) -> int:
    limits = BodyLimits(usual=USUAL, of_import=OF_IMPORT, may_write=server.access.may_write)
    return limits(Head(method, path, {"HOST": "localhost", **headers}))


def test_while_there_is_no_token_who_may_come_in_may_import(server: Guarded) -> None:
    assert limit_of(server) == OF_IMPORT
    assert limit_of(server, "GET") == limit_of(server, path="/api/tasks") == USUAL
    assert limit_of(server, HOST="evil.example") == limit_of(server, HOST="") == USUAL
    assert limit_of(server, ORIGIN="http://evil.example") == USUAL


@pytest.mark.parametrize(("scope", "limit"), [("read", USUAL), ("write", OF_IMPORT), ("admin", OF_IMPORT)])
def test_else_only_a_good_token_that_may_write_may_send_a_large_body(
    server: Guarded, scope: Scope, limit: int
) -> None:
    text = server.make(scope=scope)

    assert limit_of(server, AUTHORIZATION=f"Bearer {text}") == limit
    assert limit_of(server, COOKIE=f'a=b; alex_token="{text}"; c') == limit
    assert limit_of(server) == limit_of(server, AUTHORIZATION=f"Bearer {UNKNOWN}") == USUAL
    server.file.revoke("ann")
    assert limit_of(server, AUTHORIZATION=f"Bearer {text}") == USUAL
    server.path.write_bytes(b"{")
    assert limit_of(server, AUTHORIZATION=f"Bearer {text}") == USUAL
    assert server.log.lines == []
