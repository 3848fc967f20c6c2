"""The app: its commands, and what becomes of their errors."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli import encoders, show
from cli.backbones import backbones
from cli.errors import CommandFailed
from cli.generate import generate
from cli.serve import serve
from cli.unlearn import unlearn
from encoders import PalimpsestError
from encoders.version import VERSION


class Commands(TyperGroup):
    """Prints an error that was to be expected as one line; the others are bugs, and show it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (CommandFailed, PalimpsestError) as error:
            reason = str(error)
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads on: Typer ends quietly
                raise
            reason = f"{error.filename}: {error.strerror}." if error.filename else str(error)
        show.error(reason)
        raise typer.Exit(1)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",  # lines of a paragraph are joined
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(generate)
app.command()(unlearn)
app.add_typer(encoders.app, name="encoders")
app.command()(backbones)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"palimpsest {VERSION}")
        raise typer.Exit


@app.callback()
def palimpsest(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Text-to-video models that can forget: unlearned text encoders, made and served beside the
    base.

    A key for the server is read from PALIMPSEST_API_KEY.
    """
