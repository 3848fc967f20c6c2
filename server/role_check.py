"""Check that a server can have its role with its settings."""

from __future__ import annotations

from encoders import PalimpsestError
from server.settings import Settings


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
