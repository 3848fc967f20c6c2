"""Address that a server is about to listen on, and its URL."""

from __future__ import annotations

import click

from server.settings import Settings

_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def listening_address(settings: Settings) -> tuple[str, int]:
    """Return host and port: those of BentoML's command line, else those of the settings."""
    context = click.get_current_context(silent=True)
    given = context.params if context is not None else {}
    return str(given.get("host") or settings.host), int(given.get("port") or settings.port)


def url_of(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a server that listens there."""
    host = _LOOPBACK_OF.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
