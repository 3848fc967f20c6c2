"""The address the server listens on: without keys, loopback only."""

from __future__ import annotations

import ipaddress

import click

from server.settings import Settings


class AddressRefused(click.ClickException):
    """The server was told to listen on an address where no key protects it."""


def check(settings: Settings, *, is_keyed: bool) -> None:
    """Raise AddressRefused if `bentoml serve` is about to open a port beyond loopback without keys.

    The host is the command line's `--host`, else the setting's.

    Args:
        settings: The server's settings.
        is_keyed: True if the server has a key, in a file or in its database.
    """
    context = click.get_current_context(silent=True)
    host = str((context.params.get("host") if context is not None else None) or settings.host)
    if not is_keyed and not is_loopback(host):
        raise AddressRefused(
            f"Without keys the server listens on loopback only, not on {host}. Make a key with "
            "`palimpsest keys create`, set PALIMPSEST_KEYS_FILE, or serve with --host 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Return True if an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
