"""Two replicas look like one server: what one does is known to the other within a second."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from server.auth.keys import hash_key
from server.storage.backends import open_database
from server.storage.key_rows import KeyRow
from server.storage.key_table import KeyTable
from server.storage.records import COMPLETED, IN_PROGRESS, EncoderRecord, VideoRecord
from tests.object_server import ObjectServer
from tests.server.help import assert_error, bearer, wait_for
from tests.server.replicas import Replica, Replicas, started, until
from tests.server.test_postgres_database import settings_of

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
LONG = {"prompt": "pogo in a meadow", "steps": 100, "frames": 16, "seed": 5}
ENCODER = {"concept": "pogo", "kind": "character"}
JUDGING = {"min_base_rate": 0, "max_probes": 1, "judged_videos": 1}
AT_ONCE_S = 1.0
"""Goal: time after which every replica knows what was done on another."""
ADMIN = "secret-admin"


def add_key(replicas_keys: KeyTable, name: str, **values: Any) -> str:
    """Add a key, and return its secret."""
    fixed: dict[str, Any] = {"role": "user", "encoders": ["*"]}
    row = KeyRow(id=name, sha256=hash_key(f"secret-{name}"), **{**fixed, **values})
    replicas_keys.add(row)
    return f"secret-{name}"


@pytest.fixture(scope="module")
def replicas(
    quick_backbone_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,
    object_server: ObjectServer,
) -> Generator[Replicas]:
    """Yield two replicas with two encoders, "one" and "two", each published by either."""
    database = open_database(settings_of(postgres_url))
    add_key(KeyTable(database), "admin", role="admin", encoders=None)
    database.close()
    store, home = object_server.bucket(), tmp_path_factory.mktemp("replicas")
    with started(
        quick_backbone_dir, home, database=postgres_url, store=store, **JUDGING
    ) as replicas:
        for replica in replicas.both:
            replica.client.headers.update(bearer(ADMIN))
        names = ("one", "two")
        for seed, (replica, name) in enumerate(zip(replicas.both, names, strict=True)):
            posted(replica, "/v1/encoders", encoder(name, seed))
        for name in names:
            found = wait_for(replicas.both[0].client, f"/v1/encoders/{name}")
            assert found["status"] == "published", found
        yield replicas


@pytest.fixture
def keys(replicas: Replicas) -> KeyTable:
    return KeyTable(replicas.database)


def encoder(name: str, seed: int) -> dict[str, Any]:
    """Return a request for an encoder; with another seed it has another identity."""
    return {**ENCODER, "id": name, "settings": {"steps": 1, "seed": seed}}


def posted(replica: Replica, path: str, body: dict[str, Any]) -> str:
    answer = replica.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def by_both(replicas: Replicas, ask: Callable[[Replica, int], httpx.Response], times: int) -> Any:
    """Return the answers to requests that are sent to both replicas in turn, at the same time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda n: ask(replicas.both[n % 2], n), range(times)))


def begun(replicas: Replicas, table: Any, name: str) -> tuple[Replica, Replica]:
    """Wait until a job is worked on; return the replica that does, and the other."""
    until(lambda: replicas.row(table, name).status == IN_PROGRESS, f"{name} waits", 30)
    maker = replicas.by_id(replicas.row(table, name).replica)
    return maker, replicas.besides(maker)


