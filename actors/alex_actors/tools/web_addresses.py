"""Which addresses ``web_fetch`` may connect to: those of the public Internet, and those that the settings allow.

A page, or a model that was talked into it, may name any host, and a name may resolve to anything: to this machine,
to one behind the same firewall, to the service that hands out a cloud machine's credentials (server-side request
forgery, CWE-918). So the decision is made on the address that is then connected to, and never on a name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, for a port. Raises OSError if it has none."""

_NOT_PUBLIC_4 = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "a carrier's, shared by its customers"),
        ("127.0.0.0/8", "this machine"),
        ("168.63.129.16/32", "a cloud's own service"),  # Azure's, in the middle of public addresses
        ("169.254.0.0/16", "link-local"),  # 169.254.169.254 is where clouds hand out credentials
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
"""IANA's registry of special-purpose addresses (RFC 6890). What Python knows of it differs by version."""

_PUBLIC_6 = IPv6Network("2000::/3")
"""All that was given out (RFC 4291). Beside it are loopback, private, link-local, multicast and reserved ones."""

_NOT_PUBLIC_6 = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("3fff::/20", "for documentation"),
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")
"""The last 32 bits are an IPv4 address (RFC 6052): in a network without IPv4 all sites look like that."""


class AllowedAddresses:
    """Decides whether an address may be connected to.

    ``allowed`` has hosts, such as ``wiki.example.internal``, and networks or addresses, such as ``10.1.2.0/24``,
    that may be though they are not public. Raises ValueError for what is neither.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for one in allowed:
            try:
                self._networks.append(ip_network(one))
            except ValueError:
                host = _plain(one)
                if not host or not all(c.isalnum() or c in "-._" for c in host) or "/" in one or _numeric(host):
                    raise ValueError(f"{one!r} is neither a host nor a network") from None
                self._hosts.add(host)

    def host(self, host: str) -> bool:
        """Return whether a host is allowed by its name, whatever its addresses."""
        return _plain(host) in self._hosts

    def refusal(self, address: str) -> str | None:
        """Return what an address is that may not be connected to; None if it may be.

        Raises ValueError for what is no address.
        """
        found = _inner(ip_address(address.partition("%")[0]))
        if any(found in network for network in self._networks):
            return None
        return _special(found)

    def listed(self, address: str) -> bool:
        """Return whether an address is one of the networks allowed. Raises ValueError for what is no address."""
        found = _inner(ip_address(address.partition("%")[0]))
        return any(found in network for network in self._networks)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address leads to, where a system or its network translates it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _special(address: IPv4Address | IPv6Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((what for network, what in _NOT_PUBLIC_4 if address in network), None)
    if address not in _PUBLIC_6:
        if address.is_loopback:
            return "this machine"
        if address.is_link_local:
            return "link-local"
        if address.is_multicast:
            return "multicast"
        return "private" if address.is_private and not address.is_reserved else "reserved"
    return next((what for network, what in _NOT_PUBLIC_6 if address in network), None)


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")


def _numeric(host: str) -> bool:
    return all(part.isdigit() for part in host.split("."))
