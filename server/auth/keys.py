"""Keys: who is calling, and which encoders they may use. Everything here fails closed.

The keys file is JSON; it holds the SHA-256 of each key, never the key:

    {"keys": [{"id": "acme", "sha256": "…", "role": "user",
               "encoders": ["acme-policy"], "default_encoder": "acme-policy"}]}

``role`` is "admin" (may use everything, and make encoders) or "user". ``encoders`` lists what a
user's key may use: encoder ids, aliases, "base" for the unmodified encoder, or "*" for everything.
A request that names no encoder gets ``default_encoder``. ``python -m server.auth.keys`` makes a
key.
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
"""The name of the unmodified encoder in requests and keys; no encoder can be called so."""
EVERYTHING = "*"

Role = Literal["admin", "user"]


@dataclass(frozen=True)
class Caller:
    """Who sent a request. ``encoders`` None: every encoder and the base."""

    id: str
    role: Role
    encoders: frozenset[str] | None
    default_encoder: str | None
    """An encoder's id, an alias or "base"; None: the caller has to name one."""


LOCAL = Caller(id="local", role="admin", encoders=None, default_encoder=BASE)
"""The caller of a server without keys, which listens on loopback only."""


class KeysInvalid(ValueError):
    """The keys file cannot be used; the server must not start."""


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
        """The caller that holds this key."""
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
        for what in ("id", "sha256"):
            values = [getattr(key, what) for key in keys]
            if twice := {value for value in values if values.count(value) > 1}:
                raise KeysInvalid(f"two keys share the {what} {sorted(twice)[0]!r}")
        if not keys:
            raise KeysInvalid("it holds no key, so nobody could call the server")
        self._callers = [(key.sha256.encode(), key.caller()) for key in keys]

    @classmethod
    def read(cls, path: Path) -> Keyring:
        """Read a keys file. Raises KeysInvalid, saying what is wrong with it."""
        try:
            document = json.loads(path.read_text())
            if not isinstance(document, dict) or set(document) != {"keys"}:
                raise KeysInvalid('it must be {"keys": [...]}')
            return cls([Key.model_validate(entry) for entry in document["keys"]])
        except (OSError, ValidationError, ValueError, TypeError) as error:
            raise KeysInvalid(f"The keys file {path} cannot be used: {error}") from error

    def caller(self, authorization: Sequence[str]) -> Caller:
        """Who sent these Authorization headers. Raises Unauthorized.

        Every hash is compared, in constant time, so that timing tells nothing about the others.
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
    """The keys in a keys file; None where there is none. Raises KeysInvalid."""
    return None if path is None else Keyring.read(path)


def hash_key(secret: str) -> str:
    """SHA-256 of a key, in hex. Keys are 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def main() -> None:
    """Make a key: prints the secret once, and the entry for the keys file."""
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
