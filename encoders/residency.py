"""Residency: the encoders that are on the device, a least-recently-used cache by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from encoders.card import EncoderRef
from encoders.composite import leaves_of
from encoders.composition import Member
from encoders.errors import EncoderInvalid, EncoderNotFound
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ResidencyStats:
    """Counts since the start, and the size of the cache now."""

    hits: int
    misses: int
    evictions: int
    resident: int
    resident_bytes: int
    capacity_bytes: int


@dataclass(frozen=True)
class Resident:
    """An encoder on the device."""

    id: str
    bytes: int
    in_use: bool


@dataclass
class _Entry:
    """One encoder on the device, or being loaded (`loaded` is not set yet)."""

    id: str
    member: Member | None = None
    size: int = 0
    pins: int = 0
    loaded: Event = field(default_factory=Event)
    failed: bool = False
    is_deleted: bool = False
    """True if the store does not have it any more: it is dropped once nobody uses it."""


class Residency:
    """A cache of overrides on the device; safe to use from several threads.

    An encoder in use is never evicted: if the encoders in use exceed the capacity, so does the
    cache, until one of them is released. Loading happens outside of the lock, so that a cold
    encoder does not delay requests whose encoder is resident. However many threads ask for an
    encoder, it is loaded once.

    Entries are keyed by identity: an encoder that is deleted and published anew under the same id
    is another encoder.

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
    def use(self, encoder: EncoderRef) -> Generator[tuple[Member, ...]]:
        """Yield an encoder or all members of a set, on the device while the context lasts.

        Args:
            encoder: The id (not an alias), and the identity that it had when the request was
                accepted; or a set of several.

        Raises:
            EncoderNotFound: It was deleted in the meantime, even if it is still resident.
            EncoderInvalid: The id has another identity now, a file does not match its card, or an
                encoder was made for another base.
            MemberUnusable: A member of a composite was deleted or replaced.
        """
        with ExitStack() as stack:
            leaves = leaves_of(encoder, self._store.card)
            try:
                members = tuple(stack.enter_context(self._one(leaf)) for leaf in leaves)
            except (EncoderNotFound, EncoderInvalid):
                leaves_of(encoder, self._store.card)  # a member that is lost by now is told as one
                raise
            yield members if len(members) > 1 else tuple(one.alone() for one in members)

    @contextmanager
    def _one(self, encoder: EncoderRef) -> Generator[Member]:
        entry = self._pin(encoder.id, encoder.identity)
        assert entry.member is not None
        try:
            yield entry.member
        finally:
            with self._lock:
                entry.pins -= 1
                if entry.is_deleted:
                    self._drop(encoder.identity)
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

    def rename(self, encoder: EncoderRef) -> None:
        """Note that an encoder, if it is on the device, has this id from now on.

        Args:
            encoder: The new id, and the identity.
        """
        with self._lock:
            entry = self._entries.get(encoder.identity)
            if entry is not None:
                entry.id = encoder.id

    def residents(self, most: int) -> list[Resident]:
        """Return the encoders on the device, the most recently used first."""
        with self._lock:
            there = [one for one in reversed(self._entries.values()) if one.member is not None]
            return [Resident(one.id, one.size, one.pins > 0) for one in there[:most]]

    def drop_deleted(self, encoder_id: str | None = None) -> None:
        """Drop what the store does not have any more; an encoder in use, once nobody uses it.

        Args:
            encoder_id: The encoder that may have been deleted; None looks for all.

        Raises:
            Exception: The store cannot be asked.
        """
        with self._lock:
            ids = {key: entry.id for key, entry in self._entries.items()}
        for identity, name in ids.items():
            if encoder_id in (None, name) and not self._is_stored(name, identity):
                with self._lock:
                    if identity in self._entries:
                        self._entries[identity].is_deleted = True
                        self._drop(identity)

    def _is_stored(self, encoder_id: str, identity: str) -> bool:
        try:
            return self._store.card(encoder_id).identity == identity
        except (EncoderNotFound, EncoderInvalid):
            return False

    def _drop(self, identity: str) -> None:
        """Drop an entry unless it is in use, or being loaded for a use. The lock is held."""
        entry = self._entries.get(identity)
        if entry is not None and entry.pins == 0:
            del self._entries[identity]
            self._bytes -= entry.size

    def _pin(self, encoder_id: str, identity: str) -> _Entry:
        while True:
            with self._lock:
                entry = self._entries.get(identity)
                is_mine = entry is None
                if entry is None:
                    entry = self._entries[identity] = _Entry(encoder_id)
                    self._misses += 1
                entry.pins += 1
                self._entries.move_to_end(identity)
            if is_mine:
                self._fill(entry, encoder_id, identity)
                return entry
            entry.loaded.wait()
            if not entry.failed:
                with self._lock:
                    self._hits += 1
                return entry
            # Another thread failed to load it and removed the entry: this one loads it again.

    def _fill(self, entry: _Entry, encoder_id: str, identity: str) -> None:
        try:
            member = self._load(encoder_id, identity)
        except BaseException:
            with self._lock:
                del self._entries[identity]
                entry.failed = True
            entry.loaded.set()
            raise
        with self._lock:
            entry.member = member
            entry.size = sum(tensor.nbytes for tensor in member.overrides.values())
            self._bytes += entry.size
            self._evict()
        entry.loaded.set()

    def _load(self, encoder_id: str, identity: str) -> Member:
        encoder = self._store.load(encoder_id)
        if encoder.card.identity != identity:
            raise EncoderInvalid(
                f"Encoder {encoder_id!r} was replaced while it was loading: its identity is "
                f"{encoder.card.identity}, not {identity}."
            )
        if encoder.card.base != self._text_encoder.fingerprint:
            raise EncoderInvalid(
                f"Encoder {encoder_id!r} was made for another text encoder: its base is "
                f"{encoder.card.base}, the one served is {self._text_encoder.fingerprint}."
            )
        overrides = {name: tensor.to(self._device) for name, tensor in encoder.overrides.items()}
        self._text_encoder.check(overrides)
        card = encoder.card
        if card.trigger is not None and not card.trigger.fits(self._text_encoder.width):
            raise EncoderInvalid(
                f"The trigger of encoder {encoder_id!r} is not for embeddings of this base, which "
                f"have {self._text_encoder.width} numbers: make the encoder again."
            )
        return Member(
            card.identity,
            MappingProxyType(overrides),
            None if card.trigger is None else card.trigger.detector(self._device),
            card.concepts,
            is_triggered_alone=card.trigger is None or card.trigger.alone,
        )

    def _evict(self) -> None:
        """Drop the least recently used unpinned entries until the rest fits. The lock is held."""
        if self._bytes <= self._capacity:
            return
        for identity in list(self._entries):
            if self._bytes <= self._capacity:
                return
            entry = self._entries[identity]
            if entry.pins == 0:
                del self._entries[identity]
                self._bytes -= entry.size
                self._evictions += 1
