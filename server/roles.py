"""Roles of servers: which jobs each takes, and what a role needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from encoders import PalimpsestError

if TYPE_CHECKING:
    from server.settings import Settings

Role = Literal["all", "api", "videos", "encoders"]
Kind = Literal["video", "encoder"]

TAKES: Mapping[Role, frozenset[Kind]] = {
    "all": frozenset({"video", "encoder"}),
    "api": frozenset(),
    "videos": frozenset({"video"}),
    "encoders": frozenset({"encoder"}),
}
"""Role → kinds of jobs that a server takes. One that takes none computes nothing."""


class RoleRefused(PalimpsestError):
    """Error: a server cannot have its role with its settings."""

    code = "role_refused"


def check_role(settings: Settings) -> None:
    """Check that a server can have its role.

    Raises:
        RoleRefused: The role takes other servers, and the settings are those of a single one.
    """
    if settings.role == "all":
        return
    name = f"PALIMPSEST_ROLE={settings.role}"
    if settings.postgres is None:
        raise RoleRefused(
            f"{name} does a part of the work, and needs servers for the rest on the same "
            "PostgreSQL: set PALIMPSEST_DATABASE, or the role to 'all'."
        )
    if not settings.store:
        raise RoleRefused(
            f"{name} does a part of the work, and the servers for the rest find its files in a "
            "bucket only: set PALIMPSEST_STORE, or the role to 'all'."
        )
