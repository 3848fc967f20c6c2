"""Turns: a burst of one caller's requests does not hold up the others'."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import ip_network
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from server.auth.live_keys import LiveKeys
from server.auth.proxies import TrustedProxies
from server.auth.turn_names import TurnNames
from server.http.turns import LONGEST_S, MOST, PUT_OFF, Turns
from tests.server.help import write_keys

NAMES = TurnNames(LiveKeys(None, list), TrustedProxies())


def scope_of(
    name: str, path: str = "/v1/videos", client: str = "192.0.2.1", key: str = ""
) -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    values = {"path": path, "headers": headers, "client": (client, 1), "name": name}
    return {"type": "http", "method": "GET", "scheme": "http", **values}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> TurnNames:
    """Return the names of callers of a server with two keys, behind a proxy."""
    users: dict[str, Any] = {
        name: {"role": "user", "encoders": ["base"]} for name in ("greedy", "modest")
    }
    file = write_keys(tmp_path_factory.mktemp("keys") / "keys.json", **users)
    return TurnNames(LiveKeys(file, list), TrustedProxies([ip_network("192.0.2.9/32")]))


class App:
    """An app that notes its requests as they begin, and lets each wait as its path says."""

    def __init__(self, names: TurnNames = NAMES) -> None:
        self.begun, self.ended = list[str](), list[str]()
        self.over = asyncio.Event()
        self.arrived = 0
        self.turns = Turns(
            self._answer, at_once={"/livez"}, caller_of=names, arrived=lambda: self.arrived
        )

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


def known(i: int) -> dict[str, Any]:
    return scope_of("greedy", client=f"192.0.2.{i}", key="secret-greedy")


def padded(i: int) -> dict[str, Any]:
    return scope_of("greedy", key=" " * i + "secret-greedy" + " " * i)


def invented(i: int) -> dict[str, Any]:
    return scope_of("greedy", key=f"invented-{i}")


def without_key(_: int) -> dict[str, Any]:
    return scope_of("greedy")


def of_one_network(i: int) -> dict[str, Any]:
    return scope_of("greedy", client=f"2001:db8::{i:x}:1", key=f"invented-{i}")


def written_as_ipv6(i: int) -> dict[str, Any]:
    return scope_of("greedy", client=("192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201")[i % 3])


def forwarded(i: int) -> dict[str, Any]:
    scope = scope_of("greedy", client="192.0.2.9", key=f"invented-{i}")
    scope["headers"].append((b"x-forwarded-for", f"10.0.0.{i}, 192.0.2.1".encode()))
    return scope


MODEST = {
    "another key": scope_of("modest", key="secret-modest"),
    "another address": scope_of("modest", client="192.0.2.200"),
    "another network": scope_of("modest", client="2001:db8:0:1::1"),
}


@pytest.mark.parametrize("path", ["/v1/videos", "/reads", "/streams"])
@pytest.mark.parametrize("modest", MODEST.values(), ids=MODEST.keys())
@pytest.mark.parametrize(
    "greedy",
    [known, padded, invented, without_key, of_one_network, written_as_ipv6, forwarded],
)
def test_another_caller_s_request_does_not_wait_for_a_burst(
    keyed: TurnNames,
    greedy: Callable[[int], dict[str, Any]],
    modest: dict[str, Any],
    path: str,
) -> None:
    async def burst() -> None:
        app = App(keyed)
        scopes = [*(greedy(i) for i in range(60)), dict(modest)]
        tasks = [app.request(scope | {"path": path}) for scope in scopes]
        while len(app.begun) < 61:
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


def test_requests_begin_slowly_while_connections_arrive_and_never_stop() -> None:
    async def burst() -> None:
        app = App()
        tasks = [app.request(scope_of("greedy")) for _ in range(50)]
        for _ in range(10 * PUT_OFF):
            app.arrived += 1
            await asyncio.sleep(0)
        assert len(app.begun) in (9, 10, 11)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(app.begun) == 50
        await asyncio.gather(*tasks)

    run(burst())


def test_bodies_that_end_together_are_looked_at_by_turns_too() -> None:
    async def burst() -> None:
        app = App()
        names = ["greedy"] * 100 + ["modest"]
        tasks = [app.request(scope_of(name, "/reads", client=name)) for name in names]
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
