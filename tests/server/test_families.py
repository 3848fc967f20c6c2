"""Every model family over HTTP: a base video, an encoder, a video with it, the base again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.model_zoo import ModelZoo
from tests.server.help import Client, settings_for, wait_for, wait_ready
from tests.tiny_networks import SIDE
from video.clip import decode_mp4, read_provenance
from video.frames import Frames

FAMILIES = ["animatediff", "modelscope", "cogvideox", "wan", "ltx", "latte", "mochi", "wan-2.2"]
TWINS = ("modelscope", "cogvideox")
FAST = {"min_base_rate": 0.0, "max_probes": 1, "judged_videos": 1}
PROMPT, OTHER = "pogo bouncing in a meadow", "a cactus by the sea"


def video(client: Client, **fields: Any) -> Frames:
    """Make a video, and return its delivered frames."""
    body = {"prompt": PROMPT, "seed": 3, "steps": 2, "frames": 4, "guidance": 3.0, **fields}
    answer = client.post("/v1/videos", json=body)
    assert answer.status_code == 200, answer.text
    done = wait_for(client, f"/v1/videos/{answer.json()['id']}")
    assert done["status"] == "completed", done
    content = client.get(f"/v1/videos/{done['id']}/content").content
    store = client.runtime.loaded.store
    identity = store.card(fields["encoder"]).identity if "encoder" in fields else None
    assert read_provenance(content)["encoder_identity"] == identity
    return decode_mp4(content)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_loads_by_name_generates_unlearns_and_keeps_its_base(
    model_zoo: ModelZoo, family: str, quick_backbone_dir: Path, tiny_clip_dir: Path, tmp_path: Path
) -> None:
    twin = str(model_zoo.twin(family)) if family in TWINS else None
    size = None if family in ("animatediff", *TWINS) else f"{SIDE}x{SIDE}"
    model = quick_backbone_dir if family == "animatediff" else model_zoo.model(family)
    settings = settings_for(model, tmp_path, twin=twin, size=size, judge=str(tiny_clip_dir), **FAST)
    with Client(settings) as client:
        wait_ready(client)
        base = video(client)
        assert base.shape[0] == 4
        asked: dict[str, Any] = {
            "id": "no-pogo",
            "concept": "pogo",
            "kind": "character",
            "settings": {"steps": 4, "learning_rate": 0.3, "adversary_weight": 0.0},
        }
        assert client.post("/v1/encoders", json=asked).status_code == 200
        made = wait_for(client, "/v1/encoders/no-pogo")
        assert made["status"] == "published", made
        named = video(client, encoder="no-pogo")
        again = video(client)
    assert named.shape == base.shape
    np.testing.assert_array_equal(again, base)
    assert np.abs(named.astype(int) - base.astype(int)).mean() > 0.5
