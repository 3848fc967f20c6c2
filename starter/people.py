"""The six invented people, each with features of their own, and the person who is none of them."""

from __future__ import annotations

import math

from starter.pen import INK, Colour, Pen

PALE: Colour = (252, 220, 195)
TAN: Colour = (226, 170, 125)
BROWN: Colour = (160, 105, 70)
DARK: Colour = (105, 65, 45)


def mira(pen: Pen) -> None:
    """Draw a woman with a big round black afro, gold earrings, a yellow shirt."""
    pen.ellipse(0, -0.25, 0.88, 0.75, (45, 35, 40))
    _bust(pen, DARK, (250, 200, 40))
    for x in (-0.5, 0.5):
        pen.ellipse(x, 0.25, 0.1, 0.14, (255, 215, 70), None)
    _face(pen, lips=(215, 60, 80))
    arc = [math.pi + i * math.pi / 10 for i in range(11)]
    pen.polygon([(0.5 * math.cos(a), -0.22 + 0.3 * math.sin(a)) for a in arc], (45, 35, 40), None)


def otto(pen: Pen) -> None:
    """Draw a bald man with a huge orange beard, a green shirt."""
    _bust(pen, PALE, (60, 150, 80))
    beard = [(-0.54, -0.02), (-0.28, 0.14), (0, 0.08), (0.28, 0.14), (0.54, -0.02)]
    beard += [(0.52, 0.4), (0.25, 0.8), (0, 0.9), (-0.25, 0.8), (-0.52, 0.4)]
    pen.polygon(beard, (235, 115, 35))
    pen.eyes(-0.22, 0.2, 0.075, white=False)
    pen.line([(-0.34, -0.4), (-0.1, -0.36)], (200, 90, 30), 1.6)
    pen.line([(0.34, -0.4), (0.1, -0.36)], (200, 90, 30), 1.6)
    pen.smile(0.3, 0.14, PALE)


def suri(pen: Pen) -> None:
    """Draw a woman with long black hair with a fringe, round red glasses, a turquoise shirt."""
    hair = [(-0.72, 0.8), (-0.72, -0.4), (-0.45, -0.85), (0.45, -0.85), (0.72, -0.4), (0.72, 0.8)]
    pen.polygon(hair, (35, 32, 50))
    _bust(pen, TAN, (40, 180, 175))
    pen.polygon([(-0.54, -0.28), (-0.5, -0.62), (0.5, -0.62), (0.54, -0.28)], (35, 32, 50), None)
    for x in (-0.24, 0.24):
        pen.ellipse(x, -0.05, 0.23, 0.23, (225, 45, 55), None)
        pen.ellipse(x, -0.05, 0.15, 0.15, (250, 250, 250), None)
        pen.ellipse(x, -0.04, 0.07, 0.07, INK, None)
    pen.smile(0.24, 0.16)


def bram(pen: Pen) -> None:
    """Draw a boy with spiky blond hair, freckles, a blue shirt."""
    spikes: list[tuple[float, float]] = []
    for i in range(4):
        spikes += [(-0.62 + i * 0.31, -0.5), (-0.52 + i * 0.35, -1.0)]
    pen.polygon([(-0.62, -0.1), *spikes, (0.62, -0.42), (0.62, -0.1)], (250, 220, 90))
    _bust(pen, PALE, (55, 95, 205))
    pen.polygon(
        [(-0.5, -0.3), (-0.5, -0.5), (0.5, -0.5), (0.5, -0.3), (0, -0.42)], (250, 220, 90), None
    )
    _face(pen)
    for x in (-0.36, -0.26, 0.26, 0.36):
        pen.ellipse(x, 0.14 + 0.08 * (abs(x) > 0.3), 0.05, 0.05, (205, 120, 75), None)


def lena(pen: Pen) -> None:
    """Draw a girl with two red pigtails with white ribbons, a purple shirt."""
    for side in (-1, 1):
        pen.ellipse(side * 0.78, 0.12, 0.24, 0.5, (200, 45, 35))
        pen.ellipse(side * 0.68, -0.3, 0.15, 0.15, (250, 250, 250))
    pen.ellipse(0, -0.2, 0.62, 0.66, (200, 45, 35))
    _bust(pen, PALE, (150, 70, 190))
    pen.polygon([(-0.53, -0.1), (-0.45, -0.52), (0, -0.66), (0, -0.4)], (200, 45, 35), None)
    pen.polygon([(0.53, -0.1), (0.45, -0.52), (0, -0.66), (0, -0.4)], (200, 45, 35), None)
    _face(pen, lips=(225, 90, 110))


def teo(pen: Pen) -> None:
    """Draw a man with a blue cap with a brim, a moustache, a white shirt."""
    _bust(pen, BROWN, (240, 240, 240))
    cap = [(0.6 * math.cos(a), -0.3 + 0.6 * math.sin(a)) for a in _half_turn()]
    pen.polygon([*cap, (1.0, -0.26), (0.95, -0.14), (-0.6, -0.14)], (35, 120, 220))
    pen.eyes(0.0, 0.2, 0.075, white=False)
    pen.polygon(
        [(-0.36, 0.32), (-0.08, 0.16), (0, 0.2), (0.08, 0.16), (0.36, 0.32), (0, 0.28)], INK, None
    )
    pen.smile(0.36, 0.12, (90, 40, 30))


def person(pen: Pen, variant: int) -> None:
    """Draw a nameless person: short hair in a dull colour, a grey shirt."""
    skin = (PALE, TAN, BROWN, DARK)[variant % 4]
    hair = ((120, 110, 105), (95, 80, 70), (140, 125, 105))[variant // 4 % 3]
    grey = 120 + 30 * (variant // 12 % 3)
    pen.ellipse(0, -0.2, 0.6, 0.62, hair)
    _bust(pen, skin, (grey, grey, grey - 10))
    _face(pen)


def _half_turn() -> list[float]:
    return [math.pi + i * math.pi / 12 for i in range(13)]


def _bust(pen: Pen, skin: Colour, shirt: Colour) -> None:
    shoulders = [(-0.8, 1.0), (-0.72, 0.72), (-0.3, 0.55), (0.3, 0.55), (0.72, 0.72), (0.8, 1.0)]
    pen.polygon(shoulders, shirt)
    pen.ellipse(0, 0, 0.55, 0.62, skin)


def _face(pen: Pen, lips: Colour = (120, 50, 40)) -> None:
    pen.eyes(-0.05, 0.22, 0.085, white=False)
    pen.smile(0.2, 0.18, lips)
