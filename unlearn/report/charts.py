"""The report's charts as inline SVG: a loss curve with axes, a rate with its interval.

Colours come from the page's style sheet, by class, so that they follow light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from unlearn.report.rates import Rate
from unlearn.report.rendering import render

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _FLOOR = 64, _WIDTH - 12, 12, _HEIGHT - 44
"""The box of the curve within the drawing."""
MAX_POINTS = 400
"""The most points of a curve; of more losses only every n-th is drawn, and the last."""


def loss_curve(losses: Sequence[float]) -> Markup:
    """Draw the objective at every optimisation step, at least one.

    The text alternative says where the curve begins and ends.
    """
    every = math.ceil(len(losses) / MAX_POINTS)
    drawn = sorted({*range(0, len(losses), every), len(losses) - 1})
    across = [at for at in ticks(0, len(losses), 8) if at.is_integer() and at <= len(losses)]
    up = ticks(min(losses), max(losses), 5)
    low, high = min(*up, *losses), max(*up, *losses)

    def x(step: float) -> float:
        return round(_LEFT + step / len(losses) * (_RIGHT - _LEFT), 1)

    def y(loss: float) -> float:
        return round(_TOP + (high - loss) / (high - low) * (_FLOOR - _TOP), 1)

    return render(
        "loss_curve.html",
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        floor=_FLOOR,
        summary=f"The loss over {len(losses)} optimisation steps: {losses[0]:.4g} at the first, "
        f"{losses[-1]:.4g} at the last.",
        rows=[(f"{at:.4g}", y(at)) for at in up],
        columns=[(f"{at:.0f}", x(at)) for at in across],
        points=[(x(i + 1), y(losses[i])) for i in drawn],
    )


def interval_bar(rate: Rate) -> Markup:
    """Draw a rate as a bar from 0 to 100 % with its interval across.

    Screen readers skip it: the figures stand beside it.
    """
    low, high = rate.interval or (rate.rate, rate.rate)
    return render("interval_bar.html", share=rate.rate, low=low, high=high)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Choose round numbers, 1, 2 or 5 times a power of ten apart, that enclose `low` and `high`.

    Returns:
        About `most` numbers, at least two; the first is at most `low`, the last at least `high`.
    """
    if high <= low:
        around = abs(low) if abs(low) > 1e-9 else 1.0  # next to zero there is no scale to go by
        low, high = low - around / 2, low + around / 2
    rough = (high - low) / most
    exponent = math.floor(math.log10(rough))
    power = 10.0**exponent
    apart = next(f * power for f in (1, 2, 5, 10) if f * power >= rough)
    first, last = math.floor(low / apart), math.ceil(high / apart)
    return [round(i * apart, max(0, 1 - exponent)) for i in range(first, last + 1)]
