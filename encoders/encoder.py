"""An unlearned encoder in memory: its card, and the overrides that it is computed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import JsonValue

from encoders.card import Card, Concept
from encoders.trigger import Trigger

if TYPE_CHECKING:
    from torch import Tensor

    from encoders.text_encoder import TextEncoder


@dataclass(frozen=True)
class Encoder:
    """An unlearned encoder: a card, and the tensors that replace the base's.

    `overrides` maps a canonical parameter name to a tensor of exactly the base parameter's shape,
    or the names of two factors to the matrices whose product changes it (`encoders.low_rank`).
    An encoder is never merged into the base; see `TextEncoder.encode`.
    """

    card: Card
    overrides: Mapping[str, Tensor]

    @classmethod
    def of(
        cls,
        base: TextEncoder,
        overrides: Mapping[str, Tensor],
        *,
        id: str,
        concepts: tuple[Concept, ...],
        method: str,
        settings: Mapping[str, JsonValue] | None = None,
        seed: int,
        parent: str | None = None,
        trigger: Trigger | None = None,
    ) -> Encoder:
        """Make an encoder of overrides: fill in both hashes, the base's fingerprint and the time.

        Args:
            base: The text encoder that the overrides belong to.
            overrides: Trained or imported, in any floating dtype. The encoder holds them as
                `TextEncoder.effective` stores them.
            id: The encoder's id.
            concepts: All that it forgets, its parent's included.
            method: Name of the method that made it.
            settings: Every setting of the method; none by default.
            seed: Seed of the method.
            parent: Id of the encoder that this one was trained from; None for the base.
            trigger: Movement from which it is used for a prompt; None: for every prompt.

        Raises:
            EncoderInvalid: The overrides do not fit the base, are not finite, or change nothing.
        """
        from encoders.digest import digest, fingerprint  # torch takes a second to import

        effective = base.effective(overrides)
        card = Card(
            id=id,
            concepts=concepts,
            method=method,
            settings=dict(settings or {}),
            seed=seed,
            base=base.fingerprint,
            digest=digest(base.parameters(), effective),
            stored=fingerprint(effective),
            parent=parent,
            trigger=trigger,
            created_at=datetime.now(UTC),
        )
        return cls(card, effective)
