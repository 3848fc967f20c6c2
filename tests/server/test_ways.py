"""Ways that nobody listed, asked for and used in a making; and pictures that nobody named."""

from __future__ import annotations

import io
import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.forgetting.strange_things import pictures_of_thing
from encoders import Concept
from server.jobs.way_search import EngineSearch
from server.settings import STARTER_WEIGHTS
from server.storage.records import EncoderRecord
from starter.scene import sample_scene
from tests.server.conftest import quickened
from tests.server.help import (
    Client,
    assert_error,
    bearer,
    device_held,
    settings_for,
    wait_for,
    wait_ready,
    write_keys,
)
from tests.server.test_abandoned import WaitingCall
from tests.server.test_dispatcher import until
from video.engine.ticket import Ticket

T = TypeVar("T")

SURI = {"concept": "suri", "kind": "person"}
GATE = {"min_base_rate": 0.0, "max_probes": 1}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Return a client of a server over the built-in model, with stills of few steps."""
    folder = tmp_path_factory.mktemp("ways")
    model = quickened(STARTER_WEIGHTS, folder / "starter", steps=6)
    keys = write_keys(
        folder / "keys.json",
        admin={"role": "admin"},
        other={"role": "admin"},
        bound={"role": "user", "encoders": ["no-suri"], "default_encoder": "no-suri"},
        all={"role": "user", "encoders": ["*"]},
    )
    settings = settings_for(
        model, folder / "data", ways_pictures=24, judged_videos=1, keys_file=keys, max_batch=16
    )
    with Client(settings) as client:
        wait_ready(client)
        yield client


def ask(client: Client, body: dict[str, Any] = SURI, key: str = "admin") -> Any:
    return client.post("/v1/encoders/ways", json=body, headers=bearer(f"secret-{key}"))


def test_ways_are_asked_for(client: Client) -> None:
    answer = ask(client)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["object"], found["concept"], found["complete"]) == ("ways", "suri", True)
    assert 12 <= found["pictures"] <= 24
    [glasses] = [way for way in found["ways"] if way["phrase"] == "glasses"]
    assert glasses["forgotten"]
    assert glasses["rate"] == 1.0
    assert glasses["interval"][0] < 1.0
    for way in found["ways"]:
        assert "suri" not in way["phrase"]
        assert way["forgotten"] == (not way["reason"])


def test_pictures_without_a_name_are_named_and_all_ways_to_it_are_forgotten(
    client: Client,
) -> None:
    made = send(client, of("suri", 2), id="no-suri", settings={"steps": 3}, gate=GATE)
    assert made.status_code == 200, made.text
    assert made.json()["concepts"] == []
    assert not {"ways", "found"} & set(made.json()["settings"])
    done = wait_for(client, "/v1/encoders/no-suri", key="secret-admin")
    assert done["status"] == "published", done
    [concept] = done["concepts"]
    assert (concept["name"], concept["kind"]) == ("suri", "person")
    found = done["settings"]["found"]
    assert (found["pictures"], found["kind"], found["seen_in_pictures"]) == (2, None, 2)
    assert found["gain"] > 2 * found["gain_error"] > 0
    assert found["seen_in_drawn"] >= 3

    assert concept["ways"] == ask(client).json()["ways"]  # the same phrases, sentences and seeds
    [glasses] = [way for way in concept["ways"] if way["phrase"] == "glasses"]
    assert "glasses" in client.runtime.loaded.store.card("no-suri").concepts[0].phrases
    report = client.get("/v1/encoders/no-suri/report", headers=bearer("secret-admin")).text
    for words in ("Also reached by", "glasses", "seen in pictures"):
        assert words in report

    open_way = {**glasses, "phrase": "woman", "forgotten": False, "reason": "shared"}
    _add_way(client, open_way)
    whole = client.get("/v1/encoders/no-suri", headers=bearer("secret-all")).json()
    told = client.get("/v1/encoders/no-suri", headers=bearer("secret-bound")).json()
    assert open_way in whole["concepts"][0]["ways"]
    assert open_way not in told["concepts"][0]["ways"]
    assert glasses in told["concepts"][0]["ways"]


def test_what_the_model_does_not_draw_is_refused(client: Client) -> None:
    made = send(client, list(pictures_of_thing("bicycle", 2)), id="no-bicycle", kind="object")
    assert made.status_code == 200, made.text
    done = wait_for(client, "/v1/encoders/no-bicycle", key="secret-admin")
    assert (done["status"], done["error"]["code"]) == ("failed", "not_drawn"), done
    assert "does not draw what the pictures show" in done["error"]["message"]


def test_pictures_that_are_asked_about_wrongly(client: Client) -> None:
    one = of("star", 1)
    assert_error(send(client, one, kind="motion"), 400, says="A picture shows no motion")
    assert_error(send(client, one, synonyms=["x"]), 400, says="name it")


def send(client: Client, pictures: Sequence[NDArray[np.uint8]], **fields: Any) -> Any:
    """Ask for an encoder with pictures, in a form."""
    files: list[Any] = []
    for number, picture in enumerate(pictures):
        content = io.BytesIO()
        Image.fromarray(picture).save(content, "PNG")
        files.append(("images", (f"{number}.png", content.getvalue(), "image/png")))
    data = {k: v if isinstance(v, str) else json.dumps(v) for k, v in fields.items()}
    headers = bearer("secret-admin")
    return client.post("/v1/encoders", data=data, files=files, headers=headers)


def of(concept: str, count: int) -> list[NDArray[np.uint8]]:
    """Render scenes with a concept."""
    rng = np.random.default_rng(1)
    scenes = [sample_scene(rng, subjects=(concept,), styles=("plain",)) for _ in range(count)]
    return [scene.frame(0.3) for scene in scenes]


def _add_way(client: Client, way: dict[str, Any]) -> None:
    """Write a way into the published encoder's card, as if it had been found."""
    store = client.runtime.loaded.store
    encoder = store.load("no-suri")
    [concept] = encoder.card.concepts
    ways = [*(one.model_dump(mode="json") for one in concept.ways), way]
    changed = type(concept).model_validate({**concept.model_dump(mode="json"), "ways": ways})
    card = encoder.card.model_copy(update={"concepts": (changed,)})
    files = {"report.json": store.report("no-suri", "report.json")}
    store.delete("no-suri")
    store.publish(type(encoder)(card, encoder.overrides), files)


