"""Which addresses a subscription may reach: the guard against server-side request forgery.

A URL is anyone's to name, and the request comes from inside: without a guard it would reach the
machine itself, its neighbours, and a cloud's metadata. Allowed is the public internet alone, and
beside it the networks that the settings name. What is judged is the address that the connection is
made to, after the name was resolved, never the name; an IPv6 address that stands for an IPv4 one
is judged as that one, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS_WELL_KNOWN = frozenset({80, 443})
PORT_FREE_MIN = 1024
"""Below it only web ports: mail and other text protocols can be made to act on an HTTP request."""

# Beyond what `ipaddress` calls private, reserved, link-local and so on.
_REFUSED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "100.64.0.0/10",  # carriers' and clouds' inner networks; Alibaba's metadata
        "168.63.129.16/32",  # Azure's host agent: a public address that never leaves the host
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.88.99.0/24",  # relays of 6to4
        "198.18.0.0/15",  # benchmarks
        "240.0.0.0/4",
        "fec0::/10",  # site-local, withdrawn and still routed
        "2001::/23",  # protocol assignments, Teredo among them
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""NAT64: the last 32 bits are the IPv4 address; what machines without IPv4 have for all others."""
_TRANSLATED_HERE = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class Reach:
    """The guard. `networks` are reachable beside the public internet."""

    networks: tuple[Network, ...] = ()

    def refusal(self, text: str, port: int, *, plain: bool = False) -> str:
        """Why a connection to this address and port must not be made; empty where it may be.

        `plain` is a connection without TLS: for the networks of the settings alone.
        """
        try:
            address = ip_address(text)
        except ValueError:
            return f"{text[:64]!r} is not an address"
        meant = stands_for(address)
        if all(self._named(each) for each in meant):
            return ""
        if bad := [each for each in meant if not is_public(each)]:
            return f"{bad[-1]} is not an address of the public internet"
        if plain:
            return "without TLS only the networks of the settings are reached"
        if port < PORT_FREE_MIN and port not in PORTS_WELL_KNOWN:
            return f"port {port} is not one of the web"
        return ""

    def _named(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def reach_of(networks: Sequence[str]) -> Reach:
    """The guard for networks written as `10.0.0.0/8`; raises `ValueError`."""
    return Reach(tuple(ip_network(text) for text in networks))


def stands_for(address: Address) -> list[Address]:
    """The addresses at which a connection may arrive: its own, unless it is an IPv4 address in the
    form of IPv6, and those that are wrapped in it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _TRANSLATED:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    wrapped: list[Address] = [address]
    if address.sixtofour is not None:
        wrapped.append(address.sixtofour)
    if address.teredo is not None:
        wrapped += address.teredo
    if address in _TRANSLATED_HERE or address in _COMPATIBLE:
        wrapped.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return wrapped


def is_public(address: Address) -> bool:
    """Whether it is an address of the public internet."""
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    refused = any(address in network for network in _REFUSED)
    return address.is_global and not special and not refused
