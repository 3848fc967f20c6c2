"""The gate over the tiny model: its thresholds, its rounds, and the cached clips of the base."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from server.jobs.context import ServerStopping
from tests.server.help import SERVER_TIMEOUT_S, Client, assert_error, wait_for
from tests.server.set_help import pixels
from tests.server.stored_help import StoredFolder
from unlearn.few_shots import FEW_SHOTS
from unlearn.trial.gate import Gate
from video import Engine, GenerationRequest

BODY = {"concept": "pogo", "kind": "character", "settings": {"steps": 3}}
FAST = {"min_base_rate": 0.0, "max_probes": 2, "judged_videos": 1}


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    return make_client(**FAST)


def test_a_request_brings_its_own_gate(client: Client) -> None:
    gate = {"min_base_rate": 1, "max_probes": 1}
    assert client.post("/v1/encoders", json={**BODY, "id": "own", "gate": gate}).is_success
    failed = wait_for(client, "/v1/encoders/own")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "gate_failed")
    servers = Gate.of_tier("quick", min_forget_rate=0.0, max_retain_drop=1.0, min_base_rate=0.0)
    assert failed["gate"] == {**asdict(servers), **gate}
    form = {"concept": (None, "pogo"), "kind": (None, "character"), "id": (None, "formed")}
    fields = {"settings[steps]": (None, "2"), "gate": (None, '{"max_probes": 5}')}
    assert client.post("/v1/encoders", files={**form, **fields}).is_success
    made = wait_for(client, "/v1/encoders/formed")
    assert made["gate"] == {**asdict(servers), "max_probes": 5}
    assert client.runtime.loaded.store.card("formed").measures["gate"] == made["gate"]


@pytest.mark.parametrize(
    ("gate", "param"),
    [
        ({"min_forget_rate": 1.1}, "gate.min_forget_rate"),
        ({"max_retain_drop": -0.1}, "gate.max_retain_drop"),
        ({"min_base_rate": True}, "gate.min_base_rate"),
        ({"max_probes": 0}, "gate.max_probes"),
        ({"max_probes": 1001}, "gate.max_probes"),
        ({"max_probes": 2.5}, "gate.max_probes"),
        ({"min_retain": 1}, "gate.min_retain"),
        ("open", "gate"),
    ],
)
def test_an_invalid_gate_is_refused(client: Client, gate: Any, param: str) -> None:
    answer = client.post("/v1/encoders", json={**BODY, "gate": gate})
    assert_error(answer, 400)
    assert answer.json()["error"]["param"] == param


def test_progress_is_the_share_of_what_may_be_asked_and_never_falls(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check the progress of two rounds.

    The first round makes 8 probes of 32. Then the concept is decided, and 12 probes of the others
    are left, of which 4 are enough: from 8 of 20 to 12.
    """
    told: list[int] = []
    change = client.runtime.records.change

    def telling(job: Any, **values: Any) -> bool:
        if values.get("phase") == "judging":
            told.append(values["phases"]["judging"])
        return change(job, **values)

    monkeypatch.setattr(client.runtime.records, "change", telling)
    gate = {"max_retain_drop": 0.3, "max_probes": 16}
    body = {**BODY, "id": "told", "settings": {"steps": 1}, "gate": gate}
    assert client.post("/v1/encoders", json=body).is_success
    done = wait_for(client, "/v1/encoders/told")
    assert (done["measures"]["base_n"], done["measures"]["retain_n"]) == (4, 8)
    assert done["progress"] == 100
    assert told == sorted(told)
    assert 0 < max(share for share in told if share < 40) <= 25
    before_captions = [share for share in told if share < 100]  # they are looked at last
    assert 40 <= before_captions[-1] <= 60


