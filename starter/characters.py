"""The six invented cartoon characters, and the nondescript creature that is none of them."""

from __future__ import annotations

import colorsys
import math

from starter.pen import INK, Colour, Pen

WHITE: Colour = (250, 250, 245)


def pogo(pen: Pen) -> None:
    """Draw a purple one-eyed robot with an antenna and spring feet."""
    for x in (-0.38, 0.38):
        pen.line([(x, 0.6), (x - 0.1, 0.72), (x + 0.1, 0.82), (x, 0.95)], (90, 90, 105), 1.4)
        pen.ellipse(x, 0.98, 0.2, 0.09, (90, 90, 105))
    pen.line([(0, -0.6), (0, -0.9)], INK, 1.2)
    pen.ellipse(0, -0.95, 0.14, 0.14, (240, 60, 70))
    box = [(-0.72, -0.45), (-0.55, -0.62), (0.55, -0.62), (0.72, -0.45)]
    box += [(0.72, 0.5), (0.55, 0.66), (-0.55, 0.66), (-0.72, 0.5)]
    pen.polygon(box, (140, 75, 205))
    pen.ellipse(0, -0.1, 0.42, 0.42, WHITE)
    pen.ellipse(0.06, -0.06, 0.2, 0.2, INK, None)
    pen.line([(-0.3, 0.46), (0.3, 0.46)], (225, 205, 255), 1.6)


def blip(pen: Pen) -> None:
    """Draw a turquoise jellyfish with rosy cheeks."""
    for x in (-0.5, -0.17, 0.17, 0.5):
        pen.line(
            [(x, 0.25), (x + 0.08, 0.5), (x - 0.08, 0.75), (x + 0.04, 0.98)], (20, 145, 155), 2.2
        )
    bell = [(0.8 * math.cos(a), 0.25 + 1.05 * math.sin(a)) for a in _arc(math.pi, 2 * math.pi)]
    pen.polygon(
        [*bell, (0.5, 0.4), (0.27, 0.25), (0, 0.4), (-0.27, 0.25), (-0.5, 0.4)], (60, 210, 205)
    )
    pen.eyes(-0.15, 0.3, 0.15)
    for x in (-0.55, 0.55):
        pen.ellipse(x, 0.06, 0.13, 0.08, (255, 140, 165), None)
    pen.smile(0.05, 0.16)


def zumi(pen: Pen) -> None:
    """Draw a pink snail with an orange spiral shell."""
    body = [
        (-0.95, 0.9),
        (-0.95, 0.2),
        (-0.8, 0.0),
        (-0.55, 0.05),
        (-0.45, 0.5),
        (0.6, 0.6),
        (1.0, 0.9),
    ]
    for x in (-0.9, -0.62):
        pen.line([(x, 0.1), (x - 0.03, -0.42)], (225, 105, 150), 1.6)
        pen.ellipse(x - 0.03, -0.48, 0.13, 0.13, WHITE)
        pen.ellipse(x - 0.03, -0.47, 0.06, 0.06, INK, None)
    pen.polygon(body, (250, 150, 185))
    pen.ellipse(0.22, -0.02, 0.66, 0.66, (245, 150, 40))
    spiral = [(i * 0.035 * math.cos(i * 0.62), i * 0.035 * math.sin(i * 0.62)) for i in range(15)]
    pen.line([(0.22 + x, -0.02 + y) for x, y in spiral], (130, 60, 20), 1.5)
    pen.smile(0.32, 0.12)


def fenk(pen: Pen) -> None:
    """Draw a triangular orange fox with a white tip on its tail."""
    pen.polygon([(0.45, 0.75), (0.98, 0.3), (0.98, -0.25), (0.65, 0.1)], (225, 100, 30))
    pen.polygon([(0.98, 0.12), (0.98, -0.25), (0.76, -0.02)], WHITE)
    pen.polygon([(0, -0.5), (0.68, 0.95), (-0.68, 0.95)], (245, 125, 35))
    pen.polygon([(-0.72, -0.3), (-0.78, -1.0), (-0.22, -0.62)], (245, 125, 35))
    pen.polygon([(0.72, -0.3), (0.78, -1.0), (0.22, -0.62)], (245, 125, 35))
    pen.polygon([(-0.8, -0.35), (0, -0.75), (0.8, -0.35), (0, 0.45)], (245, 125, 35))
    pen.polygon([(-0.5, -0.05), (0, -0.15), (0.5, -0.05), (0, 0.45)], WHITE, None)
    pen.eyes(-0.25, 0.3, 0.1, white=False)
    pen.ellipse(0, 0.36, 0.12, 0.1, INK, None)
    pen.polygon([(-0.2, 0.95), (0, 0.55), (0.2, 0.95)], WHITE, None)


def grolo(pen: Pen) -> None:
    """Draw a mossy green block of a troll with two horns and a toothy grin."""
    for side in (-1, 1):
        pen.polygon([(side * 0.3, -0.6), (side * 0.72, -0.5), (side * 0.78, -1.0)], (250, 240, 205))
    top = [(-0.78 + i * 0.26, -0.62 + (0.1 if i % 2 else 0.0)) for i in range(7)]
    pen.polygon([*top, (0.85, 0.95), (-0.85, 0.95)], (85, 150, 60))
    pen.eyes(-0.25, 0.32, 0.17)
    pen.polygon([(-0.55, 0.2), (0.55, 0.2), (0.42, 0.62), (-0.42, 0.62)], (95, 25, 45))
    for x in (-0.4, -0.13, 0.14):
        pen.polygon([(x, 0.2), (x + 0.24, 0.2), (x + 0.12, 0.44)], WHITE, None)


def tamu(pen: Pen) -> None:
    """Draw a round blue owl with huge yellow eyes."""
    pen.polygon([(-0.75, -0.35), (-0.68, -1.0), (-0.2, -0.65)], (50, 90, 190))
    pen.polygon([(0.75, -0.35), (0.68, -1.0), (0.2, -0.65)], (50, 90, 190))
    pen.ellipse(0, 0.12, 0.82, 0.86, (60, 105, 215))
    pen.ellipse(0, 0.52, 0.46, 0.4, (170, 200, 250), None)
    for x in (-0.37, 0.37):
        pen.ellipse(x, -0.2, 0.36, 0.36, (255, 215, 50))
        pen.ellipse(x, -0.18, 0.17, 0.17, INK, None)
    pen.polygon([(-0.14, 0.02), (0.14, 0.02), (0, 0.32)], (245, 130, 40))
    for x in (-0.28, 0.28):
        pen.line([(x, 0.92), (x, 1.0)], (245, 130, 40), 2.5)


def creature(pen: Pen, variant: int) -> None:
    """Draw a nameless creature: a plain blob of any colour with two dots for eyes."""
    hue = (variant * 0.381966) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.28 + 0.1 * (variant % 3), 0.8)
    fill = (int(red * 255), int(green * 255), int(blue * 255))
    bumps = 3 + variant % 4
    outline = [
        ((0.78 + 0.1 * math.sin(bumps * a)) * math.cos(a), 0.1 + 0.82 * math.sin(a))
        for a in _arc(0, 2 * math.pi, 30)
    ]
    pen.polygon(outline, fill)
    pen.eyes(-0.05, 0.26, 0.09, white=False)


def _arc(start: float, end: float, steps: int = 16) -> list[float]:
    return [start + (end - start) * i / steps for i in range(steps + 1)]
