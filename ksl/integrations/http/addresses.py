"""Which addresses a request may reach.

An address given by others (in an input, a redirect, a name's DNS records) must not lead to what only this machine
or its network can see: databases, the cloud's metadata, ksl itself. Pure; the network is in `network.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
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

# Forms of IPv6 that carry an IPv4 address: a gateway on the way may turn them into it. (network, the lowest bit
# of the carried address)
_CARRIERS: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("::/96"), 0),  # IPv4-compatible, long out of use
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)

# What the properties of `ipaddress` leave out or judged differently in some Python versions.
_SPECIAL: tuple[tuple[Network, str], ...] = (
    (IPv4Network("168.63.129.16/32"), "a cloud's metadata address"),
    (IPv4Network("100.64.0.0/10"), "a private address"),
    (IPv4Network("192.0.0.0/24"), "a private address"),
    (IPv4Network("192.88.99.0/24"), "a reserved address"),
    (IPv6Network("64:ff9b:1::/48"), "a private address"),
    (IPv6Network("fec0::/10"), "a private address"),
    (IPv6Network("2001::/23"), "a reserved address"),  # Teredo among others, which hides an IPv4 address
    (IPv6Network("100::/64"), "a reserved address"),
)


class AddressRules:
    """Everything but public addresses is refused, except what `allow` names: addresses and networks."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        """Errors: ValueError for what is neither."""
        self._allowed = tuple(ip_network(each, strict=False) for each in allow)

    def refusal(self, address: str) -> str | None:
        """What the address is, if it may not be reached: "a loopback address"."""
        ip = ip_address(address.partition("%")[0])
        carried = _carried(ip)
        for each in (ip, carried):
            if each is not None and any(each in net for net in self._allowed if net.version == each.version):
                return None
        return _kind(ip, carried)


def _kind(ip: Address, carried: IPv4Address | None = None) -> str | None:
    if ip.is_loopback:
        return "a loopback address"
    if ip.is_unspecified:
        return "the unspecified address"
    if ip.is_link_local:
        return "a link-local address"
    if ip.is_multicast:
        return "a multicast address"
    for network, kind in _SPECIAL:
        if ip.version == network.version and ip in network:
            return kind
    if carried is not None:
        return _kind(carried)
    if ip.is_private:
        return "a private address"
    return "a reserved address" if ip.is_reserved or not ip.is_global else None


def _carried(ip: Address) -> IPv4Address | None:
    if isinstance(ip, IPv6Address):
        for network, shift in _CARRIERS:
            if ip in network:
                return IPv4Address((int(ip) >> shift) & 0xFFFF_FFFF)
    return None
