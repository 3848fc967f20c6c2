"""`palimpsest serve`: replace this process by the server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.configuration import (
    SERVE,
    read_settings,
    server_environment,
    warn_of_unknown_variables,
)
from cli.options import given_path


def serve(
    backbone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The model. Left out: the built-in one, starter."),
    ] = None,
    twin: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The image model that shares its text encoder."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where it computes: auto, cpu, cuda:1 …"),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="A process for each of these devices, behind one port: all, or 0,1 … Needs "
            "PALIMPSEST_DATABASE and PALIMPSEST_STORE.",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="In what: auto, float32, bfloat16 or float16."),
    ] = None,
    offload: Annotated[
        bool | None,
        typer.Option(
            "--offload", help="Keep what is not in use off the device.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where it listens. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port. [default: 3000]")] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="DIRECTORY",
            help="Where all that is kept lies. [default: data]",
        ),
    ] = None,
) -> None:
    """Start the server. It runs until Ctrl-C.

    Every option is a setting that has an environment variable too, PALIMPSEST_BACKBONE and so on;
    docs/SETTINGS.md has the others.
    """
    from server.start_checks import check_data_dir, say_waiting

    given: dict[str, Any] = {
        "backbone": backbone,
        "twin": twin,
        "device": device,
        "devices": devices,
        "dtype": dtype,
        "offload": offload,
        "host": host,
        "port": port,
        "data_dir": data_dir,
    }
    given = {name: value for name, value in given.items() if value is not None}
    warn_of_unknown_variables()
    environment = server_environment(**given)
    # BentoML would check it too, but writes to the data directory before it does.
    check_data_dir(read_settings(**given).data_dir, on_wait=say_waiting)
    sys.stdout.flush()
    os.execve(SERVE[0], SERVE, environment)
