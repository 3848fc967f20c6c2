"""Composition of encoders at the output of the text encoder.

Encoders that were made apart need no training to work together: each one's trigger says whether a
prompt means its concept, and the differences that the open ones make are added.

    none open: τ₀(p) itself      one open: τᵢ(p) itself      several: τ₀(p) + Σ Δᵢ

Δᵢ = τᵢ(p) − τ₀(p), added in the order of the members' identities, so that a set gives the same sum
whatever order it is named in. Two members that forget the same concept would move it twice as far,
past the anchor. So of the later one only what reaches further is added: position by position, let
S be what members of the same concept have added already, and Δ = a S + Δ⊥ with Δ⊥ orthogonal to S.

    added: Δ⊥ if |a| ≤ 1, else (a − 1) S + Δ⊥

Along S the stronger change stands, whichever of the two comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from encoders.card import Concept, names_by_kind
from encoders.trigger import Detector

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-12
"""Least squared length of what was added that a projection divides by."""


@dataclass(frozen=True)
class Member:
    """An encoder on the device, as one of a set or alone."""

    identity: str
    """Hash over its tensors and its trigger (`Card.identity`)."""
    overrides: Mapping[str, Tensor]
    trigger: Detector | None = None
    """None: the encoder is open for every prompt."""
    concepts: tuple[Concept, ...] = field(default=())
    is_triggered_alone: bool = True
    """False: without other members it is open for every prompt."""

    def alone(self) -> Member:
        """Return the encoder as it is used without other members."""
        return self if self.is_triggered_alone else replace(self, trigger=None)

    def shares_concept(self, other: Member) -> bool:
        """Return True if both forget something of the same kind under one of its names."""
        return not names_by_kind(self.concepts).isdisjoint(names_by_kind(other.concepts))


@dataclass(frozen=True)
class Decision:
    """The decision of one member about one prompt."""

    identity: str
    """The member's."""
    movement: float | None
    """Movement of the prompt by the member, as a multiple of the threshold (`encoders.trigger`);
    None for a member that is always open."""
    is_open: bool
    """True if the member had a part in the prompt's embedding."""


def set_identity(identities: Sequence[str]) -> str | None:
    """Return the identity of a set: its only member's, or a hash over all; None for the base."""
    found = sorted(set(identities))
    if len(found) < 2:
        return found[0] if found else None
    return f"sha256:{sha256(' '.join(found).encode()).hexdigest()}"


def decide(
    base: Tensor,
    moved: Tensor,
    member: Member,
    *,
    is_read: Tensor | None = None,
    is_empty: bool = False,
) -> Decision:
    """Return a member's decision about one prompt.

    Args:
        base: τ₀(p), (1,L,D).
        moved: τᵢ(p), (1,L,D).
        member: The encoder i.
        is_read: True at each position that the denoiser reads, (L,); None: at all of them.
        is_empty: The prompt is the empty one, which opens no trigger.
    """
    if is_read is not None:
        base, moved = base[:, is_read], moved[:, is_read]
    if member.trigger is None:
        return Decision(member.identity, None, is_open=True)
    movement = member.trigger.movement(base, moved)
    return Decision(member.identity, movement, is_open=not is_empty and movement >= 1)


def compose(base: Tensor, parts: Sequence[tuple[Member, Tensor]]) -> Tensor:
    """Return the embedding of one prompt under several encoders: (1,L,D).

    Args:
        base: τ₀(p), (1,L,D).
        parts: The members that are open, in the order of their identities, each with its τᵢ(p).
    """
    if not parts:
        return base
    if len(parts) == 1:
        return parts[0][1]
    added: list[tuple[Member, Tensor]] = []
    for member, moved in parts:
        change = moved.float() - base.float()
        same = [other for earlier, other in added if member.shares_concept(earlier)]
        if same:
            change = _further(change, sum(same[1:], start=same[0]))
        added.append((member, change))
    total = base.float()
    for _, change in added:
        total = total + change
    return total.to(base.dtype)


def _further(change: Tensor, stands: Tensor) -> Tensor:
    """Return the part of a change that is added to one of the same concept: (1,L,D).

    Args:
        change: Δ.
        stands: S.
    """
    product = (change * stands).sum(2, keepdim=True)
    a = product / stands.square().sum(2, keepdim=True).clamp(SMALLEST)
    further = (a - 1) * (a.abs() > 1)
    return change + (further - a) * stands
