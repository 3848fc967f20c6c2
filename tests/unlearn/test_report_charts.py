"""The report's charts: the curve of the losses, and the ticks beside it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unlearn.report_help import Page
from unlearn.report.charts import MAX_POINTS, loss_curve, ticks


def test_the_curve_is_that_of_the_losses() -> None:
    losses = [float(loss) for loss in np.random.default_rng(1).normal(size=50)]
    points = Page(str(loss_curve(losses))).all("polyline")[0]["points"]
    x, y = np.array([[float(c) for c in point.split(",")] for point in points.split()]).T
    assert len(x) == 50
    assert np.allclose(np.diff(x), (x[-1] - x[0]) / 49, atol=0.11)
    slope, start = np.polyfit(losses, y, 1)
    assert slope < 0  # up is more
    assert np.allclose(y, start + slope * np.array(losses), atol=0.06)


@pytest.mark.parametrize("losses", [[0.0], [1.0, 1.0], [-3.0] * 5, list(range(1000, 0, -1))])
def test_a_curve_of_anything_is_drawn(losses: list[float]) -> None:
    drawn = Page(str(loss_curve(losses)))
    points = drawn.all("polyline")[0]["points"].split()
    assert 1 <= len(points) <= MAX_POINTS + 1
    assert f"{losses[-1]:.4g} at the last" in drawn.text
    assert not re.search("nan|inf", points[0] + points[-1])


@given(
    low=st.floats(-1e6, 1e6),
    span=st.one_of(st.just(0.0), st.floats(1e-6, 1e6)),
    most=st.integers(2, 10),
)
@example(low=5e-324, span=0.0, most=2)
def test_ticks_lie_around_what_they_measure(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert 2 <= len(found) <= 2 * most + 2
    assert found == sorted(set(found))
    assert found[0] <= low + 1e-9
    assert found[-1] >= low + span - 1e-9
