"""A bucket that is away, or is no place for a server's files: said, waited for, or refused."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from encoders.blob_store import BlobInfo
from encoders.object_blobs import ObjectBlobs
from server.jobs.leftovers import Leftovers
from server.settings import Settings
from server.start_checks import setting_error
from server.storage import bucket_probe
from server.storage.bucket_probe import StoreUnfit, check_store
from tests.object_server import Gate, ObjectServer
from tests.server.conftest import MakeClient
from tests.server.help import ROOT, Client, assert_error, device_held, publish, wait_for
from tests.server.test_dispatcher import until

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
ENCODER = {"concept": "pogo", "kind": "character", "settings": {"steps": 1}}
GATE = {"min_base_rate": 0.0, "max_probes": 2, "judged_videos": 1}


@pytest.fixture(scope="module")
def gate(object_server: ObjectServer) -> Gate:
    return Gate(object_server.endpoint)


@pytest.fixture(scope="module")
def client(make_client: MakeClient, object_server: ObjectServer, gate: Gate) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in object_server.environment(gate.endpoint).items():
            patch.setenv(name, value)
        yield make_client(store=object_server.bucket(), **GATE)


def accept(client: Client, path: str, body: dict[str, Any]) -> str:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return f"{path}/{answer.json()['id']}"


def test_jobs_wait_for_a_bucket_that_is_away_and_requests_are_told(
    client: Client, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    publish(client.runtime, "there")
    done, deleted = (accept(client, "/v1/videos", QUICK) for _ in range(2))
    for video in (done, deleted):
        assert wait_for(client, video)["status"] == "completed"
    with ExitStack() as away:
        with device_held(client.runtime):
            making = accept(client, "/v1/encoders", {**ENCODER, "id": "made"})
            away.enter_context(gate.closed())
        waiting = accept(client, "/v1/videos", QUICK)
        refused: list[tuple[str, str, Any]] = [
            ("GET", f"{done}/content", None),
            ("GET", "/v1/encoders", None),
            ("GET", "/v1/encoders/there", None),
            ("GET", "/v1/encoders/there/report", None),
            ("POST", "/v1/videos", {**QUICK, "encoder": "there"}),
            ("POST", "/v1/encoders", {**ENCODER, "id": "there"}),
            ("DELETE", "/v1/encoders/there", None),
        ]
        for method, path, body in refused:
            answer = client.request(method, path, json=body)
            assert_error(answer, 503, code="storage_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        assert client.delete(deleted).status_code == 200  # its files follow
        until(lambda: client.get("/health").status_code == 503, "still ready")
        assert_error(client.get("/health"), 503, code="loading", says="storage")
        assert_error(client.get(f"{done}/content"), 503, code="storage_unavailable")
        assert "/videos is away" in caplog.text  # the bucket is not asked, and no thread waits
        assert client.get(done).json()["status"] == "completed"  # rows are elsewhere
        until(lambda: "waiting for storage: the files of" in caplog.text, "nothing waits")
        assert client.get(waiting).json()["status"] == "in_progress"
        assert client.get(making).json()["status"] in ("queued", "in_progress")
    assert wait_for(client, waiting)["status"] == "completed"
    assert client.get(f"{waiting}/content").status_code == 200
    until(lambda: client.get("/health").status_code == 200, "not ready again")
    assert wait_for(client, making)["status"] == "published"
    Leftovers(client.runtime.jobs.context).sweep(time.time())
    assert deleted.rpartition("/")[2] not in client.runtime.files.ids()
    assert len(client.runtime.files.ids()) == 2
    for secret in ("a-secret-of-the-tests", "AKIDTEST", "Signature"):
        assert secret not in caplog.text


class Forgetful(ObjectBlobs):
    """A store that overwrites what it was to create, as some that speak S3 do."""

    def create(self, path: str, data: bytes) -> bool:
        self.put_all({path: data})
        return True


class Undeletable(ObjectBlobs):
    def remove(self, paths: Any) -> None:
        return


class Late(ObjectBlobs):
    def walk(self, folder: str) -> Any:
        return iter(list[BlobInfo]())


class Stale(ObjectBlobs):
    def read(self, path: str, max_bytes: int) -> bytes | None:
        return None


FAULTS: Mapping[type[ObjectBlobs], str] = {
    Forgetful: "conditional creates: a second create",
    Undeletable: "deletes",
    Late: "lists that see writes",
    Stale: "reads that see writes",
}


@pytest.mark.parametrize("kind", list(FAULTS))
def test_a_store_that_lacks_something_is_refused_by_name(
    object_server: ObjectServer, kind: type[ObjectBlobs]
) -> None:
    url = object_server.bucket()
    with pytest.raises(StoreUnfit) as raised:
        bucket_probe.probe(kind(url), url)
    message = str(raised.value)
    assert message.startswith(f"{url} cannot be this server's store, because it lacks")
    assert FAULTS[kind] in message
    assert "\n" not in message


def test_a_probe_leaves_nothing(object_server: ObjectServer) -> None:
    url = object_server.bucket()
    check_store(f"{url}/prefix")
    check_store("")
    assert list(ObjectBlobs(url).walk("")) == []


@pytest.mark.parametrize(
    "value",
    [
        "s3://key:hidden@bucket",
        "s3://bucket?sig=hidden",
        "data",
        "file:///data",
        "s3://",
        "s3://a//b",
    ],
)
def test_a_value_that_is_no_bucket_is_refused_without_its_login(value: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(data_dir=tmp_path, store=value)
    message = setting_error(raised.value)
    assert message.startswith("PALIMPSEST_STORE cannot be used: give it s3://bucket/prefix")
    assert "hidden" not in message


def test_a_server_is_not_started_on_a_store_that_is_refused(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    program = (
        "from encoders.object_blobs import ObjectBlobs; import service; "
        "ObjectBlobs.create = lambda blobs, path, data: blobs.put_all({path: data}) is None; "
        "service.Palimpsest.inner.prepare()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ
        | {
            "PALIMPSEST_STORE": object_server.bucket(),
            "PALIMPSEST_DATA_DIR": str(tmp_path),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "cannot be this server's store, because it lacks conditional creates" in done.stderr
