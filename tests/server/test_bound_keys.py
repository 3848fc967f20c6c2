"""Everything that a key bound to an encoder can read: nothing of the base, and no other encoder."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from server.storage.records import FAILED, EncoderRecord
from tests.server.help import Client, assert_error, bearer, publish, write_keys
from tests.unlearn.report_help import card_of, files_of

ACME, TWO, FREE, ADMIN = (bearer(f"secret-{name}") for name in ("acme", "two", "free", "admin"))
PARENT = "no-neonix"
REPORT = "/v1/encoders/no-pogo/report"
FILES = files_of(card_of())


def server_with(make_client: Any, home: Any, **settings: Any) -> Client:
    keys = write_keys(
        home / "keys.json",
        admin={"role": "admin"},
        acme={"role": "user", "encoders": ["acme-policy", "broken"]},
        two={"role": "user", "encoders": ["no-pogo", "base"]},
        free={"role": "user", "encoders": ["*"]},
    )
    client: Client = make_client(keys_file=keys, **settings)
    publish(client.runtime, PARENT, seed=1)
    publish(client.runtime, "no-pogo", seed=2, parent=PARENT, report=FILES)
    answer = client.put("/v1/aliases/acme-policy", json={"encoder": "no-pogo"}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return client


@pytest.fixture(scope="module")
def server(make_client: Any, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return server_with(make_client, tmp_path_factory.mktemp("keys"))


def test_nothing_that_a_bound_key_reads_names_the_parent(server: Client) -> None:
    with server.runtime.database.writing() as session:
        session.add(
            EncoderRecord(
                id="broken",
                job_id="job_broken",
                owner="admin",
                request_hash="x",
                status=FAILED,
                phase=FAILED,
                concepts=[{"name": "pogo", "kind": "character"}],
                parent=PARENT,
                parent_digest="sha256:" + "a" * 64,
                settings={},
                gate={},
                error_code="encoder_not_found",
                error_message=f"There is no encoder '{PARENT}'.",
            )
        )
    paths = [
        "/v1/models",
        f"/v1/models/{server.runtime.loaded.backbone.name}:no-pogo",
        "/v1/encoders",
        "/v1/encoders/no-pogo",
        "/v1/encoders/broken",
        "/v1/encoders/broken/events",
        "/v1/encoders/no-pogo/events",
        "/v1/aliases",
        "/v1/aliases/acme-policy",
        "/v1/videos",
        REPORT,
        f"{REPORT}?format=json",
    ]
    for path in paths:
        answer = server.get(path, headers=ACME)
        assert answer.status_code == 200, (path, answer.text)
        assert PARENT not in answer.text, path
    assert_error(server.get("/v1/encoders/broken/report", headers=ACME), 409)
    assert PARENT not in server.get("/v1/encoders/broken/report", headers=ACME).text
    for key in (ADMIN, FREE):
        assert server.get("/v1/encoders/no-pogo", headers=key).json()["parent"] == PARENT
        assert PARENT in server.get("/v1/encoders/broken", headers=key).json()["error"]["message"]
        assert PARENT in server.get(REPORT, headers=key).text


def test_a_bound_keys_report_has_nothing_of_the_base(server: Client) -> None:
    of_base = sorted(name for name in FILES if "-base." in name)
    of_encoder = sorted(name for name in FILES if "-encoder." in name)
    assert min(len(of_base), len(of_encoder)) > 3
    told = server.get(f"{REPORT}?format=json", headers=ACME).json()
    assert sorted(told["files"]) == of_encoder
    page = server.get(REPORT, headers=ACME).text
    assert "-base." not in page
    for name in of_base:
        hidden = server.get(f"{REPORT}/{name}", headers=ACME)
        absent = server.get(f"{REPORT}/{name.replace('base', 'nobody')}", headers=ACME)
        for answer in (hidden, absent):
            assert_error(answer, 404, code="report_not_found")
        assert hidden.text.replace(name, "") == absent.text.replace(
            name.replace("base", "nobody"), ""
        )
        for known in ({"if-none-match": "*"}, {"range": "bytes=0-1"}):
            assert server.get(f"{REPORT}/{name}", headers={**ACME, **known}).status_code == 404
        assert server.head(f"{REPORT}/{name}", headers=ACME).status_code == 404
        for key in (ADMIN, FREE, TWO):
            assert server.get(f"{REPORT}/{name}", headers=key).content == FILES[name]
    for name in of_encoder:
        assert server.get(f"{REPORT}/{name}", headers=ACME).content == FILES[name]
    bundle = server.get(f"{REPORT}?format=zip", headers=ACME)
    assert bundle.status_code == 200
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        names = archive.namelist()
        assert any(name.endswith(of_encoder[0]) for name in names)
        assert not any("-base." in name for name in names)
        for name in names:
            assert PARENT.encode() not in archive.read(name), name


# A server of its own, after all that use the one above: there is one at a time.


def test_a_setting_opens_reports(make_client: Any, tmp_path: Any) -> None:
    client = server_with(make_client, tmp_path, full_reports=True)
    assert client.get("/v1/encoders/no-pogo", headers=ACME).json()["parent"] == PARENT
    assert client.get(REPORT, headers=ACME).content == FILES["report.html"]
    for name in FILES:
        if name.endswith((".mp4", ".png")):
            assert client.get(f"{REPORT}/{name}", headers=ACME).content == FILES[name]
    publish(client.runtime, "gated", threshold=0.1)
    client.put("/v1/aliases/acme-policy", json={"encoder": "gated"}, headers=ADMIN)
    assert client.get("/v1/encoders/gated", headers=ACME).json()["trigger"] is not None