def metric(replica: Replica, name: str) -> float:
    text = replica.client.get("/metrics").text
    found = re.search(rf"^palimpsest_{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


def is_idle(replica: Replica) -> bool:
    """Return True if the replica's device has nothing to do for a while."""
    before = metric(replica, "loop_busy_seconds_total")
    time.sleep(0.2)  # several steps
    return metric(replica, "loop_busy_seconds_total") == before


def at_once(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds, which has to be soon."""
    print(f"{what}: {until(condition, what, AT_ONCE_S):.2f} s")


def test_a_job_is_followed_on_the_replica_that_does_not_make_it(replicas: Replicas) -> None:
    video = posted(replicas.both[0], "/v1/videos", LONG)
    _, other = begun(replicas, VideoRecord, video)
    ended = list[float]()
    over = Event()

    def watch() -> None:
        while not over.wait(0.01):
            if replicas.row(VideoRecord, video).status == COMPLETED:
                ended.append(time.monotonic())
                return

    watcher = Thread(target=watch)
    watcher.start()
    told: list[tuple[str, int]] = []
    with other.client.stream("GET", f"/v1/videos/{video}/events", timeout=60) as stream:
        for line in stream.iter_lines():
            assert not ended or time.monotonic() < ended[0] + 30, "it is not told the end"
            if line.startswith("data: "):
                state = json.loads(line.removeprefix("data: "))
                told.append((state["status"], state["progress"]))
    heard = time.monotonic()
    watcher.join(30)  # it may be slow on a busy machine
    over.set()
    assert told[-1] == ("completed", 100)
    assert told == sorted(told, key=lambda state: state[1])
    assert len({progress for _, progress in told}) > 3, told
    assert ended, "the row was never seen as completed before the stream ended"
    assert heard - ended[0] < AT_ONCE_S
    content = other.client.get(f"/v1/videos/{video}/content").content
    assert content == replicas.besides(other).client.get(f"/v1/videos/{video}/content").content


def test_a_video_is_cancelled_on_the_replica_that_does_not_make_it(replicas: Replicas) -> None:
    video = posted(replicas.both[0], "/v1/videos", LONG)
    maker, other = begun(replicas, VideoRecord, video)
    assert not is_idle(maker)
    assert other.client.delete(f"/v1/videos/{video}").status_code == 200
    at_once(lambda: is_idle(maker), "the maker goes on")
    assert_error(maker.client.get(f"/v1/videos/{video}"), 404)


def test_all_videos_of_both_are_cancelled_by_the_other(replicas: Replicas) -> None:
    videos = [posted(replicas.both[n % 2], "/v1/videos", LONG) for n in range(4)]
    until(lambda: all(replicas.row(VideoRecord, name).replica for name in videos), "one waits", 30)
    makers = [replicas.by_id(replicas.row(VideoRecord, name).replica) for name in videos]
    for name, maker in zip(videos, makers, strict=True):
        assert replicas.besides(maker).client.delete(f"/v1/videos/{name}").status_code == 200
    for maker in replicas.both:
        at_once(lambda maker=maker: is_idle(maker), "a maker goes on")


def test_an_encoder_is_cancelled_on_the_replica_that_does_not_make_it(replicas: Replicas) -> None:
    body = {**ENCODER, "id": "never", "settings": {"steps": 500}}
    posted(replicas.both[0], "/v1/encoders", body)
    maker, other = begun(replicas, EncoderRecord, "never")
    assert other.client.delete("/v1/encoders/never").status_code == 200
    at_once(lambda: is_idle(maker), "the maker goes on")
    assert_error(maker.client.get("/v1/encoders/never"), 404)


def test_a_published_encoder_and_a_switched_alias_are_everybodys(replicas: Replicas) -> None:
    for number in range(4):
        switched, other = replicas.both[number % 2], replicas.both[(number + 1) % 2]
        target = ("one", "two")[number % 2]
        put = switched.client.put("/v1/aliases/policy", json={"encoder": target})
        assert put.status_code == 200, put.text
        made = other.client.post("/v1/videos", json={**QUICK, "encoder": "policy"})
        assert made.json()["model"].endswith(f":{target}"), made.text
        done = wait_for(switched.client, f"/v1/videos/{made.json()['id']}")
        assert done["status"] == "completed", done
    for replica in replicas.both:
        listed = replica.client.get("/v1/encoders").json()["data"]
        assert {encoder["id"] for encoder in listed} >= {"one", "two"}


def test_a_deleted_encoder_is_refused_and_forgotten_by_all(replicas: Replicas) -> None:
    posted(replicas.both[0], "/v1/encoders", encoder("gone", 2))
    made = wait_for(replicas.both[1].client, "/v1/encoders/gone")
    assert made["status"] == "published", made
    body = {**QUICK, "encoder": "gone"}

    def post(replica: Replica, number: int) -> httpx.Response:
        return replica.client.post("/v1/videos", json=body)

    users: set[str | None] = set()
    while len(users) < 2:  # until both have it on their device
        for answer in by_both(replicas, post, 8):
            done = wait_for(replicas.both[0].client, f"/v1/videos/{answer.json()['id']}")
            assert done["status"] == "completed", done
        users = {row.replica for row in replicas.rows(VideoRecord) if row.encoder_id == "gone"}
    before = [metric(replica, "resident_encoders") for replica in replicas.both]
    assert replicas.both[1].client.delete("/v1/encoders/gone").status_code == 200
    for replica in replicas.both:
        assert_error(replica.client.post("/v1/videos", json=body), 404)
        assert_error(replica.client.get("/v1/encoders/gone"), 404)
    for user, resident in zip(replicas.both, before, strict=True):
        at_once(
            lambda user=user, resident=resident: metric(user, "resident_encoders") < resident,
            "it stays on a device",
        )


def test_keys_are_known_and_refused_at_once(replicas: Replicas, keys: KeyTable) -> None:
    def answers(replica: Replica, secret: str) -> int:
        return replica.client.get("/v1/videos", headers=bearer(secret)).status_code

    for number in range(4):
        secret = add_key(keys, f"short-{number}")
        for replica in replicas.both:
            seconds = until(lambda r=replica, s=secret: answers(r, s) == 200, "unknown", AT_ONCE_S)
            assert seconds < AT_ONCE_S / 2, "it was not told, but found out by itself"
        keys.revoke(f"short-{number}")
        for replica in replicas.both:
            seconds = until(lambda r=replica, s=secret: answers(r, s) == 401, "taken", AT_ONCE_S)
            assert seconds < AT_ONCE_S / 2, "it was not told, but found out by itself"


def test_rates_and_quotas_hold_over_both(replicas: Replicas, keys: KeyTable) -> None:
    rate = add_key(keys, "rate", limits={"requests_per_minute": 7})
    quota = add_key(keys, "quota", limits={"queued": 3, "in_flight": 1})
    secrets = {"rate": rate, "quota": quota}
    for replica in replicas.both:
        for secret in secrets.values():
            ask = bearer(secret)
            until(lambda r=replica, h=ask: r.client.get("/v1/videos", headers=h).is_success, "", 5)
    if time.time() % 60 > 50:
        time.sleep(10.5)  # all requests have to be of one minute

    def delete(replica: Replica, number: int) -> httpx.Response:
        return replica.client.delete(f"/v1/videos/video_{number}", headers=bearer(rate))

    counted = Counter(answer.status_code for answer in by_both(replicas, delete, 20))
    assert counted == {404: 7, 429: 13}

    def post(replica: Replica, number: int) -> httpx.Response:
        return replica.client.post("/v1/videos", json=LONG, headers=bearer(quota))

    answers = by_both(replicas, post, 12)
    assert Counter(answer.status_code for answer in answers) == {200: 3, 429: 9}
    for answer in answers:
        if answer.is_success:
            path = f"/v1/videos/{answer.json()['id']}"
            assert replicas.both[0].client.delete(path, headers=bearer(quota)).is_success


def test_a_repeated_request_makes_one_job_and_a_name_is_given_once(replicas: Replicas) -> None:
    def repeat(replica: Replica, number: int) -> httpx.Response:
        return replica.client.post("/v1/videos", json=QUICK, headers={"Idempotency-Key": "same"})

    answers = by_both(replicas, repeat, 8)
    assert len({answer.json()["id"] for answer in answers}) == 1, answers
    # The name is an encoder's or an alias's, and one of each kind at most is told that it is.

    def name(replica: Replica, number: int) -> httpx.Response:
        if number < 4:
            return replica.client.put("/v1/aliases/both", json={"encoder": "one"})
        return replica.client.post("/v1/encoders", json=encoder("both", 3))

    given = by_both(replicas, name, 8)
    is_alias = any(answer.is_success for answer in given[:4])
    makers = [answer for answer in given[4:] if answer.is_success]
    assert len(makers) == (0 if is_alias else 1), [answer.text for answer in given]
    assert {answer.status_code for answer in given} <= {200, 409}
    path = "/v1/aliases/both" if is_alias else "/v1/encoders/both"
    assert replicas.both[0].client.delete(path).is_success
