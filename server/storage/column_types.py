"""Types of columns, for the tables and for revisions from 0010 on.

Earlier revisions ran on SQLite only, whose types are wider than their names.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, String, TypeDecorator


class _PostgresText(TypeDecorator[str]):
    """Text of PostgreSQL, which refuses the character NUL.

    No stored text has one (`server.api.request_fields`), but a request can look for one. It gets
    the sign for an unknown character, and so finds nothing, as in SQLite.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value.replace("\0", "\ufffd") if isinstance(value, str) else value


# SQLite gives numbers to INTEGER alone, and stores 64 bits in it. PostgreSQL stores 32.
INTEGER = BigInteger().with_variant(Integer(), "sqlite")
# Compared byte by byte, as in SQLite: the order of a language changes with the system's library,
# which then finds nothing in older indexes.
TEXT = String().with_variant(_PostgresText(collation="C"), "postgresql")
