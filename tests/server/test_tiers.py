"""Tiers over HTTP: what each asks for, what only the strictest finds, and the time that is told.

The tiny model draws nothing, and the built-in one needs minutes for a certificate. So a judge that
only counts stands in for the eyes: it sees every concept in the base's clips, and in the encoder's
as scripted. All else is the server's own.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Any

import numpy as np
import pytest

from encoders import Kind
from server.jobs.phase_times import PhaseTimes
from tests.server.help import Client, assert_error, wait_for
from tests.server.test_phase_times import job
from unlearn.judges.base import Judge
from unlearn.trial.gate import Gate

BODY: dict[str, Any] = {"concept": "pogo", "kind": "character", "settings": {"steps": 1}}


class Script:
    """A judge over another's labels: it sees what is asked for, but pogo only in the `misses`.

    It tells the encoder's clips by the base's beside them, which only they have.
    """

    def __init__(self, judge: Judge) -> None:
        self.identity, self.labels = judge.identity, judge.labels
        self.misses: tuple[int, ...] = ()
        self.asked = 0

    def knows(self, concept: str, kind: Kind) -> bool:
        return concept in self.labels[kind]

    def shows(
        self, frames: np.ndarray, concept: str, kind: Kind, base: np.ndarray | None = None
    ) -> list[bool]:
        if base is None or concept != "pogo":
            return [True] * len(frames)
        self.asked += 1
        return [self.asked in self.misses] * len(frames)

    def seen(
        self, frames: np.ndarray, kinds: Collection[Kind]
    ) -> dict[tuple[str, Kind], list[bool]]:
        return {(label, k): [True] * len(frames) for k in kinds for label in self.labels[k]}


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    return make_client(judged_videos=1)


@pytest.fixture
def script(client: Client) -> Generator[Script]:
    judge = client.runtime.loaded.judge
    assert judge is not None
    script = Script(judge)
    object.__setattr__(client.runtime.loaded, "judge", script)
    yield script
    object.__setattr__(client.runtime.loaded, "judge", judge)


def made(client: Client, name: str, gate: dict[str, Any]) -> dict[str, Any]:
    # Tensors of one step of a random model, and its distances: they say nothing of a gate.
    gate = {**gate, "max_retain_distance": 100}
    accepted = client.post("/v1/encoders", json={**BODY, "id": name, "gate": gate})
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["estimated_seconds_left"] > 0
    return wait_for(client, f"/v1/encoders/{name}")


@pytest.mark.slow
def test_a_certificate_is_earned_with_125_pairs(client: Client, script: Script) -> None:
    done = made(client, "certified", {"tier": "certified"})
    assert done["status"] == "published", done["error"]
    measures = done["measures"]
    assert 125 <= measures["forget_n"] < 129
    assert measures["concepts"]["pogo"]["interval"][0] >= 0.97
    assert measures["lost_interval"][1] <= 0.05
    assert len(measures["neighbours"]) == 5
    assert {near["n"] for near in measures["neighbours"].values()} == {12}
    page = client.get("/v1/encoders/certified/report").text
    assert "The worst near concept" in page
    assert "125 pictures of a concept" in page


def test_two_misses_fail_only_there(client: Client, script: Script) -> None:
    for tier in ("quick", "standard", "certified"):
        status = "failed" if tier == "certified" else "published"
        script.asked, script.misses = 0, (14, 20)
        most = 200 if tier == "certified" else None  # enough for one miss
        gate = {"tier": tier, "neighbour_probes": 0, "max_probes": most}
        done = made(client, f"two-{tier}", gate)
        assert done["status"] == status, (tier, done["error"])
        assert done["measures"]["decision"] == "clear"
    assert done["error"]["code"] == "gate_failed"
    assert "gone from only 90%" in done["error"]["message"]
    assert done["measures"]["forget_n"] == 20  # it ends when passing has become impossible


def test_the_servers_tier_and_its_own_thresholds_hold_where_a_request_names_none(
    client: Client,
) -> None:
    def accepted(name: str, gate: dict[str, Any]) -> dict[str, Any]:
        answer = client.post("/v1/encoders", json={**BODY, "id": name, "gate": gate})
        assert answer.status_code == 200, answer.text
        client.delete(f"/v1/encoders/{name}")
        return answer.json()["gate"]

    assert accepted("own", {})["min_forget_rate"] == 0.0  # the test server's
    assert accepted("own", {})["tier"] == "custom"
    named = accepted("named", {"tier": "standard"})
    assert Gate(**named) == Gate.of_tier("standard")
    stricter = accepted("stricter", {"tier": "standard", "min_forget_rate": 0.95})
    assert (stricter["tier"], stricter["by_interval"]) == ("standard", True)


@pytest.mark.parametrize(
    ("gate", "param", "code"),
    [
        ({"tier": "certified", "max_probes": 124}, "gate.max_probes", "gate_unreachable"),
        ({"tier": "strict"}, "gate.tier", None),
        ({"max_retain_distance": -1}, "gate.max_retain_distance", None),
        ({"neighbour_probes": 101}, "gate.neighbour_probes", None),
    ],
)
def test_what_no_encoder_could_pass_is_refused(
    client: Client, gate: dict[str, Any], param: str, code: str | None
) -> None:
    answer = client.post("/v1/encoders", json={**BODY, "gate": gate})
    assert_error(answer, 400)
    assert answer.json()["error"]["param"] == param
    if code:
        assert answer.json()["error"]["code"] == code


def test_a_stricter_tier_is_told_to_take_longer() -> None:
    times = PhaseTimes()
    expected: list[int] = []
    for tier in ("quick", "standard", "certified"):
        record = job()
        record.gate = vars(Gate.of_tier(tier))  # type: ignore[arg-type]
        expected.append(times.expected_seconds(record))
    quick, standard, certified = expected
    assert quick < standard < certified
    assert certified > 2 * standard
