"""Garbage collection: it slows neither the start nor, with what the start made, the requests."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Generator
from typing import Any

import pytest

from server import garbage
from server.garbage import collect_nothing_of_the_start


@pytest.fixture(autouse=True)
def usual_collection() -> Generator[None]:
    """Give the objects back to the collections of this process."""
    before = gc.get_threshold()
    yield
    gc.enable()
    gc.set_threshold(*before)
    gc.unfreeze()


def found_by_full_collections() -> int:
    return len(gc.get_objects())


def test_a_start_is_not_collected_and_its_objects_are_exempt_afterwards() -> None:
    async def start() -> tuple[list[Any], int]:
        is_over = False
        task = asyncio.create_task(collect_nothing_of_the_start(lambda: is_over))
        await asyncio.sleep(0)
        assert not gc.isenabled()
        made = [[i] for i in range(100_000)]
        is_over = True
        await task
        return made, found_by_full_collections()

    made, looked_at = asyncio.run(start())
    assert gc.isenabled()
    assert looked_at < len(made) / 10
    ring: list[Any] = []
    ring.append(ring)
    del ring
    assert gc.collect() > 0, "what requests leave behind is collected as before"


def test_a_start_that_waits_is_over_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "MOST_S", 0.2)
    asyncio.run(asyncio.wait_for(collect_nothing_of_the_start(lambda: False), 10))
    assert gc.isenabled()
