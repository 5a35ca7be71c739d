"""Who asks, where a proxy says so; and by what addresses are counted."""

from __future__ import annotations

import pytest

from alex_http.transport.proxies import Proxies, counted_as

PROXIES = Proxies(["10.0.0.0/8", "2001:db8:f::1", "127.0.0.1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("192.0.2.9", "192.0.2.1", "192.0.2.9"),  # not trusted
        ("", "192.0.2.1", ""),
        ("10.0.0.1", "203.0.113.5, 192.0.2.1", "192.0.2.1"),  # what the client itself sent stands left of it
        ("10.0.0.1", "203.0.113.5,192.0.2.1 , 10.9.9.9,\t2001:db8:f::1", "192.0.2.1"),
        ("10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("10.0.0.1", "192.0.2.1:4711", "192.0.2.1"),
        ("10.0.0.1", '"[2001:db8::7]:4711"', "2001:db8::7"),
        ("10.0.0.1", "2001:DB8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1, unknown, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "192.0.2.1, ", "10.0.0.1"),
        ("10.0.0.1", "<script>", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1\r\nX: y", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.999", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1" + ", 10.1.1.1" * 10_000, "10.1.1.1"),  # no more than twenty are looked at
    ],
)
def test_the_client_is_the_right_most_address_that_is_not_trusted(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert PROXIES.client(peer, forwarded) == client


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert Proxies([]).client("127.0.0.1", "192.0.2.1") == "127.0.0.1"
    assert Proxies([]).scheme("127.0.0.1", "https") == "http"


@pytest.mark.parametrize(
    ("peer", "forwarded", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", " HTTPS ", "https"),
        ("10.0.0.1", "http", "http"),
        ("10.0.0.1", "https, http", "http"),
        ("10.0.0.1", "http,https", "https"),
        ("10.0.0.1", "", "http"),
        ("10.0.0.1", None, "http"),
        ("10.0.0.1", "javascript", "http"),
        ("192.0.2.1", "https", "http"),
    ],
)
def test_the_scheme_is_the_last_that_a_trusted_proxy_wrote(peer: str, forwarded: str | None, scheme: str) -> None:
    assert PROXIES.scheme(peer, forwarded) == scheme


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nothing:of:that", "nothing:of:that"),
    ],
)
def test_an_ipv6_subscriber_is_one_client_with_all_addresses_of_a_network(address: str, counted: str) -> None:
    assert counted_as(address) == counted
