"""API keys: the callers they identify, and the encoders each may use. All checks fail closed.

`role` is "admin" (may use everything, and make encoders) or "user". `encoders` lists what a user's
key may use: encoder ids, aliases, "base" for the unmodified encoder, or "*" for everything. A
request that names no encoder gets `default_encoder`. `additions` lists what a request may add to
one of these, in a set, and may not use without it.

Of a key only the SHA-256 is stored: in the database (`palimpsest keys create`), or in a keys file.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from encoders import EncoderId
from server.errors import Unauthorized
from server.storage.key_limits import checked

BASE = "base"
"""Name of the unmodified encoder in requests and keys; no encoder can have it."""
EVERYTHING = "*"

Role = Literal["admin", "user"]


@dataclass(frozen=True)
class Caller:
    """The sender of a request, as its key says."""

    id: str
    role: Role
    encoders: frozenset[str] | None
    """Ids, aliases and "base" that the key lists; None: every encoder and the base."""
    default_encoder: str | None
    """An encoder's id, an alias or "base"; None: the caller has to name one."""
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """Limits of this key by name; those that are absent have the settings' values."""
    additions: frozenset[str] = frozenset()
    """Ids and aliases that may be added to one of `encoders`, or "*"."""
    is_stored: bool = False
    """True if its key is one of the database, where another server may just have revoked it."""


LOCAL = Caller(id="local", role="admin", encoders=None, default_encoder=BASE)
"""Caller of a server without keys, which listens on loopback only."""


class Key(BaseModel):
    """A key, without its secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: EncoderId
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    role: Role
    encoders: list[EncoderId | Literal["*"]] | None = None
    default_encoder: EncoderId | None = None
    additions: list[EncoderId | Literal["*"]] = []
    """Encoders that a request may add to one of `encoders`."""
    limits: Annotated[dict[str, int], BeforeValidator(checked)] = {}
    """Limits of this key by name (`server.storage.key_limits`)."""
    expires_at: Annotated[int, Field(ge=0)] | None = None
    """Unix time from which the key is refused; None: it does not expire."""

    @model_validator(mode="after")
    def _consistent(self) -> Key:
        if self.role == "admin":
            if self.encoders is not None:
                raise ValueError("an admin may use every encoder: leave 'encoders' out")
            if self.additions:
                raise ValueError("an admin may use every encoder: leave 'additions' out")
        elif not self.encoders:
            raise ValueError("a user's key must list the encoders it may use ('*' for all)")
        elif (
            self.default_encoder
            and EVERYTHING not in self.encoders
            and self.default_encoder not in self.encoders
        ):
            raise ValueError(f"default_encoder {self.default_encoder!r} is not among its encoders")
        return self

    def caller(self) -> Caller:
        """Return the caller that holds this key."""
        allowed = frozenset(self.encoders or [EVERYTHING])
        unbound = EVERYTHING in allowed
        default = self.default_encoder
        if default is None:
            if unbound or BASE in allowed:
                default = BASE
            elif len(allowed) == 1:
                default = next(iter(allowed))
        return Caller(
            self.id,
            self.role,
            None if unbound else allowed,
            default,
            self.limits,
            frozenset(self.additions),
        )


class Keyring:
    """A set of keys, found by their secrets.

    Args:
        keys: The keys.
        is_stored: True for those of the database.
    """

    def __init__(self, keys: Sequence[Key] = (), *, is_stored: bool = False) -> None:
        callers = [replace(key.caller(), is_stored=is_stored) for key in keys]
        self._keys = [
            (key.sha256.encode(), key, caller) for key, caller in zip(keys, callers, strict=True)
        ]

    def find(self, secret: str, now: float) -> Caller | None:
        """Return the holder of a secret; None for no known key.

        Every hash is compared, each in constant time, so that timing tells nothing about the keys.

        Args:
            secret: The key, as it was sent.
            now: The time in Unix seconds.

        Raises:
            Unauthorized: The key has expired.
        """
        presented = hash_key(secret).encode()
        found: tuple[Key, Caller] | None = None
        for stored, key, caller in self._keys:
            if hmac.compare_digest(stored, presented):
                found = key, caller
        if found is None:
            return None
        if found[0].expires_at is not None and found[0].expires_at <= now:
            raise Unauthorized("This key has expired. Ask the server's operator for a new one.")
        return found[1]


def secret_of(authorization: Sequence[str]) -> str:
    """Return the secret in a request's Authorization headers.

    Raises:
        Unauthorized: There is none, or more than one.
    """
    scheme, _, secret = (authorization[0] if len(authorization) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthorized("Send your key as 'Authorization: Bearer <key>'.")
    return secret.strip()


def new_secret() -> str:
    """Return a new random key."""
    return "pk_" + secrets.token_urlsafe(32)


def hash_key(secret: str) -> str:
    """Return the SHA-256 of a key, in hex.

    Keys are 256 random bits, so a slow hash would add nothing.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
