"""Reports that have to be made: once for all who ask meanwhile, one at a time, off the requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from server.api.report_view import ReportView
from server.api.shared_work import SharedWork
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, publish, write_keys
from tests.server.test_dispatcher import until
from tests.unlearn.report_help import card_of, files_of

FORMS = ("html", "json", "zip")


def on_a_loop(test: Callable[[SharedWork], Awaitable[None]]) -> None:
    async def run() -> None:
        work = SharedWork(1, "test")
        try:
            await test(work)
        finally:
            work.shutdown()

    asyncio.run(run())


def test_work_is_done_once_for_all_who_ask_meanwhile() -> None:
    may_end, begun = Event(), Counter[str]()

    def slow(name: str) -> Callable[[], str]:
        def work() -> str:
            begun[name] += 1
            may_end.wait(30)
            return name

        return work

    async def test(work: SharedWork) -> None:
        asked = [
            asyncio.create_task(work.result(name, f"owner-{number}", slow(name)))
            for number in range(20)
            for name in ("a", "b")
        ]
        while not begun:
            await asyncio.sleep(0.01)
        asked[0].cancel()  # whoever leaves takes nobody along
        await asyncio.sleep(0)
        assert begun.total() == 1  # one at a time
        may_end.set()
        assert await asyncio.gather(*asked[1:]) == ["b", *["a", "b"] * 19]
        assert begun == {"a": 1, "b": 1}
        assert await work.result("a", "owner", slow("a")) == "a"
        assert begun["a"] == 2  # nothing is kept

    on_a_loop(test)


def test_an_error_is_for_those_who_wait_and_not_kept() -> None:
    outcomes: list[Any] = [ValueError("broken"), "whole"]

    def work_once() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def test(work: SharedWork) -> None:
        asked = [asyncio.create_task(work.result("a", "owner", work_once)) for _ in range(3)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(error) for error in found] == ["broken"] * 3
        assert await work.result("a", "owner", work_once) == "whole"

    on_a_loop(test)


@pytest.fixture(scope="module")
def client(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder: Path = tmp_path_factory.mktemp("keys")
    names = ["one", "two", "bare"]
    keys = write_keys(
        folder / "keys.json",
        admin={"role": "admin"},
        acme={"role": "user", "encoders": names},
        other={"role": "user", "encoders": names},
    )
    client = make_client(keys_file=keys)
    for seed, name in enumerate(names[:2]):
        publish(client.runtime, name, seed=seed, report=files_of(card_of(id=name)))
    publish(client.runtime, "bare", seed=9)
    return client


def test_many_who_ask_for_reports_hold_no_threads(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go, lock = Event(), Lock()
    made, now, most = Counter[tuple[str, str]](), 0, 0
    make = ReportView.made

    def noting(view: ReportView, form: Any) -> bytes:
        nonlocal now, most
        with lock:
            made[view.report.card.id, form] += 1
            now += 1
            most = max(most, now)
        may_go.wait(60)
        try:
            return make(view, form)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(ReportView, "made", noting)
    asks = [
        (f"/v1/encoders/{name}/report?format={form}", bearer(f"secret-{key}"))
        for name in ("one", "two")
        for form in FORMS
        for key in ("acme", "other")
    ] * 4
    assert len(asks) > 40  # the threads that answer requests
    with ThreadPoolExecutor(len(asks)) as pool:
        answers = [pool.submit(client.get, path, headers=key) for path, key in asks]
        until(lambda: made, "nothing is made")
        admin = bearer("secret-admin")
        for path in ("/v1/videos", "/v1/models", "/v1/encoders/one/report"):
            assert client.get(path, headers=admin).status_code == 200
        may_go.set()
        found = [answer.result() for answer in answers]
    assert {answer.status_code for answer in found} == {200}
    assert most == 1
    assert set(made) == {(name, form) for name in ("one", "two") for form in FORMS}
    # Those that came before the first was made shared it; a few may have come later.
    assert made.total() < len(asks) / 2
    bodies = {(path, answer.content) for (path, _), answer in zip(asks, found, strict=True)}
    assert len(bodies) == 6


def test_an_error_of_a_report_is_told_each_time(client: Client) -> None:
    for _ in range(2):
        for form in FORMS:
            path = f"/v1/encoders/bare/report?format={form}"
            for key in ("secret-acme", "secret-admin"):
                answer = client.get(path, headers=bearer(key))
                assert_error(answer, 404, code="report_not_found", says="not judged")