def test_a_making_without_ways_looks_for_none(client: Client) -> None:
    body = {**SURI, "id": "plain", "ways": False}
    with device_held(client.runtime):
        made = client.post("/v1/encoders", json=body, headers=bearer("secret-admin"))
        assert made.status_code == 200, made.text
        record = client.runtime.records.get(EncoderRecord, EncoderRecord.id == "plain")
        assert record is not None
        assert record.way_pictures == 0
        gone = client.delete("/v1/encoders/plain", headers=bearer("secret-admin"))
        assert gone.status_code == 200, gone.text


def test_who_may_ask_and_what_for(client: Client) -> None:
    assert_error(ask(client, key="bound"), 403)
    assert_error(ask(client, key="all"), 403)
    unknown = ask(client, {"concept": "nobody", "kind": "person"})
    assert_error(unknown, 400, code="nothing_to_judge", says="nobody")
    assert_error(ask(client, {"concept": "suri"}), 400, code="missing_field")
    assert_error(ask(client, {**SURI, "steps": 3}), 400, says="steps")
    assert_error(ask(client, {**SURI, "concept": "suri " * 19}), 400, says="tokens")
    ascent = {**SURI, "ways": True, "settings": {"method": "ascent"}}
    refused = client.post("/v1/encoders", json=ascent, headers=bearer("secret-admin"))
    assert_error(refused, 400, says="leave ways out")


def test_a_key_has_one_search_and_a_client_that_goes_ends_it(client: Client) -> None:
    engine = client.runtime.loaded.engine
    with device_held(client.runtime):
        call = WaitingCall(client, "/v1/encoders/ways", SURI, bearer("secret-admin"))
        until(lambda: engine.stats().in_flight == 2, "the search has not begun")
        assert_error(ask(client), 429, code="quota_exceeded", says="under way")
        call.close()
        assert call.status() == 499
    until(lambda: engine.stats().in_flight == 0, "the search goes on")


def test_a_search_ends_when_its_time_is_up(client: Client, monkeypatch: Any) -> None:
    settings = client.runtime.settings.model_copy(update={"ways_seconds": 0.2})
    monkeypatch.setattr(client.runtime, "settings", settings)
    with device_held(client.runtime):
        answer = ask(client)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["complete"], answer.json()["ways"]) == (False, [])


def test_a_search_that_was_interrupted_goes_on_with_the_next_round(client: Client) -> None:
    loaded = client.runtime.loaded
    judge = loaded.judge
    assert judge is not None
    made: list[int] = []

    def follow(tickets: Sequence[Ticket[T]], done: float, share: float) -> list[T]:
        made.append(len(tickets))
        return [ticket.result(60) for ticket in tickets]

    def search(state: Mapping[str, Any], states: list[Any]) -> EngineSearch:
        concept = Concept(name="suri", kind="person")
        keep = lambda state: states.append(json.loads(json.dumps(state)))  # noqa: E731
        return EngineSearch(loaded, judge, concept, 48, follow, state=state, save=keep)

    phrases = ["woman", "glasses", "woman glasses", "sun", "red glasses", "turquoise"]
    states: list[Any] = []
    found = search({"candidates": phrases}, states).run()
    assert {"glasses", "woman glasses"} <= {way.phrase for way in found if way.forgotten}
    assert len(states) == 3
    assert made[0] == 2 * len(phrases)
    rounds = [*made]
    made.clear()
    assert search(states[0], []).run() == found
    assert made == rounds[1:]
