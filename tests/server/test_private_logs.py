"""No text of a user is in any log or workflow, whatever was sent and whoever writes the log."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy import text as sql

from server import logs
from server.safe_errors import LEFT_OUT, text_of
from server.storage.postgres_content import JOBS_SCHEMA
from tests.server.databases import opened
from tests.server.help import Server, assert_error, running, wait_for
from tests.server.places import places_of

MARK = "xyzzymark"
FIELDS = (
    *("prompt", "negative_prompt", "seed", "steps", "guidance", "frames", "fps", "size", "seconds"),
    *("expires_after", "deadline_after", "input_reference", "unknown"),
)
VALUES: tuple[Any, ...] = (MARK, [MARK], {MARK: MARK}, f"{MARK} \ud800", MARK * 500, f"\x00{MARK}")
FAST = {"min_base_rate": 0.0, "max_probes": 1, "judged_videos": 1}


@pytest.fixture(scope="module")
def server(quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(quick_backbone_dir, tmp_path_factory.mktemp("home"), **FAST) as server:
        yield server


def kept_of_workflows(data: Path) -> bytes:
    """Return all that DBOS keeps: the bytes of its files, or the rows of its tables."""
    if not places_of(data)["database"]:
        return b"".join(path.read_bytes() for path in data.glob("jobs.sqlite*"))
    with closing(opened(data)) as database, database.reading() as session:
        named = "SELECT table_name FROM information_schema.tables WHERE table_schema = :schema"
        tables = session.scalars(sql(named), {"schema": JOBS_SCHEMA}).all()
        rows = [f'SELECT CAST(one AS text) FROM {JOBS_SCHEMA}."{table}" one' for table in tables]
        return "\n".join(one for each in rows for one in session.scalars(sql(each))).encode()


def bodies() -> Iterator[dict[str, Any]]:
    for field in FIELDS:
        for value in VALUES:
            yield {"prompt": "a meadow", "steps": 1, "frames": 1, field: value}


def test_nothing_that_was_sent_is_logged(server: Server) -> None:
    statuses: set[int] = set()

    def send(path: str, **request: Any) -> None:
        answer = server.client.post(path, **request)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (path, request, answer.text)

    as_json = {"content-type": "application/json"}
    for number, body in enumerate(bodies()):
        content = json.dumps(body).encode()
        send("/v1/videos", content=content, headers=as_json)
        if number % 3 == 1:  # lists and long texts
            send("/generate", content=content, headers=as_json)
    good = {"prompt": f"{MARK} in a meadow", "negative_prompt": MARK, "steps": 1, "frames": 1}
    done = server.client.post("/v1/videos", json=good).json()
    assert wait_for(server.client, f"/v1/videos/{done['id']}")["status"] == "completed"
    for path in ("/v1/videos", "/v1/videos/sync", "/generate", "/v1/encoders"):
        for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain", MARK):
            for text in (MARK, f'{{"prompt": "{MARK}', f'["{MARK}"]', f"prompt={MARK}&x={MARK}"):
                send(path, content=text.encode(), headers={"content-type": kind})
        broken = f'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n{MARK}'
        send(
            path,
            content=broken.encode(),
            headers={"content-type": "multipart/form-data; boundary=b"},
        )
    for field in ("id", "concept", "kind", "synonyms", "method", "settings", "gate", "parent"):
        for value in ([MARK, 3], {MARK: MARK}, f"{MARK}!", f"{MARK}\x00"):
            send("/v1/encoders", json={"concept": "pogo", "kind": "character", field: value})
    server.client.put("/v1/aliases/x", json={"encoder": MARK})
    server.client.get("/v1/videos", params={"after": MARK, "limit": MARK})
    assert {200, 400} <= statuses
    written = server.log.read_text(errors="replace")
    assert '"path": "/v1/videos"' in written
    assert [line for line in written.splitlines() if MARK in line] == []
    workflows = kept_of_workflows(server.log.parent / "data")
    assert b"make_video" in workflows
    assert MARK.encode() not in workflows
    mp4 = server.client.get(f"/v1/videos/{done['id']}/content").content
    sheet = server.client.get(f"/v1/videos/{done['id']}/content?variant=spritesheet").content
    assert MARK.encode() not in mp4 + sheet


class Model(BaseModel):
    number: int


def failing(text: str) -> Exception:
    try:
        try:
            Model.model_validate({"number": text})
        except ValidationError as error:
            raise KeyError(text) from error
    except KeyError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("name", ["server.api", "bentoml.serve", "uvicorn.error", "asyncio", "x"])
def test_an_error_is_logged_by_every_logger_without_what_it_quotes(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    logs.set_up()
    logger = logging.getLogger(name)
    # Servers that ran in this process before may have silenced loggers.
    before = logger.propagate, logger.handlers, logger.disabled, logger.level
    logger.propagate, logger.handlers, logger.disabled = True, [caplog.handler], False
    logger.setLevel(logging.ERROR)
    try:
        error = failing(MARK)
        logger.error("it failed", exc_info=error)
        logger.error("it failed", exc_info=(type(error), error, error.__traceback__))
        try:
            raise ExceptionGroup("some", [failing(MARK)])
        except ExceptionGroup:
            logger.exception("a group failed")
    finally:
        logger.propagate, logger.handlers, logger.disabled = before[:3]
        logger.setLevel(before[3])
    written = caplog.text
    assert "builtins.KeyError" in written
    assert "ValidationError" in written
    assert "in failing" in written
    assert LEFT_OUT in written
    assert MARK not in written


def test_errors_that_never_quote_keep_their_message() -> None:
    assert "No space left on device" in text_of(OSError(28, "No space left on device"))
    assert "out of memory" in text_of(RuntimeError("out of memory"))


def test_a_started_server_refuses_pages_proxies_and_unknown_hosts(server: Server) -> None:
    """Hold the rules below uvicorn and BentoML too, which have their own ideas of a client."""
    refused = (
        ({"origin": "https://evil.example"}, "origin_not_allowed"),
        ({"sec-fetch-site": "cross-site"}, "origin_not_allowed"),
        ({"host": "evil.example"}, "host_not_allowed"),
        ({"x-forwarded-for": "127.0.0.1"}, "proxy_not_trusted"),
        ({"x-forwarded-for": "192.0.2.7"}, "proxy_not_trusted"),
    )
    for path in ("/", "/livez", "/readyz", "/metrics", "/docs", "/generate", "/v1/videos"):
        for headers, code in refused:
            answer = server.client.request("GET", path, headers=headers)
            assert_error(answer, 403, code=code)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert b" 403 " in connection.makefile("rb").readline()
