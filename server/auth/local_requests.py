"""Requests to a server without keys: only those from programs and pages of this machine.

Without keys the server cannot tell who asks. Any web page can make the user's browser send requests
to a loopback address. So a request has to come from loopback, name a loopback host, and not come
from a page of another origin or through a proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from server.auth.bind_address import is_loopback
from server.auth.proxies import Forwarded, has_forwarding_headers
from server.errors import Forbidden

_KEYS = "or make a key with `palimpsest keys create`."
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check(scope: Scope, forwarded: Forwarded, allowed_origins: Collection[str] = ()) -> None:
    """Raise Forbidden unless a request comes from this machine, and from no foreign web page.

    Args:
        scope: The request.
        forwarded: Where it came from.
        allowed_origins: Origins of web pages that may use the server, such as
            "https://app.example".
    """
    headers = Headers(scope=scope)
    _check_addresses(scope, forwarded)
    _check_proxies(headers, forwarded)
    host = _check_host(headers)
    _check_page(headers, f"{forwarded.proto}://{host}", allowed_origins)


def _check_addresses(scope: Scope, forwarded: Forwarded) -> None:
    server = scope.get("server")
    peers = (scope.get("client"), server)
    if not all(peer and is_loopback(peer[0]) for peer in peers):
        raise Forbidden(
            "This server has no keys, so it answers on loopback only. To serve other hosts, make "
            "a key with `palimpsest keys create`, or set PALIMPSEST_KEYS_FILE.",
            code="loopback_only",
        )
    if forwarded.by_proxy and not is_loopback(forwarded.client or ""):
        raise Forbidden(
            "This server has no keys, so it answers clients on loopback only, and the proxy names "
            f"the client {forwarded.client or 'in no X-Forwarded-For'}. Make a key with "
            "`palimpsest keys create`.",
            code="loopback_only",
        )


def _check_proxies(headers: Headers, forwarded: Forwarded) -> None:
    if has_forwarding_headers(headers) and not forwarded.by_proxy:
        raise Forbidden(
            "The request came through a proxy, and this server has no keys to tell callers apart: "
            f"name the proxy in PALIMPSEST_TRUSTED_PROXIES, {_KEYS}",
            code="proxy_not_trusted",
        )


def _check_host(headers: Headers) -> str:
    """Return the request's Host. Raise Forbidden unless it is one loopback name."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not is_loopback_host(hosts[0]):
        raise Forbidden(
            "This server has no keys, so it answers requests for localhost, 127.0.0.1 and [::1] "
            f"only, not for Host {', '.join(hosts)[:80]!r}: use one of these, {_KEYS}",
            code="host_not_allowed",
        )
    return hosts[0]


def _check_page(headers: Headers, own: str, allowed_origins: Collection[str]) -> None:
    """Raise Forbidden for a request of a web page of another origin."""
    origins = headers.getlist("origin")
    sites = {site.strip().lower() for site in headers.getlist("sec-fetch-site")}
    is_own = False
    if origins:
        origin = _origin(origins[0]) if len(origins) == 1 else None
        if origin is not None and origin in {_origin(allowed) for allowed in allowed_origins}:
            return
        is_own = origin is not None and origin == _origin(own)
        if not is_own:
            raise _foreign(f"of the origin {', '.join(origins)[:80]!r}")
    if foreign := sites - {"none", "same-origin", *(["same-site"] if is_own else [])}:
        raise _foreign(f"of another site (Sec-Fetch-Site: {min(foreign)[:20]})")


def _foreign(which: str) -> Forbidden:
    return Forbidden(
        f"A web page {which} may not use this server, which has no keys: open the address in the "
        "browser itself, or allow the page's origin in PALIMPSEST_CORS_ORIGINS.",
        code="origin_not_allowed",
    )


def is_loopback_host(host: str) -> bool:
    """Return True for `localhost`, 127.0.0.0/8 and `[::1]`, each with or without a port."""
    name, port = host, ""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        if not bracket:
            return False
        port = port or ":0"
    elif ":" in host:
        name, _, port = host.partition(":")
        port = f":{port}"
    if port and not (port.startswith(":") and port[1:].isascii() and port[1:].isdigit()):
        return False
    if host.startswith("["):
        return _is_v6_loopback(name)
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.IPv4Address(name).is_loopback
    except ValueError:
        return False


def _is_v6_loopback(name: str) -> bool:
    try:
        return ipaddress.IPv6Address(name) == ipaddress.IPv6Address("::1")
    except ValueError:
        return False


def _origin(text: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an origin; None for "null" and everything else."""
    try:
        parts = urlsplit(text)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username or "@" in parts.netloc:
        return None
    if parts.hostname is None or port is None:
        return None
    return parts.scheme, parts.hostname, port
