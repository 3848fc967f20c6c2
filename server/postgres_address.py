"""Address of a PostgreSQL database, read from its URL. The password is shown nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_FORM = "postgresql+psycopg://user:password@host:5432/name"
_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")
_ESCAPED = "escape what is special in user and password, as %40 for @"
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
CONNECT_TIMEOUT_S = 3
"""Time for one address of the host to answer."""


@dataclass(frozen=True)
class PostgresAddress:
    """Place of a database, and who asks for it."""

    name: str
    """Host, port and name of the database, for an operator."""
    options: Mapping[str, Any] = field(repr=False)
    """Options of libpq, the password among them."""

    @classmethod
    def of(cls, url: str) -> PostgresAddress:
        """Return the address that a URL stands for.

        Options of libpq may follow, as in `?sslmode=verify-full`. What the URL leaves out, libpq
        takes from its own variables and files (`PGPASSWORD`, `~/.pgpass`).

        Raises:
            ValueError: It is no such URL. The message shows nothing of it.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
            query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        except ValueError:
            raise ValueError(f"it is no URL like {_FORM}; {_ESCAPED}") from None
        database = parts.path.removeprefix("/")
        if parts.scheme not in _SCHEMES or parts.fragment or not database or "/" in database:
            raise ValueError(f"it is no URL like {_FORM}; {_ESCAPED}")
        if _BROKEN_ESCAPE.search(url):
            raise ValueError(f"a % in it begins no escape; {_ESCAPED}")
        given = {
            "host": host and unquote(host),
            "port": port,
            "user": parts.username and unquote(parts.username),
            "password": parts.password and unquote(parts.password),
            "dbname": unquote(database),
        }
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            # Else the end of a host that is cut off is noticed after minutes.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "application_name": "palimpsest",
            **{name: value for name, value in given.items() if value},
            **query,
        }
        _check(options)
        place = ":".join(str(options[part]) for part in ("host", "port") if part in options)
        return cls(f"{place or 'localhost'}/{options['dbname']}", options)

    def scrubbed(self, text: str) -> str:
        """Return a text without the password, should it be in it."""
        password = str(self.options.get("password", ""))
        return text.replace(password, "***") if password else text


def _check(options: Mapping[str, Any]) -> None:
    # Not at the top: with SQLite nothing needs it.
    from psycopg import Error
    from psycopg.conninfo import make_conninfo

    try:
        make_conninfo(**options)
    except Error as error:  # its message names an unknown option
        raise ValueError(f"{error}; what may follow the ? are options of libpq") from None
