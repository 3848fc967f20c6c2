"""Settings from the environment, and the environment of a server that a command starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli import show
from cli.errors import CommandFailed

if TYPE_CHECKING:
    from server.settings import Settings

HOME = Path(__file__).resolve().parent.parent
"""Folder of `service.py`: the checkout, or the folder that the package is installed in."""
SERVE = [
    *(sys.executable, "-m", "bentoml", "serve", "service:Palimpsest"),
    *("--working-dir", str(HOME)),
    *("--timeout-graceful-shutdown", "20"),
]
"""Command line of the server."""
_SOURCES = ("backbone", "twin", "motion_adapter", "judge", "keys_file")
"""Settings whose value may be a path."""
_NAMES = ("starter", "self")
"""Values of these settings that are never paths, even if the current folder has such a file."""


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"PALIMPSEST_{name.upper()}"


def read_settings(**given: object) -> Settings:
    """Read the settings from the environment; those given replace the environment's.

    Raises:
        CommandFailed: A setting in the environment cannot be used; the message names it.
        typer.BadParameter: A given setting cannot be used.
    """
    # pydantic and the settings take a third of a second to import, which --help does not need.
    from pydantic import ValidationError

    from server.settings import Settings

    try:
        return Settings(**given)  # pyright: ignore[reportArgumentType]  # pydantic checks them
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "a setting"
        message = first["msg"].removeprefix("Value error, ").removesuffix(".")
        if name in given:
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{message}.", param_hint=option) from error
        raise CommandFailed(f"{variable(name)} cannot be used: {message}.") from error


def warn_of_unknown_variables() -> None:
    """Print a notice for each variable that looks like a setting and is none."""
    from server.unknown_variables import unknown_variables

    for sentence in unknown_variables(os.environ):
        show.note(sentence)


def server_environment(**given: object) -> dict[str, str]:
    """Return the environment of a server; the given settings replace this environment's.

    Raises:
        CommandFailed: See `read_settings`.
        typer.BadParameter: See `read_settings`.
    """
    settings = read_settings(**given)
    environment = os.environ | {variable(name): str(value) for name, value in given.items()}
    # The server runs in a folder of its own, so relative paths are made absolute.
    for name in _SOURCES:
        value: str | Path | None = getattr(settings, name)
        if value and value not in _NAMES and Path(value).exists():
            environment[variable(name)] = str(Path(value).absolute())
    data = settings.data_dir.absolute()
    environment[variable("data_dir")] = str(data)
    environment.setdefault("BENTOML_HOME", str(data / "bentoml"))
    environment["BENTOML_DO_NOT_TRACK"] = "True"
    return environment
