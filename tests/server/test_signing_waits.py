"""A key that cannot sign for a while fails no job: clips and encoders wait for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from marking.certificate import make_key_pair
from tests.server.help import Client, assert_error, publish, wait_for
from tests.unlearn.report_help import files_of

BODY = {"prompt": "a meadow", "steps": 1, "frames": 1}


def test_jobs_wait_for_a_key_that_is_away(make_client: Any, tmp_path: Path) -> None:
    pair = make_key_pair("Acme")
    key, certificates = tmp_path / "key.pem", tmp_path / "chain.pem"
    key.write_text(pair.private_key)
    certificates.write_text(pair.certificates)
    client: Client = make_client(
        signing_key=key, signing_certificates=certificates, min_base_rate=0.0
    )
    publish(client.runtime, "reported", report=files_of())
    key.unlink()
    video = client.post("/v1/videos", json=BODY).json()["id"]
    encoder = {"id": "no-pogo", "concept": "pogo", "kind": "character", "settings": {"steps": 2}}
    assert client.post("/v1/encoders", json=encoder).is_success
    time.sleep(3)
    for path in (f"/v1/videos/{video}", "/v1/encoders/no-pogo"):
        assert client.get(path).json()["status"] in ("queued", "in_progress")
    zipped = client.get("/v1/encoders/reported/report", params={"format": "zip"})
    assert_error(zipped, 503, code="signing_failed", says="log")
    assert str(tmp_path) not in zipped.text
    key.write_text(pair.private_key)
    assert wait_for(client, f"/v1/videos/{video}")["status"] == "completed"
    assert wait_for(client, "/v1/encoders/no-pogo")["status"] == "published"
