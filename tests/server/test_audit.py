"""Audits end to end, on the built-in model: a broken encoder is found, a good one is left alone."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from encoders.store import EncoderStore
from marking.audit_statement import verify_audit
from marking.errors import MarkInvalid
from server.settings import STARTER_WEIGHTS
from tests.prepared.make import STORE
from tests.server.audit_help import REPORT, asked, publish_judged
from tests.server.help import Client, assert_error, settings_for, wait_for, wait_ready
from tests.server.test_dispatcher import until
from unlearn.report.model import REPORT_JSON

BROKEN, GOOD = "no-pogo", "no-star"
MOST_PROBES = 16
"""Probes after which the broken encoder must be flagged: half of them are of its concept."""
GATE = {"min_forget_rate": 0.9, "max_retain_drop": 0.1}


def start(data: Path, **changes: Any) -> Client:
    return Client(settings_for(STARTER_WEIGHTS, data, **{**GATE, "threads": None, **changes}))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited")


@pytest.fixture(scope="module")
def audited(data: Path) -> dict[str, Any]:
    """Audit both encoders, and return the answers of the server about them."""
    with start(data, audit_share=1.0, audited_clips_share=1.0) as client:
        wait_ready(client)
        audits, prepared = client.runtime.storage.audits, EncoderStore(STORE)
        broken = publish_judged(client.runtime, prepared.load(BROKEN), scale=0.02)
        good = publish_judged(client.runtime, prepared.load(GOOD))

        def is_failed() -> bool:
            row = audits.get(broken.identity)
            assert asked(row) <= MOST_PROBES, row and row.counts
            return row is not None and row.state == "failed"

        until(is_failed, "the broken encoder was not flagged")
        probes = asked(audits.get(broken.identity))
        until(lambda: asked(audits.get(good.identity)) >= probes, "the good one was not audited")
        body = {"prompt": "pogo sliding at sunset", "encoder": BROKEN, "seed": 3, "frames": 4}
        video = client.post("/v1/videos", json={**body, "steps": 10}).json()
        assert wait_for(client, f"/v1/videos/{video['id']}")["status"] == "completed"

        def is_looked_at() -> bool:
            row = audits.get(broken.identity)
            return row is not None and row.served_judged == 1

        until(is_looked_at, "the served clip was not judged")
        return {
            "broken": client.get(f"/v1/encoders/{BROKEN}").json(),
            "good": client.get(f"/v1/encoders/{GOOD}").json(),
            "listed": client.get("/v1/encoders").json()["data"],
            "supplement": client.get(f"/v1/encoders/{BROKEN}/audit").json(),
            "report": client.runtime.loaded.store.report(BROKEN, REPORT_JSON),
            "metrics": client.get("/metrics").text,
            "probes": probes,
        }


def test_a_broken_encoder_is_flagged_within_few_probes(audited: dict[str, Any]) -> None:
    audit = audited["broken"]["audit"]
    assert audit["state"] == "failed"
    assert "pogo (character) is gone from 0%" in audit["reason"]
    assert audit["forgotten"]["rate"] == 0
    assert audit["forgotten"]["interval"][1] < 0.9
    assert audit["audited_at"] > 0
    assert audited["broken"]["status"] == "published"
    assert audited["broken"]["usable"]  # by the policy "flag"
    by_id = {one["id"]: one for one in audited["listed"]}
    assert by_id[BROKEN]["audit"]["state"] == "failed"


def test_a_good_one_is_not(audited: dict[str, Any]) -> None:
    audit = audited["good"]["audit"]
    assert (audit["state"], audit["reason"]) == ("ok", None)
    assert audit["forgotten"]["rate"] == 1
    assert audit["forgotten"]["n"] + audit["kept"]["n"] >= audited["probes"]


def test_a_served_clip_counts_and_says_what_it_shows(audited: dict[str, Any]) -> None:
    assert audited["broken"]["audit"]["served"] == {"judged": 1, "shown": 1}
    assert audited["good"]["audit"]["served"] == {"judged": 0, "shown": 0}
    assert 'palimpsest_served_clips_judged_total{shown="yes"} 1.0' in audited["metrics"]
    assert 'palimpsest_audit_probes_total{outcome="missed"}' in audited["metrics"]


def test_the_supplement_is_signed_and_the_report_stays(audited: dict[str, Any]) -> None:
    supplement = audited["supplement"]
    facts, report = verify_audit(supplement["envelope"], supplement["certificates"])
    assert facts.model_dump(mode="json") == supplement["facts"]
    assert (facts.encoder_id, facts.encoder_identity) == (BROKEN, audited["broken"]["identity"])
    assert (facts.state, facts.min_forget_rate) == ("failed", 0.9)
    assert facts.forgotten_by_concept["pogo (character)"].rate == 0
    assert audited["report"] == REPORT[REPORT_JSON]
    assert report == sha256(audited["report"]).hexdigest()
    payload = supplement["envelope"]["payload"]
    forged = {
        **supplement["envelope"],
        "payload": ("A" if payload[0] != "A" else "B") + payload[1:],
    }
    with pytest.raises(MarkInvalid):
        verify_audit(forged, supplement["certificates"])


def test_a_restart_keeps_the_counts_and_may_refuse(audited: dict[str, Any], data: Path) -> None:
    with start(data, audit_policy="refuse") as client:
        wait_ready(client)
        assert client.get(f"/v1/encoders/{BROKEN}").json()["audit"] == audited["broken"]["audit"]
        good = client.get(f"/v1/encoders/{GOOD}").json()
        assert good["audit"]["forgotten"]["n"] >= audited["good"]["audit"]["forgotten"]["n"]
        assert client.put("/v1/aliases/live", json={"encoder": BROKEN}).status_code == 200
        body = {"prompt": "pogo", "steps": 1, "frames": 1}
        for name in (BROKEN, "live"):
            refused = client.post("/v1/videos", json={**body, "encoder": name})
            assert_error(refused, 409, code="encoder_failed_audit")
        assert client.post("/v1/videos", json={**body, "encoder": GOOD}).status_code == 200
