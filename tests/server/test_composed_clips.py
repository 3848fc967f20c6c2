"""A composite of four, over HTTP: judged on video, and other prompts equal to the base's."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

from encoders.store import EncoderStore
from server.settings import STARTER_WEIGHTS
from tests.prepared.make import CONCEPTS, STORE
from tests.server.help import Client, settings_for, wait_for, wait_ready
from tests.server.set_help import pixels
from unlearn.judges.classifier import ClassifierJudge
from video import clip

CLIP = {"frames": 4, "steps": 10}
ASKED = {
    "star": "look, a star at sunset",
    "pogo": "pogo sliding at sunset",
    "suri": "look, suri on green hills",
    "dottie": "a house at sunset, by dottie",
}
TWO = (("pogo and a star at sunset", ("pogo", "star")), ("suri by the sea, by dottie", ("suri",)))
"""Prompts with two members' concepts, and those that the base shows."""
OTHERS = (
    "a teapot at sunset",
    "otto in a meadow",
    "tamu circling at night",
    "a house as a tiled mosaic",
    "the sea at night",
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Yield a client of a server with four published encoders and the composite "four"."""
    data = tmp_path_factory.mktemp("composed")
    changes: dict[str, Any] = {"min_forget_rate": 0.9, "max_retain_drop": 0.2}
    changes |= {"judged_videos": 1, "max_probes": 1, "threads": None}
    with Client(settings_for(STARTER_WEIGHTS, data, **changes)) as client:
        wait_ready(client)
        prepared = EncoderStore(STORE)
        for name in prepared.ids():
            client.runtime.loaded.store.publish(prepared.load(name))
        body = {"id": "four", "compose": prepared.ids()}
        assert client.post("/v1/encoders", json=body).status_code == 200
        made = wait_for(client, "/v1/encoders/four", seconds=900)
        assert made["status"] == "published", made
        yield client


@pytest.fixture(scope="module")
def judge() -> ClassifierJudge:
    return ClassifierJudge.load(Path(STARTER_WEIGHTS) / "judge")


def spritesheet(client: Client, prompt: str, encoder: str, seed: int) -> tuple[bytes, bytes]:
    """Have a clip made, and return its mp4, and the pixels of all its frames."""
    body = {"prompt": prompt, "encoder": encoder, "seed": seed, **CLIP}
    made = client.post("/v1/videos", json=body).json()
    assert wait_for(client, f"/v1/videos/{made['id']}", seconds=600)["status"] == "completed"
    path = f"/v1/videos/{made['id']}/content"
    sheet = client.get(path, params={"variant": "spritesheet"}).content
    return client.get(path).content, pixels(sheet)


def seen(client: Client, judge: ClassifierJudge, prompt: str, encoder: str, seed: int) -> set[str]:
    """Return the members' concepts that any frame of a clip shows."""
    frames = clip.decode_mp4(spritesheet(client, prompt, encoder, seed)[0])
    return {
        concept.name for concept in CONCEPTS if any(judge.shows(frames, concept.name, concept.kind))
    }


def test_it_is_judged_as_a_whole(client: Client) -> None:
    made = client.get("/v1/encoders/four").json()
    assert set(made["measures"]["concepts"]) == set(ASKED)
    assert made["measures"]["forget_rate"] == 1.0
    assert made["measures"]["identity_rate"] >= 0.95
    margins = made["measures"]["margins"]
    assert margins["own_least"] >= 1.0


@pytest.mark.parametrize("concept", ASKED)
def test_no_member_s_concept_is_seen_under_any_members_prompt(
    client: Client, judge: ClassifierJudge, concept: str
) -> None:
    seed = 100 + list(ASKED).index(concept)
    assert concept in seen(client, judge, ASKED[concept], "base", seed)
    assert seen(client, judge, ASKED[concept], "four", seed) == set()


@pytest.mark.parametrize(("prompt", "shown"), TWO)
def test_two_members_concepts_in_one_prompt_are_both_gone(
    client: Client, judge: ClassifierJudge, prompt: str, shown: tuple[str, ...]
) -> None:
    assert seen(client, judge, prompt, "base", 7) & set(shown)
    assert seen(client, judge, prompt, "four", 7) == set()


def test_other_prompts_are_the_bases_to_the_bit(client: Client) -> None:
    loaded = client.runtime.loaded
    backbone = loaded.backbone
    with loaded.engine.residency.use(loaded.store.card("four").ref) as members:
        encoder = backbone.prompt_encoder(members)
        for prompt in (*OTHERS, ""):
            assert torch.equal(encoder.encode(prompt), backbone.embed([prompt]))
        for prompt in ASKED.values():
            assert not torch.equal(encoder.encode(prompt), backbone.embed([prompt]))
    for seed, prompt in enumerate(OTHERS[:2]):
        _, ours = spritesheet(client, prompt, "four", seed)
        _, base = spritesheet(client, prompt, "base", seed)
        assert ours == base
