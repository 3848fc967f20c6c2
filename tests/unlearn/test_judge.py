"""The classifier judge: labels, thresholds, and what it refuses to load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unlearn.judges.base import JudgeInvalid, UnknownConcept
from unlearn.judges.classifier import ClassifierJudge, JudgeConfig

LABELS = {
    "object": ["balloon", "cactus"],
    "character": ["pogo"],
    "person": ["mira"],
    "style": ["dottie"],
    "motion": ["bouncing", "spinning"],
}


def config(**thresholds: float) -> JudgeConfig:
    return JudgeConfig.model_validate({"labels": LABELS, "thresholds": thresholds})


def clip(frames: int = 5, size: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)


@pytest.fixture
def judge() -> ClassifierJudge:
    torch.manual_seed(0)
    return ClassifierJudge.untrained(config())


def test_outputs_follow_the_kinds_and_end_with_neither() -> None:
    assert config().outputs("subject") == ["balloon", "cactus", "pogo", "mira", "none"]
    assert config().outputs("style") == ["dottie", "plain"]
    assert config().outputs("motion") == ["bouncing", "spinning", "still"]


def test_a_concept_is_seen_only_when_likeliest_and_sure_enough(judge: ClassifierJudge) -> None:
    frames = clip()
    likeliest = int(judge.probabilities(frames, "subject")[0].argmax())
    with torch.no_grad():
        judge.frame_network.subject.bias[2] += 50  # now sure of "pogo"
    assert judge.shows(frames, "pogo", "character") == [True] * 5
    assert judge.shows(frames, "mira", "person") == [False] * 5
    with torch.no_grad():
        judge.frame_network.subject.bias[2] -= 50
    strict = ClassifierJudge(
        config(**dict.fromkeys(["balloon", "cactus", "pogo", "mira"], 0.999)),
        judge.frame_network,
        judge.motion_network,
    )
    assert strict.read(frames, "subject") == ["none"] * 5
    assert likeliest in range(5)


def test_a_motion_is_one_answer_for_the_clip(judge: ClassifierJudge) -> None:
    frames = clip(7)
    assert judge.probabilities(frames, "motion").shape == (1, 3)
    with torch.no_grad():
        judge.motion_network.motion.bias[1] += 50
    assert judge.shows(frames, "spinning", "motion") == [True] * 7


def test_frames_of_any_size_are_read_and_other_arrays_are_refused(judge: ClassifierJudge) -> None:
    assert len(judge.shows(clip(2, 100), "pogo", "character")) == 2
    with pytest.raises(ValueError, match="uint8"):
        judge.shows(clip().astype(np.float32), "pogo", "character")  # type: ignore[arg-type]


def test_unknown_concepts_are_refused(judge: ClassifierJudge) -> None:
    with pytest.raises(UnknownConcept, match="zebra"):
        judge.shows(clip(), "zebra", "object")
    with pytest.raises(UnknownConcept):
        judge.shows(clip(), "pogo", "object")


def test_saved_and_loaded_judges_agree(judge: ClassifierJudge, tmp_path: Path) -> None:
    judge.save(tmp_path)
    loaded = ClassifierJudge.load(tmp_path)
    for head in ("subject", "style", "motion"):
        np.testing.assert_allclose(
            loaded.probabilities(clip(), head), judge.probabilities(clip(), head), atol=5e-3
        )
    assert loaded.config == judge.config
    parameters = sum(p.numel() for p in judge.frame_network.parameters())
    assert 0.2e6 < parameters < 0.6e6
    assert 0.2e6 < sum(p.numel() for p in judge.motion_network.parameters()) < 0.6e6


def test_the_identity_is_of_the_config_and_the_weights(
    judge: ClassifierJudge, tmp_path: Path
) -> None:
    judge.save(tmp_path)
    identity = ClassifierJudge.load(tmp_path).identity
    assert identity == judge.identity
    assert str(identity) == "ClassifierJudge 1"
    strict = ClassifierJudge(config(pogo=0.9), judge.frame_network, judge.motion_network)
    assert strict.identity.hash != identity.hash
    with torch.no_grad():
        judge.motion_network.motion.bias[0] += 1
    assert judge.identity.hash != identity.hash


def test_load_refuses_what_is_not_a_judge(judge: ClassifierJudge, tmp_path: Path) -> None:
    with pytest.raises(JudgeInvalid, match="missing"):
        ClassifierJudge.load(tmp_path)
    judge.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(JudgeInvalid, match="not a safetensors"):
        ClassifierJudge.load(tmp_path)
    torch.save(judge.frame_network.state_dict(), weights)
    with pytest.raises(JudgeInvalid, match="not a safetensors"):
        ClassifierJudge.load(tmp_path)
    judge.save(tmp_path)
    more = {**LABELS, "object": [*LABELS["object"], "star"]}
    (tmp_path / "config.json").write_text(JudgeConfig(labels=more).model_dump_json())  # type: ignore[arg-type]
    with pytest.raises(JudgeInvalid, match="subject"):
        ClassifierJudge.load(tmp_path)
    (tmp_path / "config.json").write_text('{"labels": {"object": []}}')
    with pytest.raises(JudgeInvalid, match="kinds"):
        ClassifierJudge.load(tmp_path)
