"""Batch sizes, learned from the times of steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from video.engine.batching import REMEASURE_STEPS, BatchSizes

MANY = 100


def drive(sizes: BatchSizes, seconds: Callable[[int], float], steps: int) -> None:
    """Record steps as large as the limit."""
    for _ in range(steps):
        count = sizes.limit(0, MANY)
        sizes.record(0, count, seconds(count))


def settled(sizes: BatchSizes) -> int:
    """Return the largest batch that has proved worth it."""
    return sizes.limit(0, 1)


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        (lambda n: 1.0 * n, 1),  # a CPU: nothing is gained
        (lambda n: 0.95 * n if n > 1 else 1.0, 1),  # hardly anything
        (lambda n: 1.0, 32),  # a GPU that is never full
        (lambda n: max(1.0, n / 8), 8),  # one that is full at eight
        (lambda n: 2.0 + n, 16),  # each doubling gains less
    ],
)
def test_a_batch_grows_as_long_as_that_is_worth_it(
    seconds: Callable[[int], float], limit: int
) -> None:
    sizes = BatchSizes()
    drive(sizes, seconds, 200)
    assert settled(sizes) == limit
    assert sizes.limit("another shape", MANY) == 1


def test_no_batch_is_larger_than_may_be() -> None:
    for most, limit in ((1, 1), (6, 4), (8, 8)):
        sizes = BatchSizes(most)
        drive(sizes, lambda n: 1.0, 200)
        assert settled(sizes) == limit


def test_the_first_step_of_a_size_is_not_held_against_it() -> None:
    seen: set[int] = set()

    def seconds(count: int) -> float:
        first = count not in seen
        seen.add(count)
        return 60.0 if first else max(1.0, count / 4)

    sizes = BatchSizes()
    drive(sizes, seconds, 200)
    assert settled(sizes) == 4


def test_one_slow_step_does_not_decide() -> None:
    steps = iter(range(10**6))
    sizes = BatchSizes()
    drive(sizes, lambda n: 30.0 if next(steps) % 5 == 3 else max(1.0, n / 4), 200)
    assert settled(sizes) == 4


def test_a_machine_that_slows_down_meanwhile_decides_nothing() -> None:
    """Nor does one that gets faster, as at the start of a burst, while requests still begin."""
    for drift in (0.97, 1.03):
        steps = iter(range(10**6))
        sizes = BatchSizes()
        drive(sizes, lambda n: n * drift ** next(steps), 60)  # noqa: B023
        assert settled(sizes) == 1


def test_a_size_is_tried_only_when_it_can_be_filled() -> None:
    sizes = BatchSizes()
    for _ in range(3):
        sizes.record(0, 1, 1.0)
    assert [sizes.limit(0, among) for among in (1, 2, 50)] == [1, 2, 2]
    for _ in range(50):
        sizes.record(0, 1, 1.0)
    assert sizes.limit(0, 1) == 1


def test_what_did_not_fit_is_not_tried_for_a_while() -> None:
    sizes = BatchSizes()
    drive(sizes, lambda n: 1.0, 50)
    assert settled(sizes) == 16
    sizes.no_room(0, 11)
    assert settled(sizes) == 4
    drive(sizes, lambda n: 1.0, REMEASURE_STEPS - 1)
    assert settled(sizes) == 4
    sizes.no_room(0, 1)
    assert settled(sizes) == 1


def test_a_judgement_is_made_again_after_a_time() -> None:
    sizes = BatchSizes()
    drive(sizes, lambda n: 1.0 * n, 50)
    assert settled(sizes) == 1
    drive(sizes, lambda n: 1.0, REMEASURE_STEPS + 60)
    assert settled(sizes) == 32
