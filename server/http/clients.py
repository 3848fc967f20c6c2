"""Clients as the limits count them: by address, and an IPv6 network of one customer as one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address


def client_of(address: str) -> str:
    """Return the name of the client that has this address.

    It is the network of 64 bits for IPv6, since each customer has all addresses of one; the IPv4
    address if that is what an IPv6 address stands for; and what is no address stays as it is.
    """
    ip = _ip(address)
    if isinstance(ip, IPv6Address) and not ip.is_loopback:
        return str(IPv6Network((ip.packed[:8] + bytes(8), 64)))
    return address if ip is None else str(ip)


def is_local(address: str) -> bool:
    """Return True for this machine's own addresses, and for a Unix socket, which has none."""
    ip = _ip(address)
    return ip is None or ip.is_loopback


def _ip(address: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip
