"""The zero-shot CLIP judge: against plain transformers, what it weighs, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from encoders import Concept, EncoderRef
from tests.unlearn.clip_help import COLOUR_BOOK, COLOURS, NO_BOOK, noise, of_colour, seeing_dir
from unlearn.judges.base import UnknownConcept
from unlearn.judges.clip import BATCH, THRESHOLD, ClipJudge
from unlearn.judges.clip_prompts import TEMPLATES, labels_for
from unlearn.judges.clip_views import VIEWS, views
from unlearn.trial.probes import NothingToJudge, judging_plan
from video.capabilities import Capabilities
from video.models.default_prompts import CONCEPTS
from video.models.prompt_book import read_prompts

__all__ = ["seeing_dir"]

TEXTS = ["a photo of a balloon.", "a picture.", "pogo in a meadow", "a zebra"]


@pytest.fixture(scope="module")
def judge(tiny_clip_dir: Path) -> ClipJudge:
    return ClipJudge.load(tiny_clip_dir, NO_BOOK)


# Against plain transformers


def test_equals_a_plain_forward_of_the_same_texts_and_images(
    judge: ClipJudge, tiny_clip_dir: Path
) -> None:
    frames = noise(3, 40, 60)
    processor = CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(tiny_clip_dir),
        CLIPTokenizer.from_pretrained(tiny_clip_dir),
    )
    images = [Image.fromarray(frame) for frame in frames]
    inputs = processor(text=TEXTS, images=images, padding=True, return_tensors="pt")
    with torch.no_grad():
        plain = CLIPModel.from_pretrained(tiny_clip_dir).eval()(**inputs)
    ours = judge.probabilities(frames, [(text,) for text in TEXTS])
    np.testing.assert_allclose(ours, plain.logits_per_image.softmax(-1), atol=1e-5)
    assert ours.std(0).max() > 1e-4  # three frames are not one and the same


def test_frames_are_prepared_as_clips_were_trained_by_pil(
    judge: ClipJudge, tiny_clip_dir: Path
) -> None:
    """Spell out what stock processors do without torchvision.

    They scale the shortest side to 32 by bicubic interpolation, crop the middle square, and
    normalise with CLIP's mean and deviation.
    """
    frames = noise(2, 40, 60)
    pixels = []
    for frame in frames:
        small = Image.fromarray(frame).resize((48, 32), Image.Resampling.BICUBIC)
        middle = np.asarray(small.crop((8, 0, 40, 32)), np.float32) / 255
        mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        pixels.append((middle - np.float32(mean)) / np.float32(deviation))
    values = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    tokens = CLIPTokenizer.from_pretrained(tiny_clip_dir)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        clip = CLIPModel.from_pretrained(tiny_clip_dir).eval()
        plain = clip(**tokens, pixel_values=values).logits_per_image.softmax(-1)
    ours = judge.probabilities(frames, [(text,) for text in TEXTS])
    np.testing.assert_allclose(ours, plain, atol=1e-5)


def test_a_label_is_the_unit_mean_of_its_sentences_unit_embeddings(
    judge: ClipJudge, tiny_clip_dir: Path
) -> None:
    clip = CLIPModel.from_pretrained(tiny_clip_dir).eval()
    tokenizer = CLIPTokenizer.from_pretrained(tiny_clip_dir)
    frames = noise(2)
    inputs = CLIPImageProcessorPil.from_pretrained(tiny_clip_dir)(
        list(frames), return_tensors="pt", input_data_format="channels_last"
    )
    with torch.no_grad():
        each = [
            clip.get_text_features(**tokenizer(text, return_tensors="pt")).pooler_output[0]
            for text in TEXTS
        ]
        each = [vector / vector.norm() for vector in each]
        mean = each[0] + each[1] + each[2]
        labels = torch.stack([mean / mean.norm(), each[3]])
        images = functional.normalize(clip.get_image_features(**inputs).pooler_output, dim=-1)
        expected = (clip.logit_scale.exp() * images @ labels.T).softmax(-1)
    ours = judge.probabilities(frames, [tuple(TEXTS[:3]), (TEXTS[3],)])
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_many_frames_are_read_in_batches_that_do_not_show(judge: ClipJudge) -> None:
    frames, labels = noise(2 * BATCH + 3), [(text,) for text in TEXTS]
    whole = judge.probabilities(frames, labels)
    assert whole.shape == (2 * BATCH + 3, 4)
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(whole[-1:], judge.probabilities(frames[-1:], labels), atol=1e-5)


def test_a_label_is_embedded_once(judge: ClipJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    of_text = judge._model.get_text_features
    monkeypatch.setattr(
        judge._model,
        "get_text_features",
        lambda **tokens: calls.append(len(tokens["input_ids"])) or of_text(**tokens),
    )
    judge.shows(noise(1), "giraffe", "object")
    first = len(calls)
    assert first > 0
    judge.shows(noise(2), "giraffe", "object")
    assert len(calls) == first
    judge.shows(noise(1), "ostrich", "object")
    assert calls[first:] == [len(TEMPLATES["object"])]  # its own label; the others are there


# What it can tell


def test_it_tells_right_from_wrong(seeing_dir: Path) -> None:
    judge = ClipJudge.load(seeing_dir, COLOUR_BOOK)
    for colour in COLOURS:
        frames = of_colour(colour, 12, seed=2)
        for concept in ("red", "blue"):
            shown = judge.shows(frames, concept, "object")
            assert shown == [colour == concept] * 12, (colour, concept)
    mixed = np.concatenate([of_colour(c, 1, seed=3) for c in ("red", "grey", "blue", "red")])
    assert judge.shows(mixed, "red", "object") == [True, False, False, True]


def test_a_concept_must_outweigh_all_others_together_in_some_view(judge: ClipJudge) -> None:
    frames = noise(8)
    labels = labels_for("giraffe", "object", judge.labels["object"], NO_BOOK)
    likely = judge.probabilities(views(frames), labels)[:, 0].reshape(8, VIEWS)
    assert judge.shows(frames, "giraffe", "object") == (likely.max(1) >= THRESHOLD).tolist()
    assert THRESHOLD >= 0.5  # below, a frame could show two concepts that exclude each other


# What it knows


def test_it_offers_the_books_concepts_and_everyday_ones_where_it_has_none(
    tiny_clip_dir: Path, judge: ClipJudge
) -> None:
    assert judge.labels == {kind: list(CONCEPTS[kind]) for kind in TEMPLATES}
    with_book = ClipJudge.load(tiny_clip_dir, COLOUR_BOOK)
    assert with_book.labels["object"] == ["red", "blue"]
    assert with_book.labels["style"] == list(CONCEPTS["style"])
    for kind, names in judge.labels.items():
        assert names
        assert all(judge.knows(name, kind) for name in names)


@settings(deadline=None, max_examples=50)
@given(concept=st.text(max_size=100), kind=st.sampled_from(sorted(TEMPLATES)))
def test_it_answers_for_whatever_it_says_it_knows(
    judge: ClipJudge, concept: str, kind: str
) -> None:
    frames = noise(1)
    if judge.knows(concept, kind):  # type: ignore[arg-type]
        assert len(judge.shows(frames, concept, kind)) == 1  # type: ignore[arg-type]
    else:
        with pytest.raises(UnknownConcept):
            judge.shows(frames, concept, kind)  # type: ignore[arg-type]


def test_motions_and_names_beyond_its_context_are_refused(judge: ClipJudge) -> None:
    assert not judge.knows("bouncing", "motion")
    assert "motion" not in judge.labels
    with pytest.raises(UnknownConcept, match="single frames") as refused:
        judge.shows(noise(2), "bouncing", "motion")
    assert refused.value.param == "concept"
    assert judge.knows("x" * 40, "object")
    with pytest.raises(UnknownConcept, match="tokens; this CLIP reads 77"):
        judge.shows(noise(1), "x" * 90, "object")
    for name in ("", "  "):
        with pytest.raises(UnknownConcept, match="name"):
            judge.shows(noise(1), name, "object")


def test_frames_of_another_sort_are_refused(judge: ClipJudge) -> None:
    for frames in (noise(1).astype(np.float32), noise(1)[0], noise(1)[..., :2], noise(0)):
        with pytest.raises(ValueError, match=r"uint8|empty"):
            judge.shows(frames, "zebra", "object")


def test_a_plan_takes_any_concept_and_says_what_it_cannot_judge(
    judge: ClipJudge, tiny_backbone_dir: Path
) -> None:
    def plan(concept: str, kind: str) -> set[str]:
        probes = judging_plan(
            [Concept(name=concept, kind=kind)],  # type: ignore[arg-type]
            encoder=EncoderRef("x", "sha256:" + "0" * 64),
            judge=judge,
            book=read_prompts(tiny_backbone_dir),
            capabilities=Capabilities(64, 64, 16),
        ).probes
        assert {probe.concept for probe in probes if probe.is_target} == {concept}
        return {probe.concept for probe in probes if not probe.is_target}

    assert {"car", "Pikachu", "Rembrandt"} <= plan("zebra", "object")
    assert "car" not in plan("car", "object")
    with pytest.raises(NothingToJudge, match="it knows no motion at all"):
        plan("bouncing", "motion")
