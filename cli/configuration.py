"""The settings as the environment has them, and the environment of a server that is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.errors import CommandFailed

if TYPE_CHECKING:
    from server.settings import Settings

HOME = Path(__file__).resolve().parent.parent
"""Where `service.py` lies: the checkout, or where the package is installed."""
SERVE = [
    *(sys.executable, "-m", "bentoml", "serve", "service:Palimpsest"),
    *("--working-dir", str(HOME)),
    *("--timeout-graceful-shutdown", "20"),
]
"""The command that serves."""
_SOURCES = ("backbone", "twin", "motion_adapter", "judge", "keys_file")
"""Settings that may be paths, and"""
_NAMES = ("starter", "self")
"""what they say that is none, whatever lies in the current folder."""


def variable(name: str) -> str:
    """The environment variable that sets a setting."""
    return f"PALIMPSEST_{name.upper()}"


def read_settings(**given: object) -> Settings:
    """The settings in the environment, with those given in their place.

    Raises:
        CommandFailed: one in the environment cannot be used; it is named.
        typer.BadParameter: a given one cannot.
    """
    # pydantic and the settings take a third of a second, which --help does without.
    from pydantic import ValidationError

    from server.settings import Settings

    try:
        return Settings(**given)  # pyright: ignore[reportArgumentType]  # it checks them itself
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "a setting"
        if name in given:
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{first['msg']}.", param_hint=option) from error
        raise CommandFailed(f"{variable(name)} cannot be used: {first['msg']}.") from error


def serving(**given: object) -> dict[str, str]:
    """The environment of a server with these settings in place of this environment's.

    Raises:
        CommandFailed, typer.BadParameter: see :func:`read_settings`.
    """
    settings = read_settings(**given)
    environment = os.environ | {variable(name): str(value) for name, value in given.items()}
    # The server's processes work in its own directory, so a path has to mean the same there.
    for name in _SOURCES:
        value: str | Path | None = getattr(settings, name)
        if value and value not in _NAMES and Path(value).exists():
            environment[variable(name)] = str(Path(value).absolute())
    data = settings.data_dir.absolute()
    environment[variable("data_dir")] = str(data)
    environment.setdefault("BENTOML_HOME", str(data / "bentoml"))
    environment["BENTOML_DO_NOT_TRACK"] = "True"
    return environment
