"""The eight everyday objects, and the nondescript thing that is none of them."""

from __future__ import annotations

import math

from starter.pen import INK, Colour, Pen

WHITE: Colour = (250, 250, 245)


def balloon(pen: Pen) -> None:
    """Draw a red balloon on a string."""
    pen.line([(0, 0.5), (0.1, 0.65), (-0.08, 0.82), (0.05, 1.0)], INK, 0.8)
    pen.polygon([(-0.12, 0.58), (0, 0.42), (0.12, 0.58)], (200, 35, 45))
    pen.ellipse(0, -0.25, 0.62, 0.74, (232, 50, 58))
    pen.ellipse(-0.22, -0.5, 0.13, 0.2, (255, 190, 190), None)


def cactus(pen: Pen) -> None:
    """Draw a green cactus in a clay pot."""
    green: Colour = (50, 160, 85)
    pen.polygon(_capsule(-0.55, -0.3, -0.1, 0.16), green)
    pen.polygon([(-0.6, 0.0), (0, 0.0), (0, 0.22), (-0.6, 0.16)], green, None)
    pen.polygon(_capsule(0.55, -0.5, -0.2, 0.16), green)
    pen.polygon([(0.6, -0.15), (0, -0.15), (0, 0.08), (0.6, 0.02)], green, None)
    pen.polygon(_capsule(0, -0.68, 0.4, 0.28), green)
    for x in (-0.1, 0.1):
        pen.line([(x, -0.65), (x, 0.4)], (30, 115, 60), 0.7)
    pen.polygon([(-0.5, 0.4), (0.5, 0.4), (0.36, 1.0), (-0.36, 1.0)], (205, 105, 60))


def house(pen: Pen) -> None:
    """Draw a cream house with a red roof and a blue door."""
    pen.polygon([(0.35, -0.75), (0.58, -0.75), (0.58, -0.1), (0.35, -0.1)], (130, 80, 70))
    pen.polygon([(-0.72, -0.1), (0.72, -0.1), (0.72, 0.95), (-0.72, 0.95)], (250, 230, 185))
    pen.polygon([(-0.95, -0.05), (0, -0.9), (0.95, -0.05)], (205, 60, 50))
    pen.polygon([(-0.5, 0.35), (-0.05, 0.35), (-0.05, 0.95), (-0.5, 0.95)], (55, 105, 190))
    pen.polygon([(0.18, 0.25), (0.55, 0.25), (0.55, 0.6), (0.18, 0.6)], (150, 215, 245))


def sailboat(pen: Pen) -> None:
    """Draw a sailing boat: brown hull, white and orange sails."""
    pen.line([(0, 0.5), (0, -1.0)], (110, 70, 45), 1.5)
    pen.polygon([(0.07, -0.95), (0.07, 0.38), (0.85, 0.38)], WHITE)
    pen.polygon([(-0.07, -0.75), (-0.07, 0.38), (-0.65, 0.38)], (250, 150, 50))
    pen.polygon([(-0.95, 0.5), (0.95, 0.5), (0.62, 0.95), (-0.62, 0.95)], (150, 85, 50))


def mushroom(pen: Pen) -> None:
    """Draw a toadstool with a violet cap and pale spots."""
    pen.polygon([(-0.28, 0.05), (0.28, 0.05), (0.38, 0.95), (-0.38, 0.95)], (250, 240, 220))
    cap = [(0.92 * math.cos(a), 0.15 + 0.95 * math.sin(a)) for a in _half_turn()]
    pen.polygon(cap, (165, 60, 150))
    for x, y, r in ((-0.45, -0.15, 0.15), (0.05, -0.5, 0.17), (0.5, -0.12, 0.14)):
        pen.ellipse(x, y, r, r, (255, 225, 245), None)


def star(pen: Pen) -> None:
    """Draw a yellow star with a sleepy smile."""
    points = [
        (
            (1.0 if i % 2 == 0 else 0.48) * math.sin(i * math.pi / 5),
            0.05 - (1.0 if i % 2 == 0 else 0.48) * math.cos(i * math.pi / 5),
        )
        for i in range(10)
    ]
    pen.polygon(points, (255, 212, 50))
    pen.eyes(-0.08, 0.18, 0.075, white=False)
    pen.smile(0.1, 0.14)


def teapot(pen: Pen) -> None:
    """Draw a round sky-blue teapot with a white band."""
    ring = [
        (0.62 + 0.34 * math.cos(a), 0.2 + 0.36 * math.sin(a))
        for a in (i * math.pi / 8 - math.pi / 2 for i in range(9))
    ]
    pen.line(ring, (50, 120, 170), 2.6)
    pen.polygon([(-0.55, 0.35), (-1.0, -0.25), (-0.85, -0.3), (-0.4, 0.0)], (90, 175, 225))
    pen.ellipse(0, 0.25, 0.68, 0.62, (90, 175, 225))
    pen.polygon([(-0.66, 0.18), (0.66, 0.18), (0.66, 0.38), (-0.66, 0.38)], WHITE, None)
    pen.ellipse(0, -0.36, 0.38, 0.14, (50, 120, 170))
    pen.ellipse(0, -0.56, 0.12, 0.12, (250, 200, 60))


def umbrella(pen: Pen) -> None:
    """Draw an open umbrella in pink and white."""
    pen.line([(0, -0.3), (0, 0.8), (0.12, 0.95), (0.26, 0.82)], (110, 70, 45), 1.6)
    edge = [(-0.95, 0.1), (-0.57, -0.05), (-0.19, 0.1), (0.19, 0.1), (0.57, -0.05), (0.95, 0.1)]
    dome = [(0.95 * math.cos(a), 0.1 + 0.95 * math.sin(a)) for a in _half_turn()]
    pen.polygon([*dome, *reversed(edge)], (245, 90, 150))
    pen.polygon([(0, -0.85), (-0.5, -0.02), (-0.19, 0.08)], WHITE, None)
    pen.polygon([(0, -0.85), (0.5, -0.02), (0.19, 0.08)], WHITE, None)


def thing(pen: Pen, variant: int) -> None:
    """Draw a nameless thing: a grey or sandy box, stone or drum."""
    tone = 105 + 24 * (variant % 4)
    fill = (tone + 12 * (variant // 4 % 3), tone + 4, tone - 6 * (variant // 4 % 3))
    shape = variant // 12 % 3
    if shape == 0:
        pen.polygon([(-0.7, -0.4), (0.7, -0.4), (0.7, 0.9), (-0.7, 0.9)], fill)
        pen.line([(-0.7, -0.1), (0.7, -0.1)])
    elif shape == 1:
        stone = [(-0.85, 0.9), (-0.75, 0.1), (-0.3, -0.45), (0.4, -0.3), (0.85, 0.3), (0.8, 0.9)]
        pen.polygon(stone, fill)
    else:
        pen.polygon([(-0.6, -0.4), (0.6, -0.4), (0.6, 0.8), (-0.6, 0.8)], fill)
        pen.ellipse(0, -0.4, 0.6, 0.2, (tone + 40, tone + 35, tone + 30))


def _half_turn() -> list[float]:
    return [math.pi + i * math.pi / 14 for i in range(15)]


def _capsule(x: float, top: float, bottom: float, r: float) -> list[tuple[float, float]]:
    upper = [(x + r * math.cos(a), top + r * math.sin(a)) for a in _half_turn()]
    return [*upper, (x + r, bottom + r), (x - r, bottom + r)]
