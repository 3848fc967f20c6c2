"""Backgrounds of scenes: five places and the plain coloured card."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from starter.pen import Colour

PLACES = ("meadow", "night", "beach", "room", "sunset")
CARDS: dict[str, Colour] = {
    "pink": (250, 205, 215),
    "blue": (185, 215, 245),
    "green": (200, 232, 200),
    "yellow": (252, 240, 190),
    "grey": (205, 205, 210),
    "lilac": (220, 205, 245),
}
BACKGROUNDS = (*PLACES, *CARDS)
SHIFTS = 7  # positions of the horizon


@lru_cache(maxsize=256)
def background(name: str, shift: int, size: int) -> Image.Image:
    """Draw a background as an RGB image, which is cached and shared: copy it before drawing on it.

    Args:
        name: One of `BACKGROUNDS`.
        shift: Position of the horizon, 0 … SHIFTS-1.
        size: Pixels a side.

    Raises:
        ValueError: There is no such background.
    """
    unit = size / 64
    horizon = (40 + 2 * shift) * unit
    if name in CARDS:
        return _gradient(size, CARDS[name], _scaled(CARDS[name], 0.92))
    if name == "meadow":
        image = _gradient(size, (150, 210, 245), (225, 242, 250))
        draw = ImageDraw.Draw(image)
        _disc(draw, 52 * unit, 10 * unit, 5 * unit, (255, 235, 140))
        draw.ellipse((-40 * unit, horizon - 4 * unit, 60 * unit, 140 * unit), fill=(140, 200, 105))
        draw.ellipse((10 * unit, horizon, 120 * unit, 140 * unit), fill=(110, 180, 85))
        return image
    if name == "night":
        image = _gradient(size, (20, 24, 66), (60, 62, 120))
        draw = ImageDraw.Draw(image)
        for x, y in ((8, 8), (20, 16), (30, 6), (44, 18), (58, 28), (6, 30), (38, 26), (18, 36)):
            _disc(draw, x * unit, y * unit, 0.9 * unit, (255, 250, 215))
        _disc(draw, 53 * unit, 10 * unit, 5 * unit, (250, 245, 205))
        _disc(draw, 50.5 * unit, 9 * unit, 4.2 * unit, (27, 31, 74))
        draw.rectangle((0, horizon + 6 * unit, size, size), fill=(36, 44, 70))
        return image
    if name == "beach":
        image = _gradient(size, (170, 225, 250), (235, 248, 250))
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, horizon - 8 * unit, size, size), fill=(60, 160, 210))
        draw.rectangle((0, horizon - 2 * unit, size, horizon), fill=(205, 238, 245))
        draw.rectangle((0, horizon, size, size), fill=(245, 222, 165))
        return image
    if name == "room":
        image = _gradient(size, (245, 228, 205), (238, 215, 190))
        draw = ImageDraw.Draw(image)
        draw.rectangle((5 * unit, 6 * unit, 21 * unit, 24 * unit), fill=(255, 255, 255))
        draw.rectangle((7 * unit, 8 * unit, 19 * unit, 22 * unit), fill=(160, 212, 240))
        draw.rectangle((12.5 * unit, 8 * unit, 13.5 * unit, 22 * unit), fill=(255, 255, 255))
        draw.rectangle((0, horizon + 4 * unit, size, size), fill=(175, 125, 85))
        draw.rectangle((0, horizon + 3 * unit, size, horizon + 4.5 * unit), fill=(255, 255, 255))
        return image
    if name == "sunset":
        image = _gradient(size, (120, 70, 140), (255, 160, 90))
        draw = ImageDraw.Draw(image)
        _disc(draw, 14 * unit, horizon, 9 * unit, (255, 225, 120))
        draw.ellipse((-60 * unit, horizon + 1 * unit, 70 * unit, 150 * unit), fill=(85, 48, 88))
        draw.ellipse((20 * unit, horizon + 4 * unit, 130 * unit, 150 * unit), fill=(66, 38, 76))
        return image
    raise ValueError(f"unknown background {name!r}; known: {', '.join(BACKGROUNDS)}")


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (round(channel * factor) for channel in colour)
    return red, green, blue


def _gradient(size: int, top: Colour, bottom: Colour) -> Image.Image:
    ramp = np.linspace(0, 1, size)[:, None, None]
    column = np.asarray(top) * (1 - ramp) + np.asarray(bottom) * ramp
    pixels = np.broadcast_to(column, (size, size, 3)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))
