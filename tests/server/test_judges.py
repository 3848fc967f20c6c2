"""Judge of a model that came without one: none, or the CLIP that a setting names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from encoders.store import EncoderStore
from server.loading import load
from server.settings import Settings
from server.storage import stored_folders
from server.storage.data_folders import DataFolders
from server.storage.staging import StagingStore
from tests import tiny
from tests.server.conftest import MakeClient
from tests.server.help import assert_error, wait_for
from unlearn.judges.base import Judge
from unlearn.judges.classifier import ClassifierJudge
from unlearn.judges.clip import ClipJudge
from video.engine.observer import Observer

FAST = {"min_base_rate": 0.0, "max_probes": 2, "judged_videos": 1}
STEPS = {"settings": {"steps": 2}}


@pytest.fixture(scope="session")
def quick_backbone_dir(quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the quick model without its judge, which this module's servers run."""
    directory = tmp_path_factory.mktemp("bare")
    for part in quick_backbone_dir.iterdir():
        if part.name != "judge":
            (directory / part.name).symlink_to(part)
    return directory


def test_without_a_judge_the_answer_says_how_to_name_one(make_client: MakeClient) -> None:
    client = make_client()
    answer = client.post("/v1/encoders", json={"concept": "pogo", "kind": "character"})
    assert_error(answer, 400, code="no_judge", says="PALIMPSEST_JUDGE")


def test_a_clip_judges_any_concept_but_motions(
    make_client: MakeClient, tiny_clip_dir: Path
) -> None:
    client = make_client(judge=str(tiny_clip_dir), **FAST)
    body: dict[str, Any] = {"id": "no-zebra", "concept": "zebra", "kind": "object", **STEPS}
    assert client.post("/v1/encoders", json=body).status_code == 200
    motion = {"concept": "bouncing", "kind": "motion", **STEPS}
    assert_error(
        client.post("/v1/encoders", json=motion),
        400,
        code="nothing_to_judge",
        says="it knows no motion at all",
    )
    done = wait_for(client, "/v1/encoders/no-zebra")
    assert done["status"] == "published", done
    assert (done["measures"]["base_n"], done["measures"]["retain_n"]) == (2, 2)


def test_the_setting_has_priority_over_the_models_own_judge(
    tiny_backbone_dir: Path, tiny_clip_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIMPSEST_BACKBONE", str(tiny_backbone_dir))
    monkeypatch.setenv("PALIMPSEST_DATA_DIR", str(tmp_path))
    stored_folders.prepare(tmp_path)
    judges: list[Judge | None] = []
    folders = DataFolders(tmp_path)
    published = EncoderStore(folders.blobs("encoders"))
    staging = StagingStore(published, folders.blobs("drafts"))
    monkeypatch.delenv("PALIMPSEST_JUDGE", raising=False)
    for source in (None, str(tiny_clip_dir)):
        if source is not None:
            monkeypatch.setenv("PALIMPSEST_JUDGE", source)
        loaded = load(Settings(), Observer(), published, staging)
        loaded.engine.stop()
        judges.append(loaded.judge)
    own, named = judges
    assert isinstance(own, ClassifierJudge)
    assert isinstance(named, ClipJudge)
    # The model's book goes with it.
    assert named.labels["character"] == list(tiny.CONCEPTS["character"])
