"""`palimpsest backbones`: the families of models that can be served."""

from __future__ import annotations

from dataclasses import asdict

from cli import show
from cli.options import AsJson


def backbones(as_json: AsJson = False) -> None:
    """List the families of text-to-video models that can be served.

    Of a family with an image twin, encoders are made and judged on images, which is faster. A
    native one is stepped by Palimpsest itself, so that requests share the denoiser's steps.
    """
    from video.families import FAMILIES

    if as_json:
        show.result([asdict(family) for family in FAMILIES])
        return
    table = show.plain_table("name", "pipelines", "example", "text encoder", "twin", "native")
    for family in FAMILIES:
        table.add_row(
            family.name,
            "\n".join(family.pipelines),
            family.example,
            family.encoder,
            family.twin or "",
            "yes" if family.native else "no",
        )
    show.table(table)
