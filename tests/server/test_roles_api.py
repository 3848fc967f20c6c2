"""The role `api`: it takes requests for a model that it has not, and imports no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.api.app import create_app
from server.jobs.lease import replica_of
from server.served_model import PublishedModel
from server.settings import Settings
from server.storage.backends import open_database
from server.storage.model_table import ModelTable
from server.storage.replica_table import ReplicaTable
from tests.object_server import ObjectServer
from tests.server.api_process import READY_S
from tests.server.help import ROOT, Client, assert_error, wait_ready
from unlearn.judges.load import load_judge
from video.load import load_backbone


@pytest.fixture(scope="module")
def settings(
    postgres_url: str, object_server: ObjectServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return {
        "role": "api",
        "backbone": "/there/is/none",
        "database": postgres_url,
        "store": object_server.bucket(),
        "data_dir": str(tmp_path_factory.mktemp("api") / "data"),
    }


def publish(settings: dict[str, Any], model: Path) -> None:
    """Do what a worker with the model does once it is loaded, and end."""
    backbone = load_backbone(model)
    published = PublishedModel.of(backbone, load_judge(model / "judge", backbone.prompts))
    worker = Settings.model_validate({**settings, "role": "videos"})
    database = open_database(worker)
    replicas = ReplicaTable(database)
    replicas.join(replica_of(worker, "worker"))
    ModelTable(database, replicas).publish(
        "worker", published.identity, published.model_dump_json()
    )
    replicas.leave("worker")
    database.close()


def test_before_a_worker_has_published_its_model_the_reason_is_said(
    settings: dict[str, Any], tiny_backbone_dir: Path
) -> None:
    with Client(Settings.model_validate(settings)) as client:
        for answer in (
            client.post("/v1/videos", json={"prompt": "pogo"}),
            client.post("/v1/encoders", json={"concept": "pogo", "kind": "character"}),
            client.get("/health"),
        ):
            assert_error(answer, 503, code="no_model", says="PALIMPSEST_ROLE videos, encoders or")
            assert int(answer.headers["retry-after"]) > 0
        assert not client.runtime.ready, "what /readyz says"
        assert client.get("/v1/videos").json()["data"] == []
        publish(settings, tiny_backbone_dir)
        wait_ready(client, READY_S)
        assert client.runtime.ready
        made = client.post("/v1/videos", json={"prompt": "pogo"})
        assert made.status_code == 200, made.text
        assert client.delete(f"/v1/videos/{made.json()['id']}").status_code == 200


def test_requests_are_served_without_torch(
    settings: dict[str, Any], tiny_backbone_dir: Path
) -> None:
    publish(settings, tiny_backbone_dir)
    done = subprocess.run(
        [sys.executable, "-m", "tests.server.api_process", json.dumps(settings)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=2 * READY_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["imported"] == []
    answers = said["answers"]
    statuses = {name: answer["status"] for name, answer in answers.items()}
    refused = {"too_long": 400, "unknown": 400, "ways": 501}
    assert statuses == {**dict.fromkeys(statuses, 200), **refused}, answers
    assert answers["video"]["body"]["status"] == "queued"
    assert answers["encoder"]["body"]["status"] == "queued"
    assert answers["models"]["body"]["data"][0]["id"] == load_backbone(tiny_backbone_dir).name
    errors = {name: answers[name]["body"]["error"] for name in refused}
    assert errors["too_long"]["code"] == "prompt_too_long"
    assert errors["unknown"]["code"] == "nothing_to_judge"
    assert errors["ways"]["code"] == "other_role"
    assert "role all, videos or encoders" in errors["ways"]["message"]
    [me] = [one for one in answers["replicas"]["body"]["data"] if one["alive"]]
    assert (me["role"], me["leads"], me["model"]) == ("api", True, None)
    assert "palimpsest_ready 1.0" in answers["metrics"]["body"]
    assert 'palimpsest_jobs{kind="video",status="queued"}' in answers["metrics"]["body"]


def test_the_role_is_refused_without_what_it_needs(tmp_path: Path) -> None:
    runtime = create_app(
        Settings.model_validate({"role": "api", "data_dir": tmp_path})
    ).state.runtime
    with pytest.raises(Exception, match=r"PALIMPSEST_ROLE=api .* set PALIMPSEST_DATABASE"):
        runtime.start()