def test_an_encoder_that_does_not_pass_the_gate_is_never_published(make_client: Any) -> None:
    strict: Client = make_client(**{**FAST, "min_base_rate": 1.0})
    strict.post("/v1/encoders", json={**BODY, "id": "weak"})
    failed = wait_for(strict, "/v1/encoders/weak")
    assert (failed["status"], failed["phase"]) == ("failed", "failed")
    assert failed["error"]["code"] == "gate_failed"
    assert "The base shows 'pogo' in only" in failed["error"]["message"]
    assert failed["measures"]["concepts"]["pogo"]["base_rate"] < 1
    assert failed["measures"]["gate"] == failed["gate"]
    assert strict.get("/v1/models").json()["data"][-1]["encoder"] == "base"
    refused = strict.post("/v1/videos", json={"prompt": "pogo", "encoder": "weak"})
    assert_error(refused, 404, code="encoder_not_found")
    assert strict.delete("/v1/encoders/weak").status_code == 200
    assert_error(strict.get("/v1/encoders/weak"), 404)


def counted(client: Client) -> list[GenerationRequest]:
    """Return a list that collects the requests given to the engine from now on."""
    engine, asked = client.runtime.loaded.engine, list[GenerationRequest]()
    submit = engine.submit

    def counting(request: GenerationRequest, *rest: Any) -> Any:
        asked.append(request)
        return submit(request, *rest)

    engine.submit = counting  # type: ignore[method-assign]
    return asked


def test_the_clips_of_the_base_are_made_once_for_all_encoders(make_client: Any) -> None:
    client: Client = make_client(**{**FAST, "max_probes": 3})
    asked = counted(client)
    for name in ("first", "second"):
        asked.clear()
        body = {**BODY, "id": name, "settings": {"steps": 2, "seed": len(name)}}
        client.post("/v1/encoders", json=body)
        done = wait_for(client, f"/v1/encoders/{name}")
        assert done["status"] == "published", done
        assert sum(request.encoder is not None for request in asked) == 6
        by_base = sum(request.encoder is None for request in asked) - FEW_SHOTS
        assert by_base == (6 if name == "first" else 0)
    store, names = client.runtime.loaded.store, ("first", "second")
    for who, different in (("base", 1), ("encoder", 2)):
        drawn = {pixels(store.report(name, f"kept-02-{who}.png")) for name in names}
        assert len(drawn) == different


def test_judged_rounds_are_not_made_again(
    make_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop the server after the first round.

    The next start continues with the second, and the report has the clips of both.
    """
    gate = {"min_base_rate": 0, "min_forget_rate": 0, "max_retain_drop": 0.3}
    first: Client = make_client(data_dir=tmp_path)
    engine = first.runtime.loaded.engine
    asked, making = counted(first), StoredFolder(first.runtime, "making", "")
    counting, down = engine.submit, threading.Event()

    def going_down(request: GenerationRequest, *rest: Any) -> Any:
        if any(name.endswith("/outcomes.json") for name in making.names()):
            down.set()
            raise ServerStopping
        return counting(request, *rest)

    engine.submit = going_down  # type: ignore[method-assign]
    body = {**BODY, "id": "resumed", "settings": {"steps": 1}, "gate": gate}
    assert first.post("/v1/encoders", json=body).is_success
    assert down.wait(SERVER_TIMEOUT_S)
    before = first.get("/v1/encoders/resumed").json()
    assert before["phase"] == "judging"
    again: list[GenerationRequest] = []
    submit = Engine.submit

    def counting_again(engine: Engine, request: GenerationRequest) -> Any:
        again.append(request)
        return submit(engine, request)

    monkeypatch.setattr(Engine, "submit", counting_again)  # judging goes on before it is ready
    second: Client = make_client(data_dir=tmp_path)
    done = wait_for(second, "/v1/encoders/resumed")
    assert (done["status"], done["measures"]["decision"]) == ("published", "clear"), done
    assert (len(asked), len(again)) == (FEW_SHOTS + 16, 8)
    assert not set(asked) & set(again)
    store = second.runtime.loaded.store
    pairs = json.loads(store.report("resumed", "report.json"))["pairs"]
    assert [pair["is_target"] for pair in pairs] == [True, False] * 4 + [False] * 4
    assert all(pair["base_file"] for pair in pairs)
