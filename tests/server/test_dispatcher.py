"""The dispatcher: rows are started in fair order, and none is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from server.jobs import dispatcher, recovery, workflows
from server.storage.job_queue import JobQueue
from server.storage.record_store import RecordStore
from server.storage.records import COMPLETED, FAILED, IN_PROGRESS, QUEUED, VideoRecord
from server.storage.sqlite_database import SqliteDatabase
from tests.server.conftest import MakeClient
from tests.server.databases import opened, run_in_jobs
from tests.server.help import SERVER_TIMEOUT_S, Client, bearer, device_held, wait_for, write_keys
from video import GenerationRequest
from video.engine.engine import Engine
from video.engine.ticket import Ticket

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}


def row(name: str, owner: str = "local", **values: Any) -> VideoRecord:
    fields: dict[str, Any] = {
        "id": name,
        "owner": owner,
        "request_hash": name,
        "model": "tiny",
        "prompt": "pogo",
        "negative_prompt": "",
        "seed": 1,
        "steps": 1,
        "guidance": 1.0,
        "frames": 1,
        "fps": 8,
        "width": 64,
        "height": 64,
        "lifetime": 1000,
    }
    return VideoRecord(**{**fields, **values})


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + SERVER_TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def begun(client: Client) -> list[str]:
    """Return a list that collects the owners of the requests given to the engine from now on."""
    engine, owners = client.runtime.loaded.engine, list[str]()
    submit = engine.submit

    def noting(request: GenerationRequest, *rest: Any) -> Any:
        owners.append(request.owner)
        return submit(request, *rest)

    engine.submit = noting  # type: ignore[method-assign]
    return owners


def is_completed(client: Client, name: str) -> bool:
    done = VideoRecord.id == name, VideoRecord.status == COMPLETED
    return client.runtime.records.get(VideoRecord, *done) is not None


def left_behind(data: Path, rows: list[VideoRecord]) -> None:
    """Leave queued rows in a data directory, as an earlier process does."""
    database = opened(data)
    records = RecordStore(database)
    for record in rows:
        records.accept(record, limit=100)
    database.close()


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    return make_client()


def test_a_row_alone_is_an_accepted_job(client: Client) -> None:
    client.runtime.records.accept(row("alone"), limit=100)
    assert wait_for(client, "/v1/videos/alone")["status"] == "completed"


def test_a_job_that_lost_its_workflow_is_taken_up_again(client: Client) -> None:
    records = client.runtime.records
    (replica,) = client.runtime.storage.replicas.ids()
    records.accept(row("left", status=IN_PROGRESS, attempt=3, replica=replica), limit=100)
    done = wait_for(client, "/v1/videos/left")
    assert done["status"] == "completed"
    found = records.get(VideoRecord, VideoRecord.id == "left")
    assert found is not None
    assert (found.interruptions, found.attempt > 3) == (0, True)


def test_a_suspect_beside_a_long_video_keeps_nobody_waiting(client: Client) -> None:
    runtime = client.runtime
    runtime.records.accept(row("settled"), limit=100)
    wait_for(client, "/v1/videos/settled")  # the start is over
    often = dispatcher.SHARED_INTERRUPTIONS
    with device_held(runtime):
        for name, count in {"long": 0, "suspect": often, "suspect2": often, "third": 0}.items():
            runtime.records.accept(row(name, name, interruptions=count), limit=100)
        runtime.jobs.wake()
        until(lambda: runtime.jobs.in_flight(VideoRecord).total() == 4, "they wait")
    for name in ("long", "suspect", "suspect2", "third"):
        until(lambda name=name: is_completed(client, name), f"{name} is not done")


def test_a_late_attempt_changes_nothing(tmp_path: Path) -> None:
    records = RecordStore(SqliteDatabase(tmp_path / "records.sqlite"))
    late = records.accept(row("twice"), limit=1)
    now = records.get(VideoRecord, VideoRecord.id == "twice")
    assert now is not None
    assert records.change(now, attempt=1)
    assert not records.change(late, status=FAILED)
    assert not records.note(late, progress=50)
    assert not records.is_pending(late)
    now.attempt = 1
    assert records.change(now, status=COMPLETED)
    assert not records.change(now, status=FAILED)


def test_a_workflow_that_cannot_be_recorded_is_tried_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Take DBOS's tables away while a video is accepted; its work is not lost with them."""
    run_in_jobs(client.runtime.settings, "ALTER TABLE workflow_status RENAME TO away")
    video = client.post("/v1/videos", json=QUICK).json()
    time.sleep(0.3)
    assert client.get(f"/v1/videos/{video['id']}").json()["status"] == "queued"
    run_in_jobs(client.runtime.settings, "ALTER TABLE away RENAME TO workflow_status")
    assert wait_for(client, f"/v1/videos/{video['id']}")["status"] == "completed"


