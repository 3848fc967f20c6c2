"""The cartoon world: seeded, complete, and drawn as its scenes say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from starter.backgrounds import BACKGROUNDS
from starter.captions import (
    FORMS,
    HELD_OUT_FORMS,
    HELD_OUT_WORDS,
    MOTION_WORDS,
    PLACE_WORDS,
    STYLE_WORDS,
    SUBJECT_WORDS,
    caption,
    compose,
)
from starter.motions import EDGE, MOTIONS, pose_at
from starter.pen import Pen, Pose
from starter.scene import (
    DRAWINGS,
    FRAMES,
    NAMELESS,
    SIZE,
    SUBJECTS,
    SUPERSAMPLING,
    Scene,
    draw_subject,
    sample_scene,
)
from starter.styles import STYLES, stylise

SEEDS = st.integers(0, 2**32 - 1)


def scene(seed: int, **limits: list[str]) -> Scene:
    return sample_scene(np.random.default_rng(seed), **limits)  # type: ignore[arg-type]


def masks(one: Scene) -> np.ndarray:
    """Find the subject's pixels, (frames, 64, 64): those where it hides the ground."""
    size = SIZE * SUPERSAMPLING
    at_rest = Pose(one.x * SUPERSAMPLING, one.y * SUPERSAMPLING, one.radius * SUPERSAMPLING)

    def drawn_on(ground: str, time: float) -> np.ndarray:
        image = Image.new("RGB", (size, size), ground)
        pen = Pen(image, pose_at(at_rest, one.motion, time))
        if one.subject != "nothing":
            draw_subject(pen, one.subject, one.variant)
        return np.asarray(image)

    found: list[np.ndarray] = []
    for index in range(FRAMES):
        time = index / (FRAMES - 1)
        hidden = (drawn_on("black", time) == drawn_on("white", time)).all(axis=2)
        found.append(hidden.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING).max(axis=(1, 3)))
    return np.stack(found)


def test_the_world_has_what_it_promises() -> None:
    assert len(DRAWINGS["object"]) >= 8
    assert len(DRAWINGS["character"]) >= 6
    assert len(DRAWINGS["person"]) >= 6
    assert len(STYLES) >= 5
    assert len(MOTIONS) >= 6


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_seed_fixes_scene_picture_and_caption(seed: int) -> None:
    one, other = scene(seed), scene(seed)
    assert one == other
    np.testing.assert_array_equal(one.frame(0.3), other.frame(0.3))
    say = [caption(one, np.random.default_rng(seed)) for _ in range(2)]
    assert say[0] == say[1]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_subject_is_drawn_and_differs_from_every_other(subject: str) -> None:
    def drawn(name: str) -> np.ndarray:
        return scene(3, styles=["plain"], motions=["still"]).without(subject=name).frame(0.0)

    for other in (*SUBJECTS, *NAMELESS):
        if other != subject:
            difference = np.abs(drawn(subject).astype(int) - drawn(other)).max(axis=2)
            assert (difference > 40).sum() > 80, other


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_outside_the_mask_a_plain_scene_is_its_background(seed: int) -> None:
    one = scene(seed, styles=["plain"])
    empty = one.without(subject="nothing").frame(0.0)
    for frame, mask in zip(one.clip(), masks(one), strict=True):
        np.testing.assert_array_equal(frame[~mask], empty[~mask])


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_moves_the_subject_and_stays_in_the_picture(motion: str) -> None:
    for seed in range(8):
        seen = masks(scene(seed, motions=[motion], subjects=["pogo"]))
        assert len(seen) == FRAMES
        assert (seen[0] ^ seen[FRAMES // 4]).sum() > 20
        assert all(mask.sum() > 60 for mask in seen)


@pytest.mark.parametrize("motion", MOTIONS)
def test_clips_of_a_motion_show_the_same_few_poses(motion: str) -> None:
    def poses(seed: int) -> list[Pose]:
        one = scene(seed, motions=[motion])
        rest = Pose(one.x, one.y, one.radius)
        moved = [pose_at(rest, motion, i / (FRAMES - 1)) for i in range(FRAMES)]
        return [replace(pose, x=round(pose.x - one.x, 6)) for pose in moved]

    assert len(set(poses(0))) >= 4
    assert all(poses(seed) == poses(0) for seed in range(1, 20))


@pytest.mark.parametrize("style", STYLES)
def test_every_style_changes_the_picture_and_leaves_the_subject_legible(style: str) -> None:
    one = scene(5, subjects=["grolo"], styles=["plain"], motions=["still"], backgrounds=["green"])
    painted = one.without(style=style)
    assert np.abs(painted.frame(0).astype(int) - one.frame(0)).mean() > 8
    empty = painted.without(subject="nothing")
    visible = np.abs(painted.frame(0).astype(int) - empty.frame(0)).max(axis=2)
    assert visible[masks(one)[0]].mean() > 30


def test_an_unknown_style_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown style 'cubist'"):
        stylise(np.zeros((64, 64, 3), np.float32), "cubist")


def test_held_out_wordings_never_appear_in_training_captions() -> None:
    rng = np.random.default_rng(0)
    said = [caption(sample_scene(rng), rng) for _ in range(4000)]
    for phrases in HELD_OUT_WORDS.values():
        for phrase in phrases:
            assert not any(phrase in text for text in said), phrase
    assert not set(FORMS) & set(HELD_OUT_FORMS)
    assert not any(text.startswith(("look,", "a lovely little scene")) for text in said)


def test_a_caption_without_an_artist_means_plain() -> None:
    rng = np.random.default_rng(1)
    styled = [s for s in (sample_scene(rng) for _ in range(400)) if s.style != "plain"]
    assert styled
    for one in styled:
        said = caption(one, rng)
        assert any(words in said for words in STYLE_WORDS[one.style])


def test_everything_in_the_world_can_be_said() -> None:
    assert set(SUBJECT_WORDS) == {*SUBJECTS, *NAMELESS}
    assert set(STYLE_WORDS) == set(STYLES)
    assert set(MOTION_WORDS) == {*MOTIONS, "still"}
    said = compose("{s}{m}{p}{a}", "pogo", "bouncing", artist="by inkara")
    assert said == "pogo bouncing, by inkara"
    assert compose("a picture of {s}{m}{p}{a}", "pogo") == "a picture of pogo"
    assert set(PLACE_WORDS) == set(BACKGROUNDS)
    assert all(PLACE_WORDS.values())


@given(time=st.floats(0, 1))
def test_a_spinning_subject_is_never_seen_edge_on(time: float) -> None:
    assert abs(pose_at(Pose(32.0, 36.0, 20.0), "spinning", time).turn) >= EDGE
