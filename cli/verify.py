"""`palimpsest verify`: check the signature of a clip, a picture or a report's zip, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import show
from cli.errors import CommandFailed
from cli.options import AsJson

if TYPE_CHECKING:
    from marking.inspection import Inspection


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An mp4, webp, png or zip.")],
    certificates: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            help="Certificates of the signers you trust, as `palimpsest signing certificates` "
            "prints them. Left out: nobody is trusted, and the signer's name is only a claim.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a file is as it was signed, by whom, and what it says of itself.

    Exit status 0: it is, and by a trusted signer if certificates are given. Needs no server.
    """
    from marking.inspection_child import inspect_apart

    trusted = [] if certificates is None else read_certificates(certificates)
    found = inspect_apart(file.read_bytes(), trusted)
    if as_json:
        show.result(found.model_dump(mode="json", exclude_none=True))
    else:
        show.line(sentence(found, has_trusted=bool(trusted)))
    if found.state != "as_signed" or (trusted and not found.is_trusted):
        raise typer.Exit(1)


def read_certificates(path: Path) -> list[str]:
    """Return the certificates in a PEM file, as one text.

    Raises:
        CommandFailed: It has none.
    """
    from marking.errors import SigningKeyInvalid
    from marking.trust import TrustedSigners

    text = path.read_bytes().decode(errors="replace")
    try:
        signers = TrustedSigners.of([text]).signers
    except SigningKeyInvalid as error:
        raise CommandFailed(f"{path} has no certificates in PEM.") from error
    if not signers:
        raise CommandFailed(
            f"{path} has certificates of authorities alone: name the signers' own, since an "
            "authority's customers are many."
        )
    return [text]


def sentence(found: Inspection, *, has_trusted: bool) -> str:
    """Say in one sentence what was found."""
    if found.state == "unreadable":
        return f"The file cannot be read: {found.reason}"
    if found.state == "not_marked":
        return f"The file is not signed: {found.reason}"
    if found.state == "changed":
        return f"The file was changed after it was signed: {found.reason}"
    about = "It is as it was signed"
    if found.report is not None:
        about = f"The report on encoder {found.report.encoder_id!r} is as it was signed"
    elif found.clip is not None:
        about = f"The file of clip {found.clip.id!r} is as it was signed"
    if found.is_trusted:
        by = f"by {found.signer!r}, whom you trust"
    elif has_trusted:
        by = f"but not by a signer whom you trust: it names {found.signer!r}"
    else:
        by = f"by somebody who goes by the name of {found.signer!r} (see --certificates)"
    seen = found.signed_at
    stamp = "" if seen is None else f" Its timestamp says {seen:%Y-%m-%d %H:%M} UTC, unchecked."
    ended = f" ({found.reason})" if found.reason else ""
    return f"{about}{ended}, {by}. {_said(found)}{stamp}".strip()


def _said(found: Inspection) -> str:
    if found.report is not None:
        return found.report.verdict
    if found.clip is None:
        return ""
    identity = found.clip.encoder_identity
    with_what = "the base encoder" if identity is None else f"the encoder {identity}"
    return f"A generative model made it, with {with_what}."