def test_keys_take_turns_whatever_one_has_queued(make_client: MakeClient, tmp_path: Path) -> None:
    keys = write_keys(
        tmp_path / "keys.json",
        greedy={"role": "user", "encoders": ["base"]},
        modest={"role": "user", "encoders": ["base"]},
    )
    client = make_client(keys_file=keys, videos_in_flight=2)
    owners = begun(client)

    def make(key: str) -> str:
        answer = client.post("/v1/videos", json=QUICK, headers=bearer(f"secret-{key}"))
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    with device_held(client.runtime):
        many = [make("greedy") for _ in range(5)]
        until(lambda: owners, "no video was started")
        time.sleep(0.3)
        assert owners == ["greedy"], "one key may have half of what is in flight"
        few = [make("modest") for _ in range(2)]
        until(lambda: len(owners) == 2, "the other key was not started")
        assert owners == ["greedy", "modest"]
    for name, key in [(many[-1], "greedy"), (few[-1], "modest")]:
        wait_for(client, f"/v1/videos/{name}", key=f"secret-{key}")
    assert sorted(owners[:4]) == ["greedy", "greedy", "modest", "modest"]
    assert len(owners) == 7


def test_after_a_start_suspects_are_made_first_and_alone(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often, beside = dispatcher.SHARED_INTERRUPTIONS, list[tuple[str, set[str]]]()
    tickets, submit = dict[str, Ticket[Any]](), Engine.submit

    def noting(engine: Engine, request: GenerationRequest) -> Any:
        now = {name for name, ticket in tickets.items() if ticket.state in ("queued", "running")}
        beside.append((request.owner, now))
        tickets[request.owner] = submit(engine, request)
        return tickets[request.owner]

    monkeypatch.setattr(Engine, "submit", noting)
    counts = {"a": 0, "x": often, "b": often - 1, "y": often + 1, "c": 0}
    left_behind(tmp_path, [row(name, name, interruptions=n) for name, n in counts.items()])
    client = make_client(data_dir=tmp_path)
    for name in counts:
        until(lambda name=name: is_completed(client, name), f"{name} is not done")
    assert beside[:2] == [("x", set()), ("y", set())]
    assert [name for name, others in beside[2:] if others & {"x", "y"}] == []
    assert {name for name, _ in beside[2:]} == {"a", "b", "c"}


@pytest.mark.parametrize(("alone_s", "suspects_s"), [(0.3, 100.0), (100.0, 1.0)])
def test_others_wait_for_suspects_for_a_bounded_time(
    make_client: MakeClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    alone_s: float,
    suspects_s: float,
) -> None:
    monkeypatch.setattr(dispatcher, "ALONE_S", alone_s)
    monkeypatch.setattr(dispatcher, "SUSPECTS_S", suspects_s)
    monkeypatch.setattr(dispatcher, "LOOK_INTERVAL_S", 0.2)
    often, suspects = dispatcher.SHARED_INTERRUPTIONS, ["x1", "x2", "x3"]
    over, submit = Event(), Engine.submit

    def long(engine: Engine, request: GenerationRequest) -> Any:
        assert request.owner not in suspects or over.wait(SERVER_TIMEOUT_S)
        return submit(engine, request)

    monkeypatch.setattr(Engine, "submit", long)
    rows = [row(name, name, interruptions=often) for name in suspects]
    left_behind(tmp_path, [*rows, row("other", "other")])
    client = make_client(data_dir=tmp_path)
    try:
        until(lambda: is_completed(client, "other"), "it waits for the suspects")
        assert not [name for name in suspects if is_completed(client, name)]
    finally:
        over.set()
    for name in suspects:
        until(lambda name=name: is_completed(client, name), f"{name} is not done")


def test_only_a_kill_is_an_interruption_and_the_last_one_fails_the_job(
    make_client: MakeClient, tmp_path: Path
) -> None:
    first = make_client(data_dir=tmp_path)
    with device_held(first.runtime):
        waiting = first.post("/v1/videos", json=QUICK).json()["id"]
    wait_for(first, f"/v1/videos/{waiting}")
    long = {**QUICK, "steps": 100, "frames": 16}  # not done while the server stops
    stopped = first.post("/v1/videos", json=long).json()["id"]
    until(lambda: first.get(f"/v1/videos/{stopped}").json()["status"] == "in_progress", "not begun")
    make_client()  # stops the first server
    database = opened(tmp_path)
    records, most = RecordStore(database), recovery.MAX_INTERRUPTIONS
    left = records.get(VideoRecord, VideoRecord.id == stopped)
    assert left is not None
    assert (left.status, left.interruptions) == (QUEUED, 0)
    # As kills leave them.
    records.accept(row("once", status=IN_PROGRESS, interruptions=most - 1), limit=100)
    records.accept(row("often", status=IN_PROGRESS, interruptions=most), limit=100)
    records.accept(row("queued", interruptions=most), limit=100)
    database.close()
    second = make_client(data_dir=tmp_path)
    ended = {name: wait_for(second, f"/v1/videos/{name}") for name in ("once", "often", "queued")}
    assert ended["once"]["status"] == ended["queued"]["status"] == "completed"
    assert ended["often"]["error"]["code"] == "abandoned"
    found = second.runtime.records.get(VideoRecord, VideoRecord.id == "once")
    assert found is not None
    assert found.interruptions == most


def test_a_long_queue_of_one_owner_does_not_slow_the_choice(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "records.sqlite")
    records, queue = RecordStore(database), JobQueue(database, "me")
    with database.writing() as session:
        session.add_all(row(f"a{i}", "a") for i in range(3000))
    records.accept(row("b0", "b"), limit=10_000)
    records.accept(row("c0", "c", status=COMPLETED), limit=10_000)
    with database.writing() as session:
        session.add_all(row(f"d{i}", "d", replica="other") for i in range(500))
    with queue.turn(VideoRecord) as turn:
        assert turn.owners() == [("a", 1), ("b", 3001)]
        third = turn.oldest("a", {"a0", "a1"})
        assert third is not None
        assert third.id == "a2"
        assert turn.oldest("c", set()) is None
    with database.reading() as session:
        steps = [0]
        connection = session.connection().connection.driver_connection
        assert connection is not None
        connection.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1) or 0, 10)
    with queue.turn(VideoRecord) as turn:
        turn.owners()
        turn.oldest("a", set())
    assert not queue.is_empty(VideoRecord)
    assert 0 < steps[0] < 100, "it reads more than the first rows of each owner"
    assert queue.in_flight(VideoRecord) == {"d": 500}


def test_workflows_of_another_process_are_forgotten(
    make_client: MakeClient, tmp_path: Path
) -> None:
    first = make_client(data_dir=tmp_path)
    with device_held(first.runtime):
        first.post("/v1/videos", json=QUICK)
        until(lambda: first.runtime.jobs.in_flight(VideoRecord), "no workflow")
        until(lambda: workflows.DBOS.list_workflows(status="PENDING"), "no workflow")
        run_in_jobs(
            first.runtime.settings,
            "UPDATE workflow_status SET workflow_uuid = 'old', executor_id = 'palimpsest'",
        )
    make_client(data_dir=tmp_path)
    until(lambda: not workflows.DBOS.list_workflows(status="PENDING"), "it is still there")
