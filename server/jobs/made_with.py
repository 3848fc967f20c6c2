"""Models of a video, as its entry in the ledger names them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from encoders import Card
from encoders.composite import concepts_of, leaf_cards
from marking.ledger import LedgerConcept, LedgerDraft, LedgerEncoder, MadeWith
from server.storage.records import VideoRecord

if TYPE_CHECKING:
    from video.models.backbone import Backbone


def models_of(
    record: VideoRecord, published: Callable[[str], Card], backbone: Backbone
) -> MadeWith:
    """Return the models that a video is made with, from the cards that its encoders have now.

    The concepts are written down too: an encoder that is deleted takes its card with it.

    Args:
        record: The video, before it is made.
        published: Returns the card of a published encoder.
        backbone: The model.

    Raises:
        EncoderNotFound: An encoder was deleted since the request was accepted.
        EncoderInvalid: An id has another identity now.
        MemberUnusable: A member of a composite was deleted or replaced.
    """
    model, base = backbone.name, backbone.text_encoder.fingerprint
    encoder = record.encoder_ref
    if encoder is None:
        return MadeWith(encoder=None, model=model, base=base)
    cards = leaf_cards(encoder, published)
    members = [_encoder(card) for card in sorted(cards, key=lambda card: card.identity)]
    is_one = len(members) == 1 and members[0].identity == encoder.identity
    return MadeWith(
        encoder=members[0]
        if is_one
        else LedgerEncoder(id=encoder.id, identity=encoder.identity, digest=encoder.identity),
        members=() if is_one else tuple(members),
        concepts=tuple(
            LedgerConcept(name=concept.name, kind=concept.kind) for concept in concepts_of(cards)
        ),
        model=model,
        base=base,
    )


def ledger_draft(record: VideoRecord, made_with: MadeWith, clip: bytes) -> LedgerDraft:
    """Return the entry of a video.

    Args:
        record: The video.
        made_with: The models that made it.
        clip: The mp4 as it is delivered.
    """
    return LedgerDraft(
        **dict(made_with),
        owner=record.owner,
        video_id=record.id,
        clip=f"sha256:{sha256(clip).hexdigest()}",
    )


def _encoder(card: Card) -> LedgerEncoder:
    return LedgerEncoder(id=card.id, identity=card.identity, digest=card.digest)
