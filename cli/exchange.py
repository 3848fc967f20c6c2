"""`palimpsest encoders export` and `import`: whole text encoders, in and out of the store.

A whole text encoder has gigabytes, too much for a request. So both commands work on the data
directory, even while a server runs on it. They load the model's text encoder only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import show
from cli.configuration import read_settings
from cli.data_directory import check_free, open_aliases, open_store, silence_loading
from cli.errors import CommandFailed
from cli.options import AsJson, Backbone
from encoders import Concept, Encoder, EncoderInvalid, Kind
from server.storage.private_files import private

if TYPE_CHECKING:
    from encoders.text_encoder import TextEncoder


def export_encoder(
    encoder_id: Annotated[str, typer.Argument(metavar="ID", help="The encoder's id, or an alias.")],
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="A new folder, made by this command.")
    ],
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Write an encoder as a whole text encoder that other programs can load.

    Works on the data directory (PALIMPSEST_DATA_DIR), without a server.
    """
    if directory.exists():
        raise CommandFailed(f"{directory} exists already: name a folder that does not.")
    store = open_store(must_exist=True)
    with open_aliases() as aliases:
        encoder = store.load(aliases.resolve(encoder_id, store))
    if encoder.card.members:
        raise CommandFailed(
            f"{encoder.card.id} is a set of encoders, which no single text encoder can do the work "
            f"of: export its members, or make one of them with `palimpsest encoders merge`."
        )
    with show.spinner("Writing the text encoder …"):
        from encoders.exchange import caveats_of, export_directory

        base = _base(backbone)
        if encoder.card.base != base.fingerprint:
            raise EncoderInvalid(
                f"Encoder {encoder.card.id!r} was made for another text encoder "
                f"({encoder.card.base}); this model's is {base.fingerprint}: name its own with "
                "--backbone."
            )
        export_directory(base, encoder.overrides, directory, card=encoder.card)
    caveats = caveats_of(encoder.card)
    if as_json:
        card = encoder.card
        written = {"id": card.id, "directory": str(directory), "digest": card.digest}
        show.result({**written, "caveats": caveats})
        return
    for text in (f"{directory}: the text encoder {encoder.card.id}", *caveats):
        show.line(text)


def import_encoder(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIRECTORY",
            exists=True,
            help="Where a text encoder lies as transformers lays it out; or its one file.",
        ),
    ],
    encoder_id: Annotated[str, typer.Option("--id", metavar="ID", help="The new encoder's.")],
    concept: Annotated[str, typer.Option(metavar="NAME", help="What it is said to forget.")],
    kind: Annotated[Kind, typer.Option(help="What sort of thing that is.")],
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Read pickled files (.bin) too: of them tensors, and nothing else.",
        ),
    ] = False,
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Publish a text encoder that was made elsewhere. It is not judged.

    Works on the data directory (PALIMPSEST_DATA_DIR), without a server; one that runs on it has the
    encoder at once.
    """
    store = open_store(must_exist=False)
    with open_aliases() as aliases:
        check_free(store, aliases, encoder_id)
    concepts = (_concept(concept, kind),)
    with show.spinner("Reading the text encoder …"):
        from encoders.exchange import import_directory

        base = _base(backbone)
        overrides = import_directory(base, directory, allow_pickle=allow_pickle)
        source = directory.resolve().name
        encoder = Encoder.of(
            base,
            overrides,
            id=encoder_id,
            concepts=concepts,
            method="import",
            settings={"source": source},
            seed=0,
        )
        with private():
            card = store.publish(encoder)
    if as_json:
        show.result({**card.model_dump(mode="json"), "judged": False})
        return
    show.line(f"{card.id} is published, as one that forgets {concept} ({kind}).")
    show.line(
        "It has not been judged: its forgetting has not been measured. "
        f"`palimpsest encoders judge {card.id}` does that."
    )


def _base(backbone: str | None) -> TextEncoder:
    from video import load_text_encoder

    silence_loading()
    given = {} if backbone is None else {"backbone": backbone}
    settings = read_settings(**given)
    return load_text_encoder(settings.backbone_source, pickles=settings.allow_pickle)


def _concept(name: str, kind: Kind) -> Concept:
    try:
        return Concept(name=name.strip(), kind=kind)
    except ValueError as error:
        raise typer.BadParameter("1 to 100 characters.", param_hint="--concept") from error
