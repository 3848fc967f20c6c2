"""Turns: a burst of one caller's requests does not hold up the others'."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from server.http.turns import LONGEST_S, MOST, Turns


def scope_of(name: str, path: str = "/v1/videos", client: str = "192.0.2.1") -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {name}".encode())] if name else []
    values = {"path": path, "headers": headers, "client": (client, 1), "name": name}
    return {"type": "http", "method": "GET", **values}


class App:
    """An app that notes its requests as they begin, and lets each wait as its path says."""

    def __init__(self) -> None:
        self.begun, self.ended = list[str](), list[str]()
        self.over = asyncio.Event()
        self.turns = Turns(self._answer, at_once={"/livez"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["name"] or scope["path"])
        if scope["path"] == "/reads":
            await receive()
            self.ended.append(scope["name"])
        elif scope["path"] == "/streams":
            await send({"type": "http.response.start"})
            await self.over.wait()
        elif scope["path"] == "/slow":
            await self.over.wait()

    async def _receive(self) -> Message:
        await self.over.wait()
        return {}

    async def _send(self, message: Message) -> None: ...

    def request(self, scope: dict[str, Any]) -> asyncio.Task[None]:
        return asyncio.create_task(self.turns(scope, self._receive, self._send))


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


@pytest.mark.parametrize("by_address", [False, True])
@pytest.mark.parametrize("path", ["/v1/videos", "/reads", "/streams"])
def test_another_caller_s_request_does_not_wait_for_a_burst(by_address: bool, path: str) -> None:
    async def burst() -> None:
        app, names = App(), ["greedy"] * 200 + ["modest"]
        scopes = [scope_of(name, path) for name in names]
        if by_address:
            scopes = [scope_of("", path, client=name) | {"name": name} for name in names]
        tasks = [app.request(scope) for scope in scopes]
        while len(app.begun) < 201:
            await asyncio.sleep(0)
        assert app.begun.index("modest") <= 2
        app.over.set()
        await asyncio.gather(*tasks)

    run(burst())


def test_one_begins_in_a_round_and_few_are_looked_at_and_probes_do_not_wait() -> None:
    async def burst() -> None:
        app = App()
        tasks = [app.request(scope_of("greedy", "/slow")) for _ in range(3 * MOST)]
        for _ in range(2):
            await asyncio.sleep(0)
        assert len(app.begun) <= 1
        probe = app.request(scope_of("", "/livez"))
        upload = app.request(scope_of("greedy", "/livez") | {"method": "POST"})
        await asyncio.sleep(0)
        assert (probe.done(), upload.done()) == (True, False)
        await asyncio.sleep(LONGEST_S / 3)
        assert app.begun.count("greedy") == MOST
        await asyncio.sleep(3 * LONGEST_S)
        assert app.begun.count("greedy") == 3 * MOST + 1, "slow ones make room after a while"
        app.over.set()
        await asyncio.gather(*tasks)

    run(burst())


def test_bodies_that_end_together_are_looked_at_by_turns_too() -> None:
    async def burst() -> None:
        app = App()
        names = ["greedy"] * 100 + ["modest"]
        tasks = [app.request(scope_of(name, "/reads")) for name in names]
        while len(app.begun) < 101:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        app.over.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert 0 < len(app.ended) <= 20
        assert "modest" in app.ended
        await asyncio.gather(*tasks)
        assert len(app.ended) == 101

    run(burst())


def test_requests_that_are_cancelled_or_fail_keep_no_place() -> None:
    async def burst() -> None:
        app = App()
        for rounds in range(4):
            tasks = [app.request(scope_of("gone", "/slow")) for _ in range(3 * MOST)]
            for _ in range(rounds * 4):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        tasks = [app.request(scope_of("later", "/slow")) for _ in range(MOST)]
        await asyncio.sleep(LONGEST_S / 3)
        assert app.begun.count("later") == MOST
        app.over.set()
        await asyncio.gather(*tasks)

    run(burst())
