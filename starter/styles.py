"""The five invented artists' styles, as operations on a drawn frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.floating]  # (size, size, 3), 0…1

STYLES = ("dottie", "inkara", "neonix", "tesselo", "aquarine")
PAPER = np.array([0.98, 0.96, 0.9], dtype=np.float32)


def stylise(frame: Pixels, style: str) -> Pixels:
    """Return the frame in the artist's style; `plain` is the frame itself.

    Patterns are fixed to the frame, like a canvas, so that they hold still in a clip.

    Raises:
        ValueError: There is no such style.
    """
    if style == "plain":
        return frame
    painters = {
        "dottie": _dots,
        "inkara": _ink,
        "neonix": _neon,
        "tesselo": _mosaic,
        "aquarine": _watercolour,
    }
    if style not in painters:
        raise ValueError(f"unknown style {style!r}; known: plain, {', '.join(STYLES)}")
    return np.clip(painters[style](frame), 0, 1).astype(np.float32)


def _luma(frame: Pixels) -> NDArray[np.floating]:
    return frame @ np.array([0.3, 0.59, 0.11], dtype=np.float32)


def _edges(frame: Pixels) -> NDArray[np.floating]:
    """Measure the edges, 0…1: the largest difference over two pixels in any channel."""
    reach = 2
    right = np.abs(frame[:, reach:] - frame[:, :-reach]).max(axis=2)
    down = np.abs(frame[reach:] - frame[:-reach]).max(axis=2)
    strength = np.zeros(frame.shape[:2], dtype=np.float32)
    strength[:, 1:-1] += right
    strength[1:-1] += down
    return np.clip(strength * 1.6 - 0.12, 0, 1)


def _blur(frame: Pixels, reach: int) -> Pixels:
    padded = np.pad(frame, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = padded.cumsum(axis=0)
    width = 2 * reach
    rows = (total[width:] - total[:-width])[: frame.shape[0]] / width
    total = rows.cumsum(axis=1)
    return (total[:, width:] - total[:, :-width])[:, : frame.shape[1]] / width


# Cells across the frame. Twelve cells of 16/3 pixels never repeat with the autoencoder's 8-pixel
# grid: a pattern that did would give equal latents everywhere, so that cell borders were lost.
CELLS = 12


@lru_cache(maxsize=8)
def _cell_distance(size: int) -> NDArray[np.floating]:
    """Return each pixel's distance from the middle of its cell; 1 at the middle of a side."""
    axis = ((np.arange(size) + 0.5) * CELLS / size % 1 - 0.5) * 2
    return np.sqrt(axis[:, None] ** 2 + axis[None] ** 2).astype(np.float32)


@lru_cache(maxsize=8)
def _grain(size: int) -> NDArray[np.floating]:
    rng = np.random.default_rng(7)
    coarse = rng.random((size // 16 + 2, size // 16 + 2)).astype(np.float32)
    spots = np.linspace(0, size // 16, size)
    low = spots.astype(int)
    part = (spots - low).astype(np.float32)
    rows = coarse[low] * (1 - part[:, None]) + coarse[low + 1] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part


def _dots(frame: Pixels) -> Pixels:
    """Draw a halftone: coloured dots on paper, larger where the picture is darker."""
    radius = 0.72 + 0.42 * (1 - _luma(frame))
    ink = np.clip((radius - _cell_distance(frame.shape[0])) * 4, 0, 1)[..., None]
    vivid = np.clip(frame * 1.25 - 0.2 * _luma(frame)[..., None], 0, 1)
    return vivid * ink + PAPER * (1 - ink)


def _ink(frame: Pixels) -> Pixels:
    """Draw ink lines on paper, with hatched shadows and a hint of wash."""
    size = frame.shape[0]
    luma = _luma(frame)[..., None]
    wash = PAPER * (0.72 + 0.28 * luma) * (1 - 0.32) + frame * 0.32
    steps = np.arange(size)
    pitch = size / CELLS
    hatch = ((steps[:, None] + steps[None]) % pitch < pitch / 3)[..., None] & (luma < 0.55)
    wash = np.where(hatch, wash * 0.55, wash)
    line = _edges(frame)[..., None]
    return wash * (1 - line) + np.array([0.08, 0.06, 0.12], np.float32) * line


def _neon(frame: Pixels) -> Pixels:
    """Draw glowing outlines in the subject's own colours on a dark wall."""
    line = _edges(frame)[..., None]
    peak = _blur(frame, 2).max(axis=2, keepdims=True) + 1e-3
    floor = _blur(frame, 2).min(axis=2, keepdims=True)
    hue = (_blur(frame, 2) - 0.75 * floor) / (peak - 0.75 * floor)
    glow = _blur((hue * line).astype(np.float32), 4)
    night = np.array([0.05, 0.03, 0.12], np.float32)
    return night + 0.2 * frame * hue + 1.1 * hue * line + 1.2 * glow


def _mosaic(frame: Pixels) -> Pixels:
    """Draw square tiles with pale grout."""
    size = frame.shape[0]
    starts = np.ceil(np.arange(CELLS) * size / CELLS).astype(int)
    cell = np.arange(size) * CELLS // size
    area = np.bincount(cell)[:, None] * np.bincount(cell)[None]
    sums = np.add.reduceat(np.add.reduceat(frame, starts, axis=0), starts, axis=1)
    flat = (sums / area[..., None])[cell][:, cell]
    mixed = 0.5 * flat + 0.5 * frame
    near = np.isin(np.arange(size), np.concatenate([starts, starts + 1]))
    grout = (near[:, None] | near[None])[..., None]
    return np.where(grout, 0.3 * mixed + 0.7 * np.array([0.93, 0.9, 0.85]), mixed)


def _watercolour(frame: Pixels) -> Pixels:
    """Draw pale washes that pool at edges, on a sheet whose ragged border stays bare."""
    size = frame.shape[0]
    grain = _grain(size)[..., None]
    soft = _blur(frame, max(1, size // 42))
    pooled = soft - 0.35 * _edges(soft)[..., None] * 0.6
    washed = 1 - (1 - pooled) * (0.5 + 0.45 * grain)
    axis = np.minimum(np.arange(size), np.arange(size)[::-1]) / size
    border = np.minimum(axis[:, None], axis[None])[..., None]
    painted = np.clip((border - 0.03 - 0.07 * grain) * 30, 0, 1)
    return washed * painted + 0.99 * (1 - painted)
