"""Marking: what a clip and a report say of themselves, signed, and how that is checked.

A clip carries a signed statement that it was generated, and by which encoder (C2PA); a report is
the subject of a signed statement (in-toto, DSSE). Everything here works offline, on bytes: keys
are kept and chosen by the server.

Importing this package imports neither torch nor the libraries that sign.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marking.errors import MarkInvalid, NotMarked, SigningFailed, SigningKeyInvalid
    from marking.signing_key import SigningKey

__all__ = ["MarkInvalid", "NotMarked", "SigningFailed", "SigningKey", "SigningKeyInvalid"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = "marking.signing_key" if name == "SigningKey" else "marking.errors"
        return getattr(import_module(module), name)
    raise AttributeError(f"module 'marking' has no attribute {name!r}")
