"""Who asks, and how, where a proxy asks for somebody: X-Forwarded-For and -Proto, of those who are trusted."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

MOST_HOPS = 20
"""Addresses that are looked at: a client may send thousands, for each of which this would take microseconds."""
SUBSCRIBER = 64
"""Bits of an IPv6 address that tell one subscriber from another (RFC 6177): the rest each chooses freely."""


class Networks:
    """Some addresses and networks. Raises ValueError for what is none."""

    def __init__(self, names: Iterable[str]) -> None:
        self._networks: tuple[Network, ...] = tuple(map(ip_network, names))

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._networks)

    def have(self, address: Address | None) -> bool:
        """Return whether an address is one of them."""
        return address is not None and any(address in network for network in self._networks)


class Proxies:
    """The proxies that are trusted to tell for whom they ask."""

    def __init__(self, trusted: Iterable[str]) -> None:
        """``trusted`` has addresses and networks. Raises ValueError for what is none."""
        self._trusted = Networks(trusted)

    def client(self, peer: str, forwarded: str | None) -> str:
        """Return who asks, on a connection from ``peer``: its header's right-most address that is not trusted.

        What stands left of that may have been sent by anybody. What is no address, and what is left of it, counts
        as if it were not there.
        """
        if not forwarded or not self._is_trusted(peer):
            return peer
        client = peer
        for hop in reversed(forwarded.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
            address = address_of(hop)
            if address is None:
                break
            client = str(address)
            if not self._trusted.have(address):
                break
        return client

    def scheme(self, peer: str, forwarded: str | None) -> str:
        """Return the scheme by which the client came to a proxy, on a connection from ``peer``.

        Of several the last one, which that proxy wrote. ``http`` unless it says ``https``.
        """
        if not forwarded or not self._is_trusted(peer):
            return "http"
        return "https" if forwarded.rpartition(",")[2].strip(" \t").lower() == "https" else "http"

    def _is_trusted(self, peer: str) -> bool:
        return bool(self._trusted) and self._trusted.have(address_of(peer))


def address_of(text: str) -> Address | None:
    """Return the address in ``text``, which may have a port as in ``192.0.2.1:80`` or ``[2001:db8::1]:80``.

    None if there is none.
    """
    name = text.strip(' \t"')
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    try:
        address = ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address  # ::ffff:192.0.2.1, as some systems have IPv4


def counted_as(name: str) -> str:
    """Return under which name the connections from an address are counted: for IPv6, the subscriber's network."""
    if ":" not in name:
        return name
    address = address_of(f"[{name}]")
    if not isinstance(address, IPv6Address):
        return name if address is None else str(address)
    return str(IPv6Network((address, SUBSCRIBER), strict=False))
