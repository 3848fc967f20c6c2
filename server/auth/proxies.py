"""Proxies in front of the server: headers that they add, and the proxies that are believed.

Anybody can write these headers. They are believed only from the addresses in
`PALIMPSEST_TRUSTED_PROXIES`, and ignored or refused from all others.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

Network = IPv4Network | IPv6Network

_FORWARDED = "palimpsest.forwarded"
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")

_NAMES = frozenset(
    {
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "client-ip",
        "cf-connecting-ip",
        "cdn-loop",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x-original-forwarded-for",
        "x-original-host",
        "x-original-url",
        "fastly-client-ip",
        "fly-client-ip",
        "x-appengine-user-ip",
        "x-proxyuser-ip",
        "x-scheme",
    }
)
"""Headers of proxies, beside all that begin with X-Forwarded."""


@dataclass(frozen=True)
class Forwarded:
    """A request as it was before the trusted proxies passed it on.

    Without a trusted proxy these are the connection's own values.
    """

    client: str | None
    """Address of the client; None if a proxy did not say it in a form that can be read."""
    proto: str
    """"http" or "https"."""
    prefix: str = ""
    """Path under which the proxy shows this server, such as "/video"; empty for none."""
    host: str | None = None
    """The host and port that the client asked for, if a proxy says so."""
    by_proxy: bool = False
    """True if a trusted proxy passed the request on, and said so."""


class TrustedProxies:
    """The proxies whose headers are believed.

    Args:
        networks: Their addresses.
    """

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    def trusts(self, address: str | None) -> bool:
        """Return True if the address is a trusted proxy's."""
        ip = _ip(address or "")
        return ip is not None and any(ip in network for network in self._networks)

    def read(self, scope: Scope) -> Forwarded:
        """Return where a request came from, and keep it for `forwarded_of`."""
        peer = (scope.get("client") or (None,))[0]
        scheme = str(scope.get("scheme", "http")).replace("ws", "http")
        found = Forwarded(client=peer, proto=scheme)
        headers = Headers(scope=scope)
        if self.trusts(peer) and has_forwarding_headers(headers):
            found = self._of(headers, scheme)
        scope[_FORWARDED] = found
        return found

    def _of(self, headers: Headers, scheme: str) -> Forwarded:
        proto = headers.get("x-forwarded-proto", "").strip().lower()
        prefix = headers.get("x-forwarded-prefix", "").strip().rstrip("/")
        host = headers.get("x-forwarded-host", "").strip()
        return Forwarded(
            client=self._client(headers.getlist("x-forwarded-for")),
            proto=proto if proto in ("http", "https") else scheme,
            prefix=prefix if _PREFIX.fullmatch(prefix) and ".." not in prefix else "",
            host=host if _HOST.fullmatch(host) else None,
            by_proxy=True,
        )

    def _client(self, values: list[str]) -> str | None:
        """Return the last address in X-Forwarded-For that is not a trusted proxy's.

        What stands before it was written by a machine that is not trusted.
        """
        hops = [hop.strip() for value in values for hop in value.split(",")]
        client: str | None = None
        for hop in reversed(hops):
            ip = _ip(_without_port(hop))
            if ip is None:
                return None
            client = str(ip)
            if not self.trusts(client):
                break
        return client


def forwarded_of(scope: Scope) -> Forwarded:
    """Return where a request came from, as the guard has read it."""
    found = scope.get(_FORWARDED)
    return found if isinstance(found, Forwarded) else TrustedProxies().read(scope)


def has_forwarding_headers(headers: Headers) -> bool:
    """Return True if a request has any header that proxies add."""
    names = {name.lower().replace("_", "-") for name in headers}
    return any(name in _NAMES or name.startswith("x-forwarded") for name in names)


def disable_uvicorns(environment: MutableMapping[str, str] = os.environ) -> None:
    """Keep uvicorn from believing these headers, which it does from loopback by default.

    The guard has to see the address of the connection. Call it before uvicorn is configured.
    """
    environment["FORWARDED_ALLOW_IPS"] = ""


def _ip(address: str) -> Any:
    """Return an address, IPv4 if it is an IPv4 address written as IPv6; None if it is none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
