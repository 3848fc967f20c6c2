"""Prompt encoders: the text encoder as one request sees it, and the embeddings that are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from encoders.text_encoder import TextEncoder

EMBEDDING_BYTES = 64 * 2**20
"""Capacity in bytes: some 3,000 prompts of the built-in model, 280 of CLIP ViT-L/14."""


class PromptEncoder(Protocol):
    """Encodes the prompts of one request. Its overrides stay hidden behind it."""

    def encode(self, prompt: str) -> Tensor:
        """Embed one prompt for what the request makes, a clip or a still: (1,L,D)."""
        ...

    def forward(self, **inputs: Any) -> Any:
        """Call the text model on token ids, as a stock pipeline does, and return its outputs."""
        ...


class OverridesPromptEncoder:
    """A prompt encoder with one set of overrides over the base. Implements `PromptEncoder`.

    Args:
        text_encoder: the base.
        overrides: canonical parameter name → tensor; None for the base itself.
        embed: prompts and overrides → embeddings (B,L,D), as the denoiser expects them.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        overrides: Mapping[str, Tensor] | None,
        embed: Callable[[list[str], Mapping[str, Tensor] | None], Tensor],
    ) -> None:
        self._text_encoder = text_encoder
        self._overrides = overrides
        self._embed = embed

    @torch.no_grad()
    def encode(self, prompt: str) -> Tensor:
        return self._embed([prompt], self._overrides)

    def forward(self, **inputs: Any) -> Any:
        self._text_encoder.fetch()
        return self._text_encoder.forward(self._overrides, **inputs)


class EmbeddingCache:
    """Embeddings by key, the least recently used evicted first. Not thread safe.

    Args:
        capacity: bytes to keep at most; a single embedding may exceed them.
    """

    def __init__(self, capacity: int = EMBEDDING_BYTES) -> None:
        self._capacity = capacity
        self._embeddings: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, embed: Callable[[], Tensor]) -> Tensor:
        """Return the embedding under a key; call `embed` if there is none yet."""
        if key not in self._embeddings:
            embedding = embed()
            self._embeddings[key] = embedding
            self._bytes += embedding.nbytes
        self._embeddings.move_to_end(key)
        while self._bytes > self._capacity and len(self._embeddings) > 1:
            self._bytes -= self._embeddings.popitem(last=False)[1].nbytes
        return self._embeddings[key]

    def clear(self) -> None:
        """Drop every embedding."""
        self._embeddings.clear()
        self._bytes = 0


class CachedPromptEncoder:
    """A prompt encoder that looks into a cache first. Implements `PromptEncoder`.

    It encodes one prompt at a time: in bfloat16 a batch gives other numbers than each prompt alone.

    Args:
        encoder: encodes what is not in the cache.
        cache: shared by all requests.
        key: identifies the encoder in the cache. It must contain the digest, not the id: an id can
            come to name another encoder, a digest cannot.
    """

    def __init__(self, encoder: PromptEncoder, cache: EmbeddingCache, key: Hashable) -> None:
        self._encoder = encoder
        self._cache = cache
        self._key = key

    def encode(self, prompt: str) -> Tensor:
        return self._cache.get((self._key, prompt), lambda: self._encoder.encode(prompt))

    def forward(self, **inputs: Any) -> Any:
        return self._encoder.forward(**inputs)
