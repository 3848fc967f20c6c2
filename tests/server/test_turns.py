"""Turns: a burst of one caller's requests does not hold up the others'."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from server.http.turns import BEGUN_AT_ONCE, Turns


def scope_of(name: str, path: str = "/v1/videos", client: str = "192.0.2.1") -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {name}".encode())] if name else []
    return {"type": "http", "path": path, "headers": headers, "client": (client, 1), "name": name}


class App:
    """An app that notes the requests in the order in which they begin."""

    def __init__(self) -> None:
        self.begun = list[str]()
        self.turns = Turns(self._note, at_once={"/livez"})

    async def _note(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["name"] or scope["path"])

    def request(self, scope: dict[str, Any]) -> asyncio.Task[None]:
        return asyncio.create_task(self.turns(scope, _never, _never_send))


async def _never() -> Any:
    raise AssertionError


async def _never_send(message: Any) -> None:
    raise AssertionError


@pytest.mark.parametrize("by_address", [False, True])
def test_another_caller_s_request_does_not_wait_for_a_burst(by_address: bool) -> None:
    async def burst() -> list[str]:
        app = App()
        names = ["greedy"] * 200 + ["modest"]
        if by_address:
            scopes = [scope_of("", client=name) | {"name": name} for name in names]
        else:
            scopes = [scope_of(name) for name in names]
        await asyncio.gather(*map(app.request, scopes))
        assert len(app.begun) == 201
        return app.begun

    begun = asyncio.run(burst())
    assert begun.index("modest") <= 2 * BEGUN_AT_ONCE


def test_few_requests_begin_in_a_round_and_probes_do_not_wait() -> None:
    async def burst() -> None:
        app = App()
        tasks = [app.request(scope_of("greedy")) for _ in range(40)]
        await asyncio.sleep(0)
        assert len(app.begun) == BEGUN_AT_ONCE
        probe = app.request(scope_of("", "/livez"))
        await asyncio.sleep(0)
        assert probe.done()
        assert len(app.begun) < 40
        await asyncio.gather(*tasks)
        assert len(app.begun) == 41

    asyncio.run(burst())


def test_requests_that_are_cancelled_take_no_turn() -> None:
    async def burst() -> None:
        app = App()
        tasks = [app.request(scope_of("gone")) for _ in range(40)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait_for(app.request(scope_of("modest")), 5)
        assert app.begun.count("gone") == BEGUN_AT_ONCE
        await asyncio.wait_for(app.request(scope_of("later")), 5)
        assert app.begun[-1] == "later"

    asyncio.run(burst())
