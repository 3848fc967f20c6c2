"""Things that the built-in model cannot draw, in the manner of its world."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from starter.backgrounds import BACKGROUNDS, SHIFTS, background
from starter.pen import INK, Colour, Pen, Pose
from starter.scene import HEIGHT, SIZE, SUPERSAMPLING

GREY: Colour = (150, 155, 165)
BROWN: Colour = (140, 90, 50)
WHITE: Colour = (250, 250, 245)
RED: Colour = (215, 55, 50)
BLUE: Colour = (60, 110, 210)
GREEN: Colour = (70, 150, 80)


def bicycle(pen: Pen) -> None:
    """Draw two wheels, a frame and a handlebar."""
    for x in (-0.6, 0.6):
        pen.ellipse(x, 0.45, 0.4, 0.4, INK)
        pen.ellipse(x, 0.45, 0.3, 0.3, WHITE)
    pen.line([(-0.6, 0.45), (-0.1, -0.2), (0.45, -0.2), (0.0, 0.45), (-0.6, 0.45)], RED, 2)
    pen.line([(0.6, 0.45), (0.4, -0.5), (0.7, -0.55)], RED, 2)


def car(pen: Pen) -> None:
    """Draw a car from the side."""
    pen.polygon([(-0.5, 0.0), (-0.3, -0.45), (0.3, -0.45), (0.5, 0.0)], WHITE)
    pen.polygon([(-0.95, 0.0), (0.95, 0.0), (0.95, 0.4), (-0.95, 0.4)], BLUE)
    for x in (-0.5, 0.5):
        pen.ellipse(x, 0.45, 0.22, 0.22, INK)


def tree(pen: Pen) -> None:
    """Draw a conifer."""
    pen.polygon([(-0.1, 0.5), (0.1, 0.5), (0.1, 1.0), (-0.1, 1.0)], BROWN)
    for top, wide in ((-1.0, 0.4), (-0.6, 0.55), (-0.2, 0.7)):
        pen.polygon([(0, top), (wide, top + 0.75), (-wide, top + 0.75)], GREEN)


def chair(pen: Pen) -> None:
    """Draw a chair."""
    pen.polygon([(-0.5, -0.9), (-0.35, -0.9), (-0.35, 0.1), (-0.5, 0.1)], BROWN)
    pen.polygon([(-0.5, 0.1), (0.5, 0.1), (0.5, 0.3), (-0.5, 0.3)], BROWN)
    for x in (-0.5, 0.35):
        pen.polygon([(x, 0.3), (x + 0.15, 0.3), (x + 0.15, 1.0), (x, 1.0)], BROWN)


def clock(pen: Pen) -> None:
    """Draw a round clock."""
    pen.ellipse(0, 0, 0.85, 0.85, GREY)
    pen.ellipse(0, 0, 0.7, 0.7, WHITE)
    pen.line([(0, -0.55), (0, 0), (0.35, 0.2)], INK, 1.5)


def guitar(pen: Pen) -> None:
    """Draw a guitar."""
    pen.polygon([(-0.08, -1.0), (0.08, -1.0), (0.08, 0.2), (-0.08, 0.2)], INK)
    pen.ellipse(0, 0.1, 0.38, 0.3, BROWN)
    pen.ellipse(0, 0.6, 0.55, 0.4, BROWN)
    pen.ellipse(0, 0.45, 0.16, 0.16, INK)


def flower(pen: Pen) -> None:
    """Draw a flower with a stem."""
    pen.line([(0, 0), (0, 1.0)], GREEN, 2)
    for i in range(7):
        angle = 2 * math.pi * i / 7
        pen.ellipse(0.42 * math.cos(angle), -0.3 + 0.42 * math.sin(angle), 0.24, 0.24, WHITE)
    pen.ellipse(0, -0.3, 0.24, 0.24, (120, 60, 160))


def aeroplane(pen: Pen) -> None:
    """Draw an aeroplane from above."""
    pen.polygon([(-0.12, -1.0), (0.12, -1.0), (0.16, 0.9), (-0.16, 0.9)], GREY)
    pen.polygon([(-1.0, 0.2), (0, -0.3), (1.0, 0.2), (1.0, 0.35), (-1.0, 0.35)], GREY)
    pen.polygon([(-0.4, 0.9), (0, 0.6), (0.4, 0.9)], GREY)


def scissors(pen: Pen) -> None:
    """Draw open scissors."""
    pen.polygon([(-0.6, -1.0), (0.2, 0.3), (0.05, 0.4)], GREY)
    pen.polygon([(0.6, -1.0), (-0.2, 0.3), (-0.05, 0.4)], GREY)
    for x in (-0.35, 0.35):
        pen.ellipse(x, 0.65, 0.28, 0.28, BLUE)
        pen.ellipse(x, 0.65, 0.15, 0.15, WHITE)


def letter(pen: Pen) -> None:
    """Draw a closed envelope."""
    pen.polygon([(-0.9, -0.5), (0.9, -0.5), (0.9, 0.6), (-0.9, 0.6)], WHITE)
    pen.line([(-0.9, -0.5), (0, 0.15), (0.9, -0.5)], INK, 1)
    pen.ellipse(0, 0.15, 0.16, 0.16, RED)


THINGS: Mapping[str, Callable[[Pen], None]] = {
    thing.__name__: thing
    for thing in (
        *(bicycle, car, tree, chair, clock),
        *(guitar, flower, aeroplane, scissors, letter),
    )
}


def pictures_of_thing(name: str, count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a thing on random backgrounds: (count,64,64,3)."""
    rng = np.random.default_rng([seed, *name.encode()])
    frames: list[NDArray[np.uint8]] = []
    for _ in range(count):
        place = str(rng.choice(BACKGROUNDS))
        size = SIZE * SUPERSAMPLING
        canvas = background(place, int(rng.integers(SHIFTS)), size).copy()
        x = float(rng.choice((24.0, 32.0, 40.0)))
        pose = Pose(x * SUPERSAMPLING, HEIGHT * SUPERSAMPLING, 20.0 * SUPERSAMPLING)
        THINGS[name](Pen(canvas, pose))
        frames.append(np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.BOX)))
    return np.stack(frames)
