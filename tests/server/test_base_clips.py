"""Cache of the base's clips: found again, bounded, and broken entries are made again."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoders import EncoderRef
from encoders.directory_blobs import DirectoryBlobs
from server.storage.base_clips import BaseClips, model_digest
from video import GenerationRequest, load_backbone

REQUEST = GenerationRequest("pogo", seed=3, low_priority=True)


def clip(seed: int = 0, frames: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def clips(tmp_path: Path) -> BaseClips:
    return BaseClips(DirectoryBlobs(tmp_path / "clips"), 1 << 20, "a model")


def test_a_clip_is_found_only_by_all_that_decides_its_pixels(
    clips: BaseClips, tmp_path: Path
) -> None:
    assert clips.get(REQUEST) is None
    clips.put(REQUEST, clip())
    again = BaseClips(DirectoryBlobs(tmp_path / "clips"), 1 << 20, "a model")
    found = again.get(REQUEST)
    assert found is not None
    np.testing.assert_array_equal(found, clip())
    for changes in (
        {"prompt": "blip"},
        {"seed": 4},
        {"steps": 9},
        {"guidance": 1.0},
        {"frames": None},
    ):
        assert again.get(replace(REQUEST, **changes)) is None
    assert (
        BaseClips(DirectoryBlobs(tmp_path / "clips"), 1 << 20, "another model").get(REQUEST) is None
    )


def test_only_clips_of_the_base_are_cached(clips: BaseClips) -> None:
    with pytest.raises(ValueError, match="base"):
        clips.put(replace(REQUEST, encoder=EncoderRef("x", "sha256:0")), clip())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_broken_entry_is_removed_and_made_again(
    clips: BaseClips, tmp_path: Path, data: st.DataObject
) -> None:
    clips.put(REQUEST, clip())
    (file,) = (tmp_path / "clips").iterdir()
    whole = file.read_bytes()
    if data.draw(st.booleans()):
        broken = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        broken = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    file.write_bytes(broken)
    assert clips.get(REQUEST) is None
    clips.put(REQUEST, clip(1))
    found = clips.get(REQUEST)
    assert found is not None
    np.testing.assert_array_equal(found, clip(1))


def test_the_least_recently_used_are_removed_when_it_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    BaseClips(DirectoryBlobs(folder), 1 << 20, "a model").put(REQUEST, clip())
    (file,) = folder.iterdir()
    size = file.stat().st_size
    file.unlink()
    clips = BaseClips(DirectoryBlobs(folder), 3 * size, "a model")
    requests = [replace(REQUEST, seed=seed) for seed in range(4)]
    for age, request in zip((300, 200, 100), requests, strict=False):
        before = set(folder.iterdir())
        clips.put(request, clip())
        (added,) = set(folder.iterdir()) - before
        os.utime(added, (time.time() - age,) * 2)
    assert clips.get(requests[0]) is not None  # used: now the youngest
    clips.put(requests[3], clip())
    assert [clips.get(request) is not None for request in requests] == [True, False, True, True]
    assert sum(entry.stat().st_size for entry in folder.iterdir()) == 3 * size


def test_other_weights_or_another_precision_are_another_model(
    tiny_backbone_dir: Path, tmp_path: Path
) -> None:
    import torch

    backbone = load_backbone(tiny_backbone_dir)
    own = model_digest(backbone)
    copied = tmp_path / "copied"
    shutil.copytree(tiny_backbone_dir, copied)
    assert model_digest(load_backbone(copied)) == own
    half = load_backbone(tiny_backbone_dir, dtype=torch.bfloat16)
    assert model_digest(half) != own
    changed = tmp_path / "changed"
    shutil.copytree(tiny_backbone_dir, changed)
    weights = next((changed / "motion_adapter").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert model_digest(load_backbone(changed)) != own
    wide = load_backbone(tiny_backbone_dir, size=(128, 64))
    assert model_digest(wide) != own
