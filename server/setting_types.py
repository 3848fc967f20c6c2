"""Types of settings: what a value may be, and how a text becomes one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    SecretStr,
)
from pydantic_settings import NoDecode

from server.postgres_address import PostgresAddress

_STORE_URL = re.compile(r"(s3|gs|az)://[A-Za-z0-9._-]+(/[A-Za-z0-9._=+-]+)*/?")

Rate = Annotated[float, Field(ge=0, le=1)]
Probes = Annotated[int, Field(ge=1, le=1000)]


def _separated(value: object) -> object:
    """Split a text at commas and spaces; leave another value as it is."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _devices(value: object) -> object:
    """Return names of devices: a number is a GPU's."""
    names = _separated(value)
    if not isinstance(names, list):
        return names
    if "all" in names and len(names) > 1:
        raise ValueError("all stands alone: name it, or the devices")
    return tuple(f"cuda:{name}" if str(name).isdecimal() else name for name in names)


def _given(value: object) -> object:
    """Refuse an empty text, which as a path would be the current folder; return other values."""
    if isinstance(value, str) and not value.strip():
        raise ValueError("it is empty: give it a value, or do not set it")
    return value


def _database(value: SecretStr) -> SecretStr:
    """Refuse what is no URL of a database."""
    if value.get_secret_value():
        PostgresAddress.of(value.get_secret_value())
    return value


def _store(value: object) -> object:
    """Refuse what is no URL of a bucket, and one with a credential in it."""
    if value and not (isinstance(value, str) and _STORE_URL.fullmatch(value)):
        raise ValueError(
            "give it s3://bucket/prefix, gs:// or az://, without credentials, which the usual "
            "variables of these stores hold"
        )
    return value


Text = Annotated[str, BeforeValidator(_given)]
Location = Annotated[Path, BeforeValidator(_given)]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s,*]+)$")]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_separated)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_separated)]
Device = Annotated[str, Field(pattern=r"^(all|auto|[a-z]+(:[0-9]{1,3})?)$")]
Devices = Annotated[tuple[Device, ...], NoDecode, BeforeValidator(_devices)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database)]
StoreUrl = Annotated[str, BeforeValidator(_store)]
