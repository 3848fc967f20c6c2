"""Where the server may listen: without keys, on loopback only."""

from __future__ import annotations

import ipaddress

import click

from server.settings import Settings


class AddressRefused(click.ClickException):
    """The server was told to listen where anybody could use it without a key."""


def check(settings: Settings) -> None:
    """Raises AddressRefused when ``bentoml serve`` is about to open a port it must not open."""
    context = click.get_current_context(silent=True)
    host = str((context.params.get("host") if context is not None else None) or settings.host)
    if settings.keys_file is None and not is_loopback(host):
        raise AddressRefused(
            f"Without a keys file the server listens on loopback only, not on {host}. Set "
            "PALIMPSEST_KEYS_FILE (see `python -m server.auth.keys --help`), or serve with "
            "--host 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
