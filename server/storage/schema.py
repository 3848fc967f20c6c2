"""Base of all tables of the database."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase

from server.storage.column_types import INTEGER, TEXT


class Base(DeclarativeBase):
    """Base of the tables: dictionaries and lists are stored as JSON. Times are Unix seconds."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: INTEGER,
        str: TEXT,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }
