"""`palimpsest encoders merge`: one plain encoder of several, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import show
from cli.configuration import read_settings
from cli.data_directory import check_free, open_aliases, open_store, silence_loading
from cli.errors import CommandFailed
from cli.options import AsJson, Backbone
from encoders.composite import check_members
from server.storage.private_files import private

if TYPE_CHECKING:
    from rich.table import Table

    from encoders import Card, Encoder

_ALWAYS_ON = (
    "It has no trigger: it is used for every prompt, so that other prompts do not keep the base's "
    "embeddings to the bit."
)
_FORGETS = (
    "The closed-form merge forgets what its members were trained to withstand. Share of each "
    "concept that attackers read after {steps} steps, 100 % being what the base means by it:"
)


def merge_encoders(
    members: Annotated[
        list[str],
        typer.Argument(
            metavar="ID...", help="Their ids or aliases: two or more, or a composite's."
        ),
    ],
    encoder_id: Annotated[str, typer.Option("--id", metavar="ID", help="The new encoder's.")],
    rank: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Rank of its factors, at most 1024. Left out: as many as the members' have "
            "together.",
        ),
    ] = None,
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Make one plain encoder of several, without training, and publish it. It is not judged.

    It has no trigger, and has lost some of its members' resistance to attackers; what attackers
    read is measured and shown. Works on the data directory (PALIMPSEST_DATA_DIR), without a server;
    one that runs on it has the encoder at once.
    """
    _check_rank(rank)
    store = open_store(must_exist=True)
    with open_aliases() as aliases:
        check_free(store, aliases, encoder_id)
        cards = [store.card(aliases.resolve(name, store)) for name in members]
    for card in cards:
        check_members(card, store.card)
    ids = [one for card in cards for one in ([m.id for m in card.members] or [card.id])]
    if len(set(ids)) < max(2, len(ids)):
        raise CommandFailed("A merge is of two encoders or more, each named once.")
    found = [store.load(one) for one in ids]
    with show.spinner("Merging, and measuring what attackers read …"):
        encoder = _merge(found, encoder_id, rank, backbone)
        with private():
            card = store.publish(encoder)
    if as_json:
        show.result({**card.model_dump(mode="json"), "judged": False})
        return
    show.line(f"{card.id} is published. It forgets {_forgets(card)}.")
    show.line(_ALWAYS_ON)
    show.line(_FORGETS.format(steps=card.settings["attack_steps"]))
    show.table(_resistance_table(card))
    show.line(
        "It has not been judged: its forgetting has not been measured. "
        f"`palimpsest encoders judge {card.id}` does that."
    )


def _check_rank(rank: int | None) -> None:
    """Refuse a rank that the merge would refuse, before the model is loaded."""
    from unlearn.settings import MAX_RANK

    if rank is not None and rank > MAX_RANK:
        raise typer.BadParameter(f"{rank} is more than {MAX_RANK}.", param_hint="--rank")


def _merge(
    members: Sequence[Encoder], encoder_id: str, rank: int | None, backbone: str | None
) -> Encoder:
    from unlearn import merge
    from video import load_backbone

    silence_loading()
    settings = read_settings(**({} if backbone is None else {"backbone": backbone}))
    model = load_backbone(settings.backbone_source, pickles=settings.allow_pickle)
    return merge(members, model, encoder_id=encoder_id, rank=rank)


def _forgets(card: Card) -> str:
    return ", ".join(f"{concept.name} ({concept.kind})" for concept in card.concepts)


def _resistance_table(card: Card) -> Table:
    table = show.plain_table("concept", "encoder", "alone", "merged")
    found: Any = card.settings["resistance"]
    for one in found:
        # Attackers can also end up further from the concept than its anchor is.
        alone, merged = (f"{100 * max(0.0, one[name]):.0f} %" for name in ("alone", "merged"))
        table.add_row(one["concept"], one["member"], alone, merged)
    return table
