"""API keys: the callers they identify, and the encoders each may use. All checks fail closed.

The keys file is JSON. It holds the SHA-256 of each key, never the key:

    {"keys": [{"id": "acme", "sha256": "…", "role": "user",
               "encoders": ["acme-policy"], "default_encoder": "acme-policy"}]}

`role` is "admin" (may use everything, and make encoders) or "user". `encoders` lists what a user's
key may use: encoder ids, aliases, "base" for the unmodified encoder, or "*" for everything. A
request that names no encoder gets `default_encoder`. `python -m server.auth.keys` makes a key.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from encoders import EncoderId
from server.errors import Unauthorized

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


LOCAL = Caller(id="local", role="admin", encoders=None, default_encoder=BASE)
"""Caller of a server without keys, which listens on loopback only."""


class KeysInvalid(ValueError):
    """The keys file cannot be used, so the server must not start."""


class Key(BaseModel):
    """One entry of the keys file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: EncoderId
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    role: Role
    encoders: list[EncoderId | Literal["*"]] | None = None
    default_encoder: EncoderId | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Key:
        if self.role == "admin":
            if self.encoders is not None:
                raise ValueError("an admin may use every encoder: leave 'encoders' out")
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
        return Caller(self.id, self.role, None if unbound else allowed, default)


class Keyring:
    """The keys of one server, read once at start."""

    def __init__(self, keys: Sequence[Key]) -> None:
        for field in ("id", "sha256"):
            values = [getattr(key, field) for key in keys]
            if twice := {value for value in values if values.count(value) > 1}:
                raise KeysInvalid(f"two keys share the {field} {sorted(twice)[0]!r}")
        if not keys:
            raise KeysInvalid("it holds no key, so no request could be answered")
        self._callers = [(key.sha256.encode(), key.caller()) for key in keys]

    @classmethod
    def read(cls, path: Path) -> Keyring:
        """Read a keys file. Raise KeysInvalid, with the reason, if it cannot be used."""
        try:
            document = json.loads(path.read_text())
            if not isinstance(document, dict) or set(document) != {"keys"}:
                raise KeysInvalid('it must be {"keys": [...]}')
            return cls([Key.model_validate(entry) for entry in document["keys"]])
        except (OSError, ValidationError, ValueError, TypeError) as error:
            raise KeysInvalid(f"The keys file {path} cannot be used: {error}") from error

    def caller(self, authorization: Sequence[str]) -> Caller:
        """Return the sender of these Authorization headers. Raise Unauthorized for no known key.

        Every hash is compared, each in constant time, so that timing tells nothing about the keys.
        """
        scheme, _, secret = (authorization[0] if len(authorization) == 1 else "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthorized("Send your key as 'Authorization: Bearer <key>'.")
        presented = hash_key(secret.strip()).encode()
        found: Caller | None = None
        for stored, caller in self._callers:
            if hmac.compare_digest(stored, presented):
                found = caller
        if found is None:
            raise Unauthorized("This key is not known here.")
        return found


def keyring_of(path: Path | None) -> Keyring | None:
    """Return the keys in a keys file; None if `path` is None. Raise KeysInvalid."""
    return None if path is None else Keyring.read(path)


def hash_key(secret: str) -> str:
    """Return the SHA-256 of a key, in hex.

    Keys are 256 random bits, so a slow hash would add nothing.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def main() -> None:
    """Make a key: print the secret once, and the entry for the keys file."""
    parser = argparse.ArgumentParser(prog="python -m server.auth.keys", description=main.__doc__)
    parser.add_argument("id", help="the key's name, e.g. the tenant's")
    parser.add_argument("--role", choices=["admin", "user"], default="user")
    parser.add_argument("--encoder", action="append", metavar="NAME", help="may use it; repeatable")
    parser.add_argument("--default", metavar="NAME", help="used when a request names none")
    arguments = parser.parse_args()
    secret = "pk_" + secrets.token_urlsafe(32)
    try:
        key = Key(
            id=arguments.id,
            sha256=hash_key(secret),
            role=arguments.role,
            encoders=arguments.encoder,
            default_encoder=arguments.default,
        )
    except ValidationError as error:
        parser.error(str(error.errors()[0]["msg"]))
    print(f"key (shown once): {secret}")
    print(f"entry for the keys file: {key.model_dump_json(exclude_none=True)}")


if __name__ == "__main__":
    main()
