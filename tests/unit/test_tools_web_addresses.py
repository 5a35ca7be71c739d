"""Which addresses may be connected to: every form that leads to a place of one's own is refused."""

from __future__ import annotations

import pytest

from alex_actors.tools.web_addresses import AllowedAddresses

PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
]

REFUSED = [
    ("0.0.0.0", "this network"),
    ("10.0.0.1", "private"),
    ("100.64.0.1", "a carrier's, shared by its customers"),
    ("100.100.100.200", "a carrier's, shared by its customers"),  # Alibaba's metadata
    ("127.0.0.1", "this machine"),
    ("127.255.255.254", "this machine"),
    ("168.63.129.16", "a cloud's own service"),
    ("169.254.169.254", "link-local"),  # nearly everybody's metadata
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.192", "reserved"),  # Oracle's metadata
    ("192.0.2.1", "for documentation"),
    ("192.88.99.1", "reserved"),
    ("192.168.1.1", "private"),
    ("198.18.0.1", "for benchmarks"),
    ("198.51.100.1", "for documentation"),
    ("203.0.113.1", "for documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "reserved"),
    ("::", "reserved"),
    ("::1", "this machine"),
    ("::127.0.0.1", "reserved"),  # the IPv4-compatible form
    ("::ffff:127.0.0.1", "this machine"),
    ("::ffff:a9fe:a9fe", "link-local"),
    ("::ffff:0:127.0.0.1", "reserved"),  # the translated form of RFC 2765
    ("64:ff9b::127.0.0.1", "this machine"),
    ("64:ff9b::a9fe:a9fe", "link-local"),
    ("64:ff9b:1::1.1.1.1", "private"),  # a NAT64 of one's own
    ("100::1", "private"),  # discards
    ("2001::1", "a Teredo tunnel"),
    ("2001:0:7f00:1::1", "a Teredo tunnel"),
    ("2001:2::1", "reserved"),
    ("2001:20::1", "reserved"),
    ("2001:db8::1", "for documentation"),
    ("2002:7f00:1::1", "a 6to4 tunnel"),
    ("3fff::1", "for documentation"),
    ("5f00::1", "reserved"),
    ("fc00::1", "private"),
    ("fd00:ec2::254", "private"),  # Amazon's metadata
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("fec0::1", "private"),
    ("ff02::1", "multicast"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    assert AllowedAddresses().refusal(address) is None


@pytest.mark.parametrize(("address", "what"), REFUSED)
def test_an_address_that_is_not_public_is_refused_in_every_form(address: str, what: str) -> None:
    refusal = AllowedAddresses().refusal(address)

    assert refusal is not None
    # What Python calls private and what reserved differs by version; that it is refused does not.
    assert refusal == what or {refusal, what} == {"private", "reserved"}


def test_networks_that_are_allowed_may_be_connected_to_and_others_not() -> None:
    addresses = AllowedAddresses(["10.1.2.0/24", "fd12::/16", "192.168.0.7"])

    allowed = ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "192.168.0.7"]
    refused = ["10.1.3.1", "fd13::1", "192.168.0.8", "127.0.0.1"]

    assert [addresses.refusal(address) for address in allowed] == [None] * 4
    assert None not in [addresses.refusal(address) for address in refused]


def test_a_host_is_allowed_by_its_whole_name_alone() -> None:
    addresses = AllowedAddresses(["Wiki.example.internal"])

    names = ["wiki.example.internal", "WIKI.example.internal.", "example.internal", "a.wiki.example.internal"]

    assert [addresses.host(name) for name in names] == [True, True, False, False]


@pytest.mark.parametrize("wrong", ["", "http://wiki", "10.0.0.1/8", "10.0.0.300", "wiki/24", "a b", "*.internal"])
def test_what_is_neither_a_host_nor_a_network_is_an_error(wrong: str) -> None:
    with pytest.raises(ValueError, match="is neither a host nor a network"):
        AllowedAddresses([wrong])
