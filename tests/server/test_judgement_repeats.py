"""Repeats of a request to judge an encoder: the rules of every other request that makes a job."""

from __future__ import annotations

from typing import Any

import pytest

from server.storage.records import FAILED, EncoderRecord
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, device_held, publish
from tests.server.test_dispatcher import until
from tests.server.test_judgements import FAST, wait_judged

GATE = {"gate": {"min_forget_rate": 0.5}}


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    """Return a server whose judging is short, with room for one encoder job."""
    return make_client(max_queued_encoders=1, **FAST)


def judge(client: Client, encoder_id: str, key: str, body: Any = GATE) -> Any:
    headers = {"Idempotency-Key": key}
    return client.post(f"/v1/encoders/{encoder_id}/judge", json=body, headers=headers)


def row_of(client: Client, encoder_id: str) -> EncoderRecord:
    row = client.runtime.records.get(EncoderRecord, EncoderRecord.id == encoder_id)
    assert row is not None
    return row


def job_of(client: Client, encoder_id: str) -> str:
    return row_of(client, encoder_id).job_id


def failed(client: Client, encoder_id: str, key: str) -> str:
    """Have a job fail: its encoder is gone for a while. Return the job's id."""
    publish(client.runtime, encoder_id)
    with device_held(client.runtime):
        assert judge(client, encoder_id, key).status_code == 200
        client.runtime.loaded.store.delete(encoder_id)
    until(lambda: row_of(client, encoder_id).status == FAILED, "the job did not fail")
    publish(client.runtime, encoder_id)
    return job_of(client, encoder_id)


def test_a_repeat_gives_the_same_job_while_it_waits_and_after_it(client: Client) -> None:
    publish(client.runtime, "repeated")
    publish(client.runtime, "another")
    with device_held(client.runtime):
        assert judge(client, "repeated", "k").status_code == 200
        job = job_of(client, "repeated")
        assert judge(client, "repeated", "k").json()["phase"] == "judging"
        for changed in (
            judge(client, "repeated", "k", {"gate": {"min_forget_rate": 0.6}}),
            judge(client, "another", "k"),
            judge(client, "nobody", "k"),
        ):
            assert_error(changed, 422, code="idempotency_key_reused")
        assert_error(judge(client, "repeated", "other"), 409, code="encoder_not_ready")
    done = wait_judged(client, "repeated")
    assert done["judged"]
    again = judge(client, "repeated", "k")
    assert (again.status_code, again.json()) == (200, done)
    assert job_of(client, "repeated") == job
    assert_error(judge(client, "repeated", "k", {}), 422, code="idempotency_key_reused")
    assert_error(judge(client, "repeated", "other"), 409, code="encoder_judged")


def test_a_repeat_after_a_failure_gives_the_failed_job_and_a_new_key_another(
    client: Client,
) -> None:
    publish(client.runtime, "held", seed=7)
    job = failed(client, "unlucky", "first")
    again = judge(client, "unlucky", "first")
    assert (again.status_code, again.json()["phase"]) == (200, "published")
    assert again.json()["error"]["code"] == "encoder_not_found"
    assert job_of(client, "unlucky") == job
    with device_held(client.runtime):
        assert judge(client, "held", "held").status_code == 200
        refused = judge(client, "unlucky", "second")
        assert_error(refused, 429)
        assert job_of(client, "unlucky") == job
        shown = client.get("/v1/encoders/unlucky").json()
        assert shown["error"]["code"] == "encoder_not_found", "the failed job was removed"
    wait_judged(client, "held")
    assert judge(client, "unlucky", "second").status_code == 200
    assert job_of(client, "unlucky") != job
    assert wait_judged(client, "unlucky")["judged"]
