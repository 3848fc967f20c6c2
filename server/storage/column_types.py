"""Types of columns, for the tables and for revisions from 0010 on.

Earlier revisions ran on SQLite only, whose types are wider than their names.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String

# SQLite gives numbers to INTEGER alone, and stores 64 bits in it. PostgreSQL stores 32.
INTEGER = BigInteger().with_variant(Integer(), "sqlite")
# Compared byte by byte, as in SQLite: the order of a language changes with the system's library,
# which then finds nothing in older indexes.
TEXT = String().with_variant(String(collation="C"), "postgresql")
