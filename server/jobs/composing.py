"""Members of a composite while its job runs: a member may be deleted or replaced at any phase."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from encoders import Card, EncoderInvalid, EncoderNotFound, EncoderRef, MemberUnusable
from server.storage.records import EncoderRecord

if TYPE_CHECKING:
    from server.loaded import Loaded


def member_cards(record: EncoderRecord, loaded: Loaded) -> list[Card]:
    """Return the cards of the members, as they were when the job was accepted.

    Raises:
        MemberUnusable: A member was deleted or replaced since.
    """
    return [_member(record, ref, loaded) for ref in record.composes or ()]


@contextmanager
def members_watched(record: EncoderRecord, loaded: Loaded) -> Generator[None]:
    """Raise MemberUnusable of `member_cards` in place of an error that a lost member causes.

    A lost member is met in many places: as a probe is made, or as the member's file is measured.
    Their errors speak of a published set, and there is none yet.
    """
    try:
        yield
    except (EncoderInvalid, EncoderNotFound, MemberUnusable):
        member_cards(record, loaded)
        raise


def _member(record: EncoderRecord, ref: EncoderRef, loaded: Loaded) -> Card:
    with suppress(EncoderNotFound):
        card = loaded.store.card(ref.id)
        if card.identity == ref.identity:
            return card
    raise MemberUnusable(
        f"The member {ref.id!r} was deleted or replaced since the request was accepted. Delete the "
        f"failed set {record.id!r}, which keeps its id until then, and send the request again with "
        "encoders that are published.",
        param="compose",
    )
