"""The report's drawings, as inline SVG: a loss curve with axes, a rate with its interval.

Colours come from the page's style, by class, so that they follow light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from unlearn.report.markup import Markup, tag
from unlearn.report.rates import Rate

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 44
MAX_POINTS = 400
"""Points a curve is drawn with at most; of more losses every so many-th is taken."""


def loss_curve(losses: Sequence[float]) -> Markup:
    """The objective at every optimisation step, at least one. Read aloud, it says where the curve
    begins and ends.
    """
    steps = list(range(1, len(losses) + 1))
    every = math.ceil(len(losses) / MAX_POINTS)
    drawn = sorted({*range(0, len(losses), every), len(losses) - 1})
    across = [at for at in ticks(0, len(losses), 8) if at.is_integer() and at <= len(losses)]
    up = ticks(min(losses), max(losses), 5)
    low_y, high_y = min(*up, *losses), max(*up, *losses)

    def x(step: float) -> float:
        share = step / len(losses)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(loss: float) -> float:
        share = (high_y - loss) / (high_y - low_y)
        return round(_TOP + share * (_HEIGHT - _TOP - _BOTTOM), 1)

    floor = _HEIGHT - _BOTTOM
    points = " ".join(f"{x(steps[i])},{y(losses[i])}" for i in drawn)
    summary = (
        f"The loss over {len(losses)} optimisation steps: {losses[0]:.4g} at the first, "
        f"{losses[-1]:.4g} at the last."
    )
    return tag(
        "svg",
        tag("title", "Loss curve"),
        tag("desc", summary),
        *(
            tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y(at), y2=y(at), class_="grid")
            for at in up
        ),
        tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=floor, y2=floor, class_="axis"),
        tag("line", x1=_LEFT, x2=_LEFT, y1=_TOP, y2=floor, class_="axis"),
        *(_label(f"{at:.4g}", _LEFT - 8, y(at) + 4, "end") for at in up),
        *(_label(f"{at:.0f}", x(at), floor + 18, "middle") for at in across),
        _label("optimisation step", (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, "middle"),
        tag(
            "text",
            "loss",
            transform=f"translate(14 {(_TOP + floor) / 2:g}) rotate(-90)",
            text_anchor="middle",
        ),
        tag("polyline", points=points, class_="curve"),
        tag("circle", cx=x(steps[-1]), cy=y(losses[-1]), r=3, class_="end"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=summary,
        class_="chart",
    )


def interval_bar(rate: Rate) -> Markup:
    """A rate as a bar from 0 to 100 % with its interval across. The figures stand beside it, so it
    is not read aloud.
    """
    low, high = (200 * end for end in rate.interval or (rate.rate, rate.rate))
    return tag(
        "svg",
        tag("rect", x=0, y=5, width=200, height=6, class_="track"),
        tag("rect", x=0, y=5, width=f"{200 * rate.rate:g}", height=6, class_="bar"),
        tag("path", d=f"M{low:g} 3v10M{low:g} 8H{high:g}M{high:g} 3v10", class_="whisker"),
        viewBox="-1 0 202 16",
        aria_hidden="true",
        class_="interval",
    )


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, from `low` or just below to `high` or
    just above: about `most` of them, at least two.
    """
    if high <= low:
        around = abs(low) if abs(low) > 1e-9 else 1.0  # next to nothing has no digits to go by
        low, high = low - around / 2, low + around / 2
    rough = (high - low) / most
    exponent = math.floor(math.log10(rough))
    power = 10.0**exponent
    apart = next(f * power for f in (1, 2, 5, 10) if f * power >= rough)
    first, last = math.floor(low / apart), math.ceil(high / apart)
    return [round(i * apart, max(0, 1 - exponent)) for i in range(first, last + 1)]


def _label(text: str, x: float, y: float, anchor: str) -> Markup:
    return tag("text", text, x=f"{x:g}", y=f"{y:g}", text_anchor=anchor)
