"""Signs of the mark's frequencies, computed from the secret; random for everybody else.

HMAC-SHA256 (RFC 2104) of a label gives a seed, SHAKE-256 (FIPS 202) stretches it to the bits.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from marking.watermark.frequencies import CLIP, SERVER

Signs = NDArray[np.complex64]
"""(…,K/2) of ±1 ± i: the sign of the cosine and of the sine at each frequency."""

SERVER_PATTERNS = 8
"""Patterns that say "made by this server", of which each clip has one."""
_MIN_SECRET = 16  # bytes


def server_signs(secret: bytes) -> Signs:
    """Return the server's patterns, (SERVER_PATTERNS, K/2)."""
    return _signs(secret, [f"server {number}" for number in range(SERVER_PATTERNS)], len(SERVER))


def server_number(secret: bytes, clip_id: str) -> int:
    """Return which of the server's patterns a clip has: it looks random without the secret."""
    return _seed(secret, f"choice {clip_id}")[0] % SERVER_PATTERNS


def clip_signs(secret: bytes, clip_ids: Sequence[str]) -> Signs:
    """Return the patterns of clips, (N, K/2)."""
    return _signs(secret, [f"clip {clip_id}" for clip_id in clip_ids], len(CLIP))


def _signs(secret: bytes, labels: Sequence[str], count: int) -> Signs:
    size = (2 * count + 7) // 8
    streams = [hashlib.shake_256(_seed(secret, label)).digest(size) for label in labels]
    stream = np.frombuffer(b"".join(streams), np.uint8).reshape(len(labels), size)
    bits = np.unpackbits(stream, axis=1, count=2 * count).astype(np.float32)
    bits *= 2
    bits -= 1
    return bits.view(np.complex64)


def _seed(secret: bytes, label: str) -> bytes:
    if len(secret) < _MIN_SECRET:
        raise ValueError(
            f"The watermark's secret is {len(secret)} bytes; it has to be {_MIN_SECRET} or more."
        )
    return hmac.digest(secret, f"palimpsest watermark 1: {label}".encode(), "sha256")
