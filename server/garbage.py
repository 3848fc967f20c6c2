"""Garbage collection in the process that serves.

A full collection looks at every object of the process and holds all its threads meanwhile. PyTorch,
diffusers and the API are more than a million objects, so that one took 0.3 to 0.8 s, several times
in a start and again whenever requests had made enough new ones. Those objects are never garbage.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

MOST_S = 60.0
"""Seconds after which a start that is not over counts as over: it may wait for its storage."""
_POLL_S = 0.1
_THRESHOLDS = 10_000, 10, 10
"""New objects until the youngest are collected, and how often until the next older ones are.

A request is about a thousand objects. With Python's 700 a thousand requests that wait for their
bodies were four full collections.
"""


async def collect_nothing_of_the_start(is_over: Callable[[], bool]) -> None:
    """Pause collection while the server starts, and exempt for ever what is there then.

    Args:
        is_over: Returns True once the models are loaded, or cannot be.
    """
    gc.disable()
    try:
        until = asyncio.get_running_loop().time() + MOST_S
        while not is_over() and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_POLL_S)
    finally:
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()
