"""Requests that write while the database is locked: they hold up no others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from server.errors import StorageUnavailable
from server.storage import writers_turn
from server.storage.writes import AT_ONCE, AT_ONCE_OF_KEY, WAITING_OF_KEY, Writes
from tests.server.help import Client, assert_error, bearer, settings_for, wait_ready, write_keys
from tests.server.test_outages import locked

BUSY_TIMEOUT_S = 1.5
POSTS = 60
QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
ADMIN, ACME = bearer("secret-admin"), bearer("secret-acme")


@pytest.fixture(scope="module")
def client(quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Yield a server with keys whose writers wait a short time for the database's lock."""
    folder = tmp_path_factory.mktemp("writes")
    keys = write_keys(
        folder / "keys.json",
        admin={"role": "admin"},
        acme={"role": "user", "encoders": ["*"]},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writers_turn, "BUSY_TIMEOUT_S", BUSY_TIMEOUT_S)
        settings = settings_for(quick_backbone_dir, folder / "data", keys_file=keys)
        with Client(settings) as client:
            wait_ready(client)
            yield client


POST = ("POST", "/v1/videos", QUICK, ACME)
OTHERS = (
    ("DELETE", "/v1/videos/{video}", None, ACME),
    ("PUT", "/v1/aliases/some", {"encoder": "none"}, ADMIN),
    ("DELETE", "/v1/aliases/some", None, ADMIN),
    ("DELETE", "/v1/tenants/nobody", None, ADMIN),
    ("DELETE", "/v1/encoders/none", None, ADMIN),
)


@pytest.mark.parametrize("changes", [(POST,), (POST, *OTHERS)], ids=["one key", "all routes"])
def test_a_locked_database_stops_no_reads(client: Client, changes: Sequence[Any]) -> None:
    video = client.post("/v1/videos", json=QUICK, headers=ACME).json()["id"]

    def change(number: int) -> float:
        method, path, body, key = changes[number % len(changes)]
        began = time.monotonic()
        answer = client.request(method, path.format(video=video), json=body, headers=key)
        assert_error(answer, 503, code="storage_unavailable")
        assert answer.headers["Retry-After"] == "5"
        return time.monotonic() - began

    with ThreadPoolExecutor(POSTS) as pool, locked(client.runtime.settings.data_dir):
        asked = [pool.submit(change, number) for number in range(POSTS)]
        time.sleep(0.3)
        slowest = 0.0
        while not all(one.done() for one in asked):
            for read in ("/health", f"/v1/videos/{video}", "/v1/videos", "/v1/models"):
                began = time.monotonic()
                assert client.get(read, headers=ACME).status_code == 200
                slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.05)
        assert 0 < slowest < BUSY_TIMEOUT_S / 2
        assert len([one.result() for one in asked]) == POSTS
        # The database is known to be locked: one finds out if it still is, the rest know.
        times = sorted(pool.map(change, range(10)))
        assert times[-2] < BUSY_TIMEOUT_S / 2
    assert client.post("/v1/videos", json=QUICK, headers=ACME).status_code == 200


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))  # type: ignore[arg-type]


def test_one_key_holds_a_part_of_the_threads_and_waits_in_a_limited_number() -> None:
    async def test() -> None:
        writes, over, begun = Writes(lambda: False), threading.Event(), list[int]()

        def hold() -> None:
            begun.append(1)
            assert over.wait(30)

        held = [asyncio.create_task(writes.run("a", hold)) for _ in range(WAITING_OF_KEY)]
        try:
            while len(begun) < AT_ONCE_OF_KEY:
                await asyncio.sleep(0.01)
            assert await writes.run("b", lambda: "at once") == "at once"
            with pytest.raises(StorageUnavailable):
                await writes.run("a", hold)
            assert len(begun) == AT_ONCE_OF_KEY < AT_ONCE
        finally:
            over.set()
        await asyncio.gather(*held)
        assert len(begun) == WAITING_OF_KEY
        assert await writes.run("a", lambda: "again") == "again"

    run(test)


def test_while_it_is_known_to_be_locked_one_write_at_a_time_finds_out() -> None:
    async def test() -> None:
        is_locked, begun = False, list[str]()
        writes, over = Writes(lambda: is_locked), defaultdict[str, threading.Event](threading.Event)

        def hold(name: str) -> None:
            begun.append(name)
            assert over[name].wait(30)

        async def holding(*names: str) -> list[asyncio.Task[None]]:
            tasks = [asyncio.create_task(writes.run("a", partial(hold, name))) for name in names]
            while begun[-len(names) :] != list(names):
                await asyncio.sleep(0.01)
            return tasks

        async def refused(write: Awaitable[None]) -> bool:
            with pytest.raises(StorageUnavailable):
                await write
            return True

        first = [(await holding(str(number)))[0] for number in range(AT_ONCE_OF_KEY)]
        waits = asyncio.create_task(writes.run("a", partial(hold, "waits")))
        await asyncio.sleep(0.05)
        is_locked = True
        assert await refused(writes.run("b", partial(hold, "b")))
        over["0"].set()
        assert await refused(waits)
        for number in range(AT_ONCE_OF_KEY):
            over[str(number)].set()
        await asyncio.gather(*first)
        [finds_out] = await holding("finds out")
        assert await refused(writes.run("b", partial(hold, "b")))
        over["finds out"].set()
        await finds_out
        assert not {"b", "waits"} & set(begun)

    run(test)
