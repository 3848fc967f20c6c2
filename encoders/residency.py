"""Residency: the overrides that are on the device, a least-recently-used cache by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from encoders.errors import EncoderInvalid
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class ResidencyStats:
    """Counts since the start, and the size of the cache now."""

    hits: int
    misses: int
    evictions: int
    resident: int
    resident_bytes: int
    capacity_bytes: int


@dataclass
class _Entry:
    """One encoder on the device, or being loaded (`loaded` is not set yet)."""

    overrides: Mapping[str, Tensor] = field(default_factory=dict)
    size: int = 0
    pins: int = 0
    loaded: Event = field(default_factory=Event)
    failed: bool = False


class Residency:
    """A cache of overrides on the device; safe to use from several threads.

    An encoder in use is never evicted: if the encoders in use exceed the capacity, so does the
    cache, until one of them is released. Loading happens outside of the lock, so that a cold
    encoder does not delay requests whose encoder is resident. However many threads ask for an
    encoder, it is loaded once.

    Entries are keyed by digest: an encoder that is deleted and published anew under the same id is
    another encoder.

    Args:
        text_encoder: The base that the encoders must belong to.
        store: Source of the overrides.
        capacity_bytes: Size up to which overrides stay on the device.
        device: Device to load them to.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        store: EncoderStore,
        capacity_bytes: int,
        device: torch.device | str,
    ) -> None:
        self._text_encoder = text_encoder
        self._store = store
        self._capacity = capacity_bytes
        self._device = device
        self._lock = Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = self._hits = self._misses = self._evictions = 0

    @contextmanager
    def use(self, encoder_id: str, digest: str) -> Generator[Mapping[str, Tensor]]:
        """Yield the overrides of an encoder, on the device for as long as the context lasts.

        Args:
            encoder_id: The encoder's id (not an alias).
            digest: The digest it had when the request was accepted.

        Raises:
            EncoderNotFound: It was deleted in the meantime, even if it is still resident.
            EncoderInvalid: The id has another digest now, the file does not match its card, or the
                encoder was made for another base.
        """
        found = self._store.card(encoder_id).digest
        if found != digest:
            raise EncoderInvalid(
                f"Encoder {encoder_id!r} is no longer the one that was requested: its digest is "
                f"{found}, not {digest}."
            )
        entry = self._pin(encoder_id, digest)
        try:
            yield entry.overrides
        finally:
            with self._lock:
                entry.pins -= 1
                self._evict()

    @property
    def resident_bytes(self) -> int:
        """Bytes of overrides on the device."""
        return self._bytes

    def stats(self) -> ResidencyStats:
        """Return a consistent snapshot of the counters."""
        with self._lock:
            return ResidencyStats(
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                resident=sum(entry.loaded.is_set() for entry in self._entries.values()),
                resident_bytes=self._bytes,
                capacity_bytes=self._capacity,
            )

    def _pin(self, encoder_id: str, digest: str) -> _Entry:
        while True:
            with self._lock:
                entry = self._entries.get(digest)
                is_mine = entry is None
                if entry is None:
                    entry = self._entries[digest] = _Entry()
                    self._misses += 1
                entry.pins += 1
                self._entries.move_to_end(digest)
            if is_mine:
                self._fill(entry, encoder_id, digest)
                return entry
            entry.loaded.wait()
            if not entry.failed:
                with self._lock:
                    self._hits += 1
                return entry
            # Another thread failed to load it and removed the entry: this one loads it again.

    def _fill(self, entry: _Entry, encoder_id: str, digest: str) -> None:
        try:
            overrides = self._load(encoder_id, digest)
        except BaseException:
            with self._lock:
                del self._entries[digest]
                entry.failed = True
            entry.loaded.set()
            raise
        with self._lock:
            entry.overrides = MappingProxyType(overrides)
            entry.size = sum(tensor.nbytes for tensor in overrides.values())
            self._bytes += entry.size
            self._evict()
        entry.loaded.set()

    def _load(self, encoder_id: str, digest: str) -> dict[str, Tensor]:
        encoder = self._store.load(encoder_id)
        if encoder.card.digest != digest:
            raise EncoderInvalid(
                f"Encoder {encoder_id!r} was replaced while it was loading: its digest is "
                f"{encoder.card.digest}, not {digest}."
            )
        if encoder.card.base != self._text_encoder.fingerprint:
            raise EncoderInvalid(
                f"Encoder {encoder_id!r} was made for another text encoder: its base is "
                f"{encoder.card.base}, the one served is {self._text_encoder.fingerprint}."
            )
        overrides = {name: tensor.to(self._device) for name, tensor in encoder.overrides.items()}
        self._text_encoder.check(overrides)
        return overrides

    def _evict(self) -> None:
        """Drop the least recently used unpinned entries until the rest fits. The lock is held."""
        if self._bytes <= self._capacity:
            return
        for digest in list(self._entries):
            if self._bytes <= self._capacity:
                return
            entry = self._entries[digest]
            if entry.pins == 0:
                del self._entries[digest]
                self._bytes -= entry.size
                self._evictions += 1
