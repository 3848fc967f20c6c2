"""An encoder that is being made is watched: its losses, a still that fades, what failed it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image

from server.jobs.training import PREVIEWS
from tests.server.help import Client, assert_error, wait_for
from tests.server.test_following import follow

MAKE: dict[str, Any] = {"concept": "pogo", "kind": "character", "settings": {"steps": 40}}
PASSES = {"max_probes": 2, "min_base_rate": 0}
FAILS = {"max_probes": 4, "min_base_rate": 1.0}


def test_losses_and_stills_are_there_while_it_is_trained(client: Client) -> None:
    made = client.post("/v1/encoders", json={**MAKE, "id": "watched", "gate": PASSES})
    assert made.status_code == 200, made.text
    stills: dict[int, bytes] = {}
    with client.stream("GET", "/v1/encoders/watched/events") as answer:
        for _ in answer.iter_text():
            training = client.get("/v1/encoders/watched").json()["training"] or {"previews": []}
            for step in training["previews"]:
                still = client.get(f"/v1/encoders/watched/previews/{step}")
                if still.status_code == 200:  # the job may just have ended
                    stills[step] = still.content
    told = [data["training"] for _, data in follow(client, "/v1/encoders/watched/events")]
    assert told == [None], "a published encoder has a report in place of it"
    assert 0 in stills
    assert 2 <= len(stills) <= PREVIEWS
    capabilities = client.runtime.loaded.backbone.capabilities
    size = Image.open(BytesIO(stills[0])).size
    assert size == (capabilities.native_width, capabilities.native_height)
    assert len(set(stills.values())) == len(stills), "the still changes as the encoder does"
    assert_error(client.get("/v1/encoders/watched/previews/0"), 404)


def test_the_pairs_that_failed_an_encoder_stay_until_it_is_deleted(client: Client) -> None:
    client.post("/v1/encoders", json={**MAKE, "id": "failing", "gate": FAILS})
    ended = wait_for(client, "/v1/encoders/failing")
    assert (ended["status"], ended["error"]["code"]) == ("failed", "gate_failed")
    training = ended["training"]
    assert training["step"] == training["steps"] == 40
    assert len(training["losses"]) == -(-40 // training["every"])
    pairs = client.get("/v1/encoders/failing/failure").json()["pairs"]
    assert 1 <= len(pairs) <= 6
    for pair in pairs:
        for side in ("base_file", "encoder_file"):
            file = client.get(f"/v1/encoders/failing/failure/{pair[side]}")
            assert file.status_code == 200, file.text
            assert len(file.content) > 100
    assert_error(client.get("/v1/encoders/failing/failure/report.json"), 404)
    assert_error(client.get("/v1/encoders/failing/previews/0"), 404)
    assert client.delete("/v1/encoders/failing").status_code == 200
    assert_error(client.get("/v1/encoders/failing/failure"), 404)
