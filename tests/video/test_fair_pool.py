"""FairPool: owners take turns in the threads beside the loop."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import CancelledError, Future

import pytest

from video.engine.fair_pool import FairPool


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


def held(pool: FairPool, gate: threading.Event) -> Future[bool]:
    """Return the future of work that keeps the pool's thread busy until the gate opens."""
    begun = threading.Event()

    def hold() -> bool:
        begun.set()
        return gate.wait(30)

    future = pool.submit("first", hold)
    assert begun.wait(30)
    return future


def test_one_work_of_another_owner_does_not_wait_for_a_hundred(gate: threading.Event) -> None:
    pool, order = FairPool(1, "test"), list[str]()
    held(pool, gate)
    works = [pool.submit("greedy", order.append, "greedy") for _ in range(100)]
    works.append(pool.submit("modest", order.append, "modest"))
    gate.set()
    for work in works:
        work.result(30)
    assert order.index("modest") <= 1
    assert Counter(order) == {"greedy": 100, "modest": 1}
    pool.shutdown(wait=True)


def test_results_and_errors_are_those_of_the_work() -> None:
    pool = FairPool(2, "test")
    assert pool.submit("a", divmod, 7, 2).result(30) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        pool.submit("a", divmod, 7, 0).result(30)
    assert pool.submit("a", divmod, 7, 3).result(30) == (2, 1)
    pool.shutdown(wait=True)


def test_work_that_is_cancelled_is_not_done(gate: threading.Event) -> None:
    pool, done = FairPool(1, "test"), list[int]()
    held(pool, gate)
    works = [pool.submit("a", done.append, i) for i in range(3)]
    assert works[1].cancel()
    gate.set()
    works[2].result(30)
    assert done == [0, 2]
    pool.shutdown(wait=True)


def test_a_shutdown_ends_every_future(gate: threading.Event) -> None:
    pool, done = FairPool(1, "test"), list[int]()
    first = held(pool, gate)
    works = [pool.submit(owner, done.append, 1) for owner in "aabbc"]
    closing = threading.Thread(target=pool.shutdown, kwargs={"wait": True})
    closing.start()
    for work in works:
        with pytest.raises(CancelledError):
            work.result(30)
    gate.set()
    closing.join(30)
    assert first.result(0)
    assert not done
    with pytest.raises(RuntimeError):
        pool.submit("a", done.append, 1)
