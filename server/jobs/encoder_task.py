"""The task of an encoder job: its settings, its own concepts and its parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders import Concept, Encoder, EncoderInvalid
from server.storage.records import EncoderRecord

if TYPE_CHECKING:
    from server.loaded import Loaded
    from unlearn import UnlearnSettings


def settings_of(record: EncoderRecord) -> UnlearnSettings:
    """Return the settings of the job's run."""
    from unlearn import UnlearnSettings

    return UnlearnSettings.from_json(record.own_settings)


def own_concepts(record: EncoderRecord, parent: Encoder | None) -> list[Concept]:
    """Return the concepts that the job has to unlearn: all but the parent's."""
    concepts = [Concept.model_validate(concept) for concept in record.concepts]
    return concepts[len(parent.card.concepts) if parent else 0 :]


def parent_of(record: EncoderRecord, loaded: Loaded) -> Encoder | None:
    """Load the parent encoder, if the job has one.

    Raises:
        EncoderNotFound: It was deleted since the job was accepted.
        EncoderInvalid: It was replaced since then.
    """
    if record.parent_ref is None:
        return None
    parent = loaded.store.load(record.parent_ref.id)
    if parent.card.ref != record.parent_ref:
        raise EncoderInvalid(
            f"The parent {record.parent!r} was deleted, and another encoder published under its "
            "id, since the request was accepted. Send the request again.",
            param="parent",
        )
    return parent
