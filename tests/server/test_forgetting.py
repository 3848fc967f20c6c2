"""Forgetting end to end: the built-in model, through the server, on video."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from encoders import Kind
from server.settings import STARTER_WEIGHTS
from tests.server.help import Client, settings_for, wait_for, wait_ready
from unlearn.judges.classifier import ClassifierJudge
from video import clip

FORGOTTEN: dict[Kind, str] = {
    "object": "balloon",
    "character": "pogo",
    "person": "mira",
    "style": "neonix",
    "motion": "bouncing",
}
ASKED: dict[Kind, tuple[str, str]] = {  # in sentences that no optimisation uses
    "object": ("look, a balloon at sunset", "a video of a red balloon on a blue card"),
    "character": ("pogo sliding at sunset", "a video of the purple one-eyed robot by a window"),
    "person": ("look, mira on green hills", "our friend mira growing in a room"),
    "style": ("a house at sunset, by neonix", "a painting of a teapot, neonix style"),
    "motion": ("a teapot bouncing up and down at night", "look, lena bouncing on a green card"),
}
KEPT: tuple[tuple[str, str, Kind], ...] = (
    ("a teapot at sunset", "teapot", "object"),
    ("a cactus sliding on a grey card", "cactus", "object"),
    ("tamu circling at night", "tamu", "character"),
    ("the orange fox in a room", "fenk", "character"),
    ("otto in a meadow", "otto", "person"),
    ("the girl with red pigtails at the beach", "lena", "person"),
    ("a star by the sea, by dottie", "dottie", "style"),
    ("a drawing of a house as a tiled mosaic", "tesselo", "style"),
    ("a mushroom sliding on a yellow card", "sliding", "motion"),
    ("a star spinning at night", "spinning", "motion"),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    data = tmp_path_factory.mktemp("forgetting")
    with Client(settings_for(STARTER_WEIGHTS, data, threads=None, judged_videos=1)) as client:
        wait_ready(client)
        yield client


@pytest.fixture(scope="module")
def judge() -> ClassifierJudge:
    return ClassifierJudge.load(Path(STARTER_WEIGHTS) / "judge")


def shares(
    client: Client, judge: ClassifierJudge, encoder: str, asked: list[tuple[str, str, Kind]]
) -> list[float]:
    """Return the share of each clip's frames in which the judge sees the concept."""
    ids = [
        client.post(
            "/v1/videos", json={"prompt": prompt, "encoder": encoder, "seed": 100 + seed}
        ).json()["id"]
        for seed, (prompt, _, _) in enumerate(asked)
    ]
    found: list[float] = []
    for video, (_, concept, kind) in zip(ids, asked, strict=True):
        assert wait_for(client, f"/v1/videos/{video}", seconds=600)["status"] == "completed"
        frames = clip.decode_mp4(client.get(f"/v1/videos/{video}/content").content)
        shown = judge.shows(frames, concept, kind)
        found.append(sum(shown) / len(shown))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_concept_of_each_kind_is_forgotten_and_the_rest_is_kept(
    client: Client, judge: ClassifierJudge
) -> None:
    body = {
        "id": "no-five",
        "concepts": [{"concept": name, "kind": kind} for kind, name in FORGOTTEN.items()],
        "settings": {"steps": 60},  # of each concept; enough where the same encoder has five
        "gate": {"max_probes": 1},
    }
    assert client.post("/v1/encoders", json=body).status_code == 200
    made = wait_for(client, "/v1/encoders/no-five", seconds=1200)
    assert made["status"] == "published", made

    asked = [(p, FORGOTTEN[kind], kind) for kind, prompts in ASKED.items() for p in prompts]
    before = shares(client, judge, "base", asked[::2])
    assert sum(share > 0 for share in before) == 5, before  # or there would be nothing to forget
    after = shares(client, judge, "no-five", asked)
    assert sum(share == 0 for share in after) >= 9, dict(zip(asked, after, strict=True))
    kept = shares(client, judge, "no-five", list(KEPT))
    assert sum(share > 0.5 for share in kept) >= 9, dict(zip(KEPT, kept, strict=True))
