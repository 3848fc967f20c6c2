"""The app: its commands, and how their errors are printed."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli import admin, encoders, keys, ledger, replicas, show, signing, videos
from cli.backbones import backbones
from cli.erase import erase
from cli.errors import CommandFailed
from cli.generate import generate
from cli.serve import serve
from cli.unlearn import unlearn
from cli.usage import usage
from cli.verify import verify
from encoders import PalimpsestError
from encoders.version import VERSION

_HELP = """Text-to-video models that can forget: unlearned text encoders, made and served beside the
base.

A key for the server is read from PALIMPSEST_API_KEY.
"""


class Commands(TyperGroup):
    """A group that prints expected errors as one line; other errors are bugs, with traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn an expected error into exit status 1."""
        try:
            return super().invoke(ctx)
        except (CommandFailed, PalimpsestError) as error:
            reason = str(error)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader has closed the pipe: Typer ends quietly
                raise
            reason = f"{error.filename}: {error.strerror}." if error.filename else str(error)
        show.error(reason)
        raise typer.Exit(1)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",  # joins the lines of a paragraph
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(generate)
app.command()(unlearn)
app.add_typer(encoders.app, name="encoders")
app.add_typer(videos.app, name="videos")
app.add_typer(keys.app, name="keys")
app.add_typer(ledger.app, name="ledger")
app.add_typer(signing.app, name="signing")
app.add_typer(replicas.app, name="replicas")
app.add_typer(admin.app, name="admin")
app.command()(verify)
app.command()(erase)
app.command()(usage)
app.command()(backbones)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"palimpsest {VERSION}")
        raise typer.Exit


@app.callback(help=_HELP)
def palimpsest(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Define the options of `palimpsest` itself."""
