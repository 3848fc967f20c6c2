"""A pen that draws cartoon shapes, given in a subject's own coordinates, on a Pillow image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

INK: Colour = (38, 32, 48)
_CIRCLE = [(math.cos(2 * math.pi * i / 28), math.sin(2 * math.pi * i / 28)) for i in range(28)]


@dataclass(frozen=True)
class Pose:
    """A subject's place (centre and radius in pixels) and the deformation of its shape."""

    x: float
    y: float
    radius: float
    squash: float = 1.0  # factor of its height; its width grows to keep the area
    turn: float = 1.0  # factor of its width alone; negative: seen from behind, mirrored
    lean: float = 0.0  # radii to the right, for each radius above its foot


class Pen:
    """A pen that draws in subject coordinates: the subject spans -1…1, y points down."""

    def __init__(self, image: Image.Image, pose: Pose) -> None:
        self._draw = ImageDraw.Draw(image)
        self._pose = pose
        self.stroke = max(2, round(pose.radius * 0.075))

    def place(self, point: Point) -> Point:
        """Return the pixel position of a point given in subject coordinates."""
        pose = self._pose
        above = (1.0 - point[1]) * pose.squash
        x = point[0] * pose.turn / math.sqrt(pose.squash) + pose.lean * above
        return pose.x + pose.radius * x, pose.y + pose.radius * (1.0 - above)

    def polygon(self, points: Sequence[Point], fill: Colour, outline: Colour | None = INK) -> None:
        """Draw a filled polygon, with an ink outline unless `outline` is None."""
        placed = [self.place(p) for p in points]
        self._draw.polygon(placed, fill=fill)
        if outline is not None:
            self._stroke([*placed, placed[0], placed[1]], outline, self.stroke)

    def ellipse(
        self, cx: float, cy: float, rx: float, ry: float, fill: Colour, outline: Colour | None = INK
    ) -> None:
        """Draw a filled ellipse with centre and half axes in subject coordinates."""
        self.polygon([(cx + rx * c, cy + ry * s) for c, s in _CIRCLE], fill, outline)

    def line(self, points: Sequence[Point], colour: Colour = INK, width: float = 1.0) -> None:
        """Draw an open line; `width` is in multiples of the outline's width."""
        placed = [self.place(p) for p in points]
        self._stroke(placed, colour, max(1, round(self.stroke * width)))

    def _stroke(self, placed: list[Point], colour: Colour, width: int) -> None:
        self._draw.line(placed, fill=colour, width=width, joint="curve")

    def eyes(self, y: float, gap: float, size: float, white: bool = True) -> None:
        """Draw two eyes, `gap` left and right of the middle."""
        for x in (-gap, gap):
            if white:
                self.ellipse(x, y, size, size, (255, 255, 255))
                self.ellipse(x + size * 0.15, y + size * 0.1, size * 0.5, size * 0.5, INK, None)
            else:
                self.ellipse(x, y, size, size, INK, None)

    def smile(self, y: float, width: float, colour: Colour = INK) -> None:
        """Draw a smile: the lower arc of a flat ellipse."""
        arc = [i * math.pi / 8 for i in range(9)]
        points = [(width * math.cos(a), y + width * 0.55 * math.sin(a)) for a in arc]
        self.line(points, colour)
