"""Prompt encoders: the text encoder as one request sees it, and the embeddings that are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from encoders.composition import Decision, Member, compose, decide, set_identity
from encoders.text_encoder import TextEncoder

EMBEDDING_BYTES = 64 * 2**20
"""Capacity in bytes: some 3,000 prompts of the built-in model, 280 of CLIP ViT-L/14."""

Embed = Callable[[Sequence[str], Mapping[str, Tensor] | None], Tensor]
"""Prompts and overrides → embeddings (B,L,D), as the denoiser expects them."""


TextDecisions = tuple[tuple[Decision, ...], ...]
"""For each text of a request: a decision of every encoder, in the order of their identities."""


@dataclass(frozen=True)
class Embedded:
    """A prompt's embedding, and how it was decided upon."""

    embedding: Tensor
    """(1,L,D)."""
    decisions: tuple[Decision, ...] = ()
    """One for each encoder, in the order of their identities; none for the empty prompt."""


class PromptEncoder(Protocol):
    """Encodes the prompts of one request. Its encoders stay hidden behind it."""

    def encode(self, prompt: str) -> Tensor:
        """Embed one prompt for what the request makes, a clip or a still: (1,L,D)."""
        ...

    def forward(self, **inputs: Any) -> Any:
        """Call the text model on token ids, as a stock pipeline does, and return its outputs."""
        ...


class EmbeddingCache:
    """Embeddings by key, the least recently used evicted first. Not thread safe.

    Args:
        capacity: bytes to keep at most; a single embedding may exceed them.
    """

    def __init__(self, capacity: int = EMBEDDING_BYTES) -> None:
        self._capacity = capacity
        self._found: OrderedDict[Hashable, Embedded] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, embed: Callable[[], Embedded]) -> Embedded:
        """Return the embedding under a key; call `embed` if there is none yet."""
        if key not in self._found:
            found = embed()
            self._found[key] = found
            self._bytes += found.embedding.nbytes
        self._found.move_to_end(key)
        found = self._found[key]
        while self._bytes > self._capacity and len(self._found) > 1:
            self._bytes -= self._found.popitem(last=False)[1].embedding.nbytes
        return found

    def clear(self) -> None:
        """Drop every embedding."""
        self._found.clear()
        self._bytes = 0


class ComposedPromptEncoder:
    """The encoders of a request over the base. Implements `PromptEncoder`.

    Each prompt is encoded alone, by the base and by every member: in bfloat16 a batch gives other
    numbers than each prompt alone, and the numbers near a threshold decide. `encoders.composition`
    says what becomes of them. The empty prompt keeps the base's embedding, unless a member has no
    trigger: every request has one, and none means a concept by it.

    Args:
        text_encoder: The base.
        members: The encoders, in any order; none: the base itself.
        embed: Embeds prompts for what the request makes.
        empty_row: Token ids of the empty prompt, (L,).
        cache: Keeps embeddings for all requests.
        kind: Names what the request makes, as a part of the cache's keys.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        members: Sequence[Member],
        *,
        embed: Embed,
        empty_row: Tensor,
        cache: EmbeddingCache,
        kind: str,
    ) -> None:
        self._text_encoder = text_encoder
        self._members = sorted(members, key=lambda member: member.identity)
        self._identity = set_identity([member.identity for member in members])
        self._embed = embed
        self._empty_row = empty_row
        self._cache = cache
        self._kind = kind
        self.decisions: list[tuple[Decision, ...]] = []
        """Decisions about each text so far, in the order in which they were encoded."""

    def encode(self, prompt: str) -> Tensor:
        # Keys have identities, not ids: an id can come to name another encoder.
        key = (self._identity, self._kind, prompt)
        found = self._cache.get(key, lambda: self._composed(prompt))
        self.decisions.append(found.decisions)
        return found.embedding

    @torch.no_grad()
    def forward(self, **inputs: Any) -> Any:
        self._text_encoder.fetch()
        outputs = self._text_encoder.forward(None, **inputs)
        if not self._members:
            return outputs
        base: Tensor = outputs[0]
        mask: Tensor | None = inputs.get("attention_mask")
        moved = [
            self._text_encoder.forward(member.overrides, **inputs)[0] for member in self._members
        ]
        rows: list[Tensor] = []
        for i, ids in enumerate(inputs["input_ids"]):
            # Pipelines that pass a mask drop what it hides.
            is_read = None if mask is None else mask[i].bool()
            decided = self._decide(
                base[i : i + 1],
                [one[i : i + 1] for one in moved],
                is_read=is_read,
                is_empty=self._is_empty(ids),
            )
            self.decisions.append(decided.decisions)
            rows.append(decided.embedding)
        return type(outputs)(last_hidden_state=torch.cat(rows))

    @torch.no_grad()
    def _composed(self, prompt: str) -> Embedded:
        if not self._members:
            return Embedded(self._embed([prompt], None))
        base = self._cache.get(
            (None, self._kind, prompt), lambda: Embedded(self._embed([prompt], None))
        )
        moved = [self._embed([prompt], member.overrides) for member in self._members]
        return self._decide(base.embedding, moved, is_empty=not prompt)

    def _decide(
        self,
        base: Tensor,
        moved: Sequence[Tensor],
        *,
        is_read: Tensor | None = None,
        is_empty: bool,
    ) -> Embedded:
        """Return the embedding of one prompt, and the decisions.

        Args:
            base: τ₀(p), (1,L,D).
            moved: τᵢ(p) of each member, (1,L,D).
            is_read: True at each position that the denoiser reads, (L,); None: at all of them.
            is_empty: True for the empty prompt.
        """
        decisions: list[Decision] = []
        parts: list[tuple[Member, Tensor]] = []
        for member, one in zip(self._members, moved, strict=True):
            decision = decide(base, one, member, is_read=is_read, is_empty=is_empty)
            decisions.append(decision)
            if decision.is_open:
                parts.append((member, one))
        return Embedded(compose(base, parts), tuple(decisions))

    def _is_empty(self, ids: Tensor) -> bool:
        """Return True if a row of token ids is the empty prompt's, whatever its padding."""
        length = min(len(ids), len(self._empty_row))
        same = torch.equal(ids[:length], self._empty_row[:length].to(ids))
        return same and bool((ids[length:] == ids[-1]).all())
