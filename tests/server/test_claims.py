"""Claims: kept for admins, referred to by the signed report, told to nobody."""

from __future__ import annotations

from typing import Any

import pytest

from marking.claim import Claim
from marking.signed_zip import read_signed_zip
from tests.server.help import Client, assert_error, bearer, wait_for, write_keys

ADMIN, FREE, BOUND = (bearer(f"secret-{name}") for name in ("admin", "free", "bound"))
SAID = {"claimant": "Acme Studios", "claim": "Letter 12/2026", "contact": "legal@acme.example"}


@pytest.fixture(scope="module")
def client(make_client: Any, tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        free={"role": "user", "encoders": ["*"]},
        bound={"role": "user", "encoders": ["no-pogo"]},
    )
    client: Client = make_client(keys_file=keys, min_base_rate=0.0, full_reports=True)
    body = {"id": "no-pogo", "concept": "pogo", "kind": "character", "settings": {"steps": 2}}
    answer = client.post("/v1/encoders", json={**body, **SAID}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    found = wait_for(client, "/v1/encoders/no-pogo", key="secret-admin")
    assert found["status"] == "published", found
    return client


def test_admins_see_the_claim_and_others_do_not(client: Client) -> None:
    found = client.get("/v1/encoders/no-pogo", headers=ADMIN).json()["claim"]
    assert {name: found[name] for name in SAID} == SAID
    assert found["made_at"] > 0
    for headers in (FREE, BOUND):
        for path in ("/v1/encoders/no-pogo", "/v1/encoders"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200
            assert "Acme" not in answer.text
            assert "legal@" not in answer.text
            assert found["salt"] not in answer.text


def test_the_signed_report_refers_to_the_claim_without_telling_it(client: Client) -> None:
    path = "/v1/encoders/no-pogo/report"
    claim = Claim.model_validate(client.get("/v1/encoders/no-pogo", headers=ADMIN).json()["claim"])
    for headers in (ADMIN, BOUND):
        data = client.get(path, params={"format": "zip"}, headers=headers).content
        publication = read_signed_zip(data).publication
        assert publication is not None
        assert publication.facts.claim_digest == claim.digest()
        for secret in (*SAID.values(), claim.salt):
            assert secret.encode() not in data
    changed = claim.model_copy(update={"claimant": "Somebody else"})
    assert changed.digest() != claim.digest()


@pytest.mark.parametrize(
    ("field", "value"),
    [("claimant", "x" * 201), ("claim", "x" * 2001), ("contact", "x" * 201), ("claim", 5)],
)
def test_claims_have_bounds(client: Client, field: str, value: object) -> None:
    body = {"concept": "pogo", "kind": "character", field: value}
    answer = client.post("/v1/encoders", json=body, headers=ADMIN)
    assert_error(answer, 400)
    assert answer.json()["error"]["param"] == field
