"""The zero-shot CLIP judge: against plain transformers, what it weighs, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from encoders import Concept
from tests import tiny
from unlearn.clip_judge import BATCH, THRESHOLD, ClipJudge
from unlearn.clip_prompts import EVERYDAY, PLAIN, TEMPLATES, label, labels_for
from unlearn.judge import MAX_FILE_BYTES, ClassifierJudge, JudgeInvalid, UnknownConcept, load_judge
from unlearn.judging import NothingToJudge, judging_plan
from video.backbone import Limits, PromptBook, read_prompts

NO_BOOK = PromptBook()
TEXTS = ["a photo of a balloon.", "a picture.", "pogo in a meadow", "a zebra"]
COLOURS = {"red": (220, 20, 30), "blue": (20, 40, 220), "grey": (128, 128, 128)}
COLOUR_BOOK = PromptBook(concepts={"object": {"red": (), "blue": ()}})


@pytest.fixture(scope="module")
def judge(tiny_clip_dir: Path) -> ClipJudge:
    return ClipJudge.load(tiny_clip_dir, NO_BOOK)


@pytest.fixture
def copy(tiny_clip_dir: Path, tmp_path: Path) -> Path:
    """A CLIP directory to spoil."""
    return Path(shutil.copytree(tiny_clip_dir, tmp_path / "clip"))


def noise(frames: int, height: int = 32, width: int = 32) -> np.ndarray:
    shape = (frames, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def of_colour(colour: str, frames: int, seed: int) -> np.ndarray:
    """Frames of a colour, each a little off it and grainy."""
    rng = np.random.default_rng(seed)
    shade = COLOURS[colour] + rng.normal(0, 6, (frames, 1, 1, 3))
    return np.clip(shade + rng.normal(0, 8, (frames, 40, 56, 3)), 0, 255).astype(np.uint8)


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
    """Shortest side to 32 by bicubic, the middle square, CLIP's mean and deviation: what stock
    processors do without torchvision, written out."""
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


@pytest.fixture(scope="module")
def seeing_dir(tiny_clip_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny CLIP with its two projections and its scale fitted to tell red, blue and grey frames
    apart, and saved again."""
    directory = tmp_path_factory.mktemp("seeing")
    shutil.copytree(tiny_clip_dir, directory, dirs_exist_ok=True)
    clip = CLIPModel.from_pretrained(directory).eval().requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(directory)
    processor = CLIPImageProcessorPil.from_pretrained(directory)
    wanted = [clip.visual_projection.weight, clip.text_projection.weight, clip.logit_scale]
    for parameter in wanted:
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(wanted, lr=0.02)
    labels = labels_for("red", "object", ["blue"], COLOUR_BOOK)
    red, thing, plain, blue = range(4)
    assert labels[plain] == PLAIN
    assert "a photo of a thing." in labels[thing]
    frames = np.concatenate([of_colour(colour, 16, seed=1) for colour in COLOURS])
    # A grey frame is as much a thing as a picture.
    goal = torch.zeros(48, 4)
    goal[:16, red] = goal[16:32, blue] = 1
    goal[32:, [thing, plain]] = 0.5
    pixels = processor(list(frames), return_tensors="pt", input_data_format="channels_last")
    tokens = [tokenizer(list(each), padding=True, return_tensors="pt") for each in labels]
    for _ in range(60):
        texts = torch.stack(
            [
                functional.normalize(clip.get_text_features(**each).pooler_output, dim=-1).mean(0)
                for each in tokens
            ]
        )
        images = clip.get_image_features(**pixels).pooler_output
        cosines = functional.normalize(images, dim=-1) @ functional.normalize(texts, dim=-1).T
        loss = functional.cross_entropy(clip.logit_scale.exp() * cosines, goal)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    clip.save_pretrained(directory)
    return directory


def test_it_tells_right_from_wrong(seeing_dir: Path) -> None:
    judge = ClipJudge.load(seeing_dir, COLOUR_BOOK)
    for colour in COLOURS:
        frames = of_colour(colour, 12, seed=2)
        for concept in ("red", "blue"):
            shown = judge.shows(frames, concept, "object")
            assert shown == [colour == concept] * 12, (colour, concept)
    mixed = np.concatenate([of_colour(c, 1, seed=3) for c in ("red", "grey", "blue", "red")])
    assert judge.shows(mixed, "red", "object") == [True, False, False, True]


def test_a_concept_must_outweigh_all_others_together(judge: ClipJudge) -> None:
    frames = noise(8)
    labels = labels_for("giraffe", "object", judge.labels["object"], NO_BOOK)
    shown = judge.probabilities(frames, labels)[:, 0] >= THRESHOLD
    assert judge.shows(frames, "giraffe", "object") == shown.tolist()
    assert THRESHOLD >= 0.5  # below, a frame could show two concepts that exclude each other


# What it knows


def test_a_label_is_weighed_against_the_neutral_and_the_others_of_its_kind() -> None:
    labels = labels_for("zebra", "object", ["car", "tree"], NO_BOOK)
    assert labels == [
        label(["zebra"], "object"),
        label(["a thing"], "object"),
        PLAIN,
        label(["car"], "object"),
        label(["tree"], "object"),
    ]
    assert "a photo of a zebra." in labels[0]
    assert "a picture." in PLAIN


def test_a_style_is_weighed_against_the_same_sentences_without_it() -> None:
    labels = labels_for("van Gogh", "style", ["Claude Monet"], NO_BOOK)
    assert labels == [label(["van Gogh"], "style"), PLAIN, label(["Claude Monet"], "style")]
    assert "a painting, in the style of van Gogh." in labels[0]


@pytest.mark.parametrize(
    ("concept", "other"),
    [("van Gogh", "Vincent van Gogh"), ("Vincent van Gogh", "van gogh"), ("Car", "car")],
)
def test_what_shares_its_name_is_no_alternative(concept: str, other: str) -> None:
    assert len(labels_for(concept, "style", [other], NO_BOOK)) == 2
    assert len(labels_for(concept, "style", ["cartoonish"], NO_BOOK)) == 3


def test_the_books_names_and_words_are_used() -> None:
    book = PromptBook(
        generic={"character": "a beast"},
        concepts={"character": {"pogo": ("purple robot",), "blip": ()}},
    )
    mine, generic, _, other = labels_for("pogo", "character", ["blip"], book)
    assert {"a cartoon of pogo.", "a cartoon of the purple robot."} <= set(mine)
    assert "a cartoon of a beast." in generic
    assert "a cartoon of blip." in other
    # A name the book knows the concept by is no alternative to it either.
    assert labels_for("pogo", "character", ["purple robot"], book)[2:] == [PLAIN]


def test_it_offers_the_books_concepts_and_everyday_ones_where_it_has_none(
    tiny_clip_dir: Path, judge: ClipJudge
) -> None:
    assert judge.labels == {kind: list(names) for kind, names in EVERYDAY.items()}
    with_book = ClipJudge.load(tiny_clip_dir, COLOUR_BOOK)
    assert with_book.labels["object"] == ["red", "blue"]
    assert with_book.labels["style"] == list(EVERYDAY["style"])
    for kind, names in judge.labels.items():
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
        with pytest.raises(ValueError, match="uint8"):
            judge.shows(frames, "zebra", "object")


def test_a_plan_takes_any_concept_and_says_what_it_cannot_judge(
    judge: ClipJudge, tiny_backbone_dir: Path
) -> None:
    def plan(concept: str, kind: str) -> set[str]:
        probes = judging_plan(
            [Concept(name=concept, kind=kind)],  # type: ignore[arg-type]
            encoder=("x", "sha256:" + "0" * 64),
            judge=judge,
            book=read_prompts(tiny_backbone_dir),
            limits=Limits(64, 64, 16),
        ).probes
        assert {probe.concept for probe in probes if probe.is_target} == {concept}
        return {probe.concept for probe in probes if not probe.is_target}

    assert {"car", "Pikachu", "Rembrandt"} <= plan("zebra", "object")
    assert "car" not in plan("car", "object")
    with pytest.raises(NothingToJudge, match="it knows no motion at all"):
        plan("bouncing", "motion")


# What it loads


def test_judges_are_told_apart_by_their_config(
    tiny_clip_dir: Path, tiny_backbone_dir: Path, tmp_path: Path
) -> None:
    assert isinstance(load_judge(tiny_clip_dir, NO_BOOK), ClipJudge)
    assert isinstance(load_judge(str(tiny_backbone_dir / "judge"), NO_BOOK), ClassifierJudge)
    with pytest.raises(JudgeInvalid, match=r"config\.json is missing"):
        load_judge(tmp_path, NO_BOOK)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(JudgeInvalid, match="no JSON object"):
        load_judge(tmp_path, NO_BOOK)


def _pickle(directory: Path) -> None:
    weights = directory / "model.safetensors"
    torch.save(CLIPModel.from_pretrained(directory).state_dict(), directory / "pytorch_model.bin")
    weights.unlink()


def _pickle_in_disguise(directory: Path) -> None:
    torch.save({"logit_scale": torch.ones(())}, directory / "model.safetensors")


def _truncate(directory: Path) -> None:
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _resave(directory: Path, change: Callable[[CLIPModel], object]) -> None:
    clip = CLIPModel.from_pretrained(directory)
    change(clip)
    clip.save_pretrained(directory)


def _lack_a_tensor(directory: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(directory / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})


def _not_finite(directory: Path) -> None:
    _resave(directory, lambda clip: clip.text_projection.weight.data[0].fill_(torch.nan))


def _another_type(directory: Path) -> None:
    tiny._edit(directory / "config.json", model_type="siglip")


def _another_tokenizer(directory: Path) -> None:
    """What transformers makes of a directory without a vocabulary: three tokens."""
    CLIPTokenizer().save_pretrained(directory)


def _another_size(directory: Path) -> None:
    file = directory / "preprocessor_config.json"
    tiny._edit(file, crop_size={"height": 24, "width": 24})


def _missing(*names: str) -> Callable[[Path], None]:
    return lambda directory: [(directory / name).unlink() for name in names] and None


def _huge(name: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        with (directory / name).open("r+b") as file:  # a hole, that takes no room on the disk
            limit = 12 * 2**30 if name.endswith(".safetensors") else MAX_FILE_BYTES
            file.truncate(limit + 1)

    return change


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_missing("config.json"), "config.json is missing"),
        (_missing("preprocessor_config.json"), "lacks preprocessor_config.json"),
        (_missing("tokenizer.json", "vocab.json"), "lacks tokenizer.json or vocab.json"),
        (_missing("model.safetensors"), "lacks model.safetensors"),
        (_pickle, "lacks model.safetensors"),
        (_pickle_in_disguise, "cannot be used"),
        (_truncate, "cannot be used"),
        (_lack_a_tensor, "visual_projection.weight"),
        (_not_finite, "text_projection.weight holds values that are not finite"),
        (_another_type, "is a 'siglip', not a 'clip'"),
        (_another_tokenizer, "its tokenizer has"),
        (_another_size, "cannot be used"),
        (_huge("model.safetensors"), "larger than"),
        (_huge("tokenizer.json"), "larger than"),
    ],
)
def test_what_is_not_a_whole_clip_is_refused(
    copy: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(copy)
    with pytest.raises(JudgeInvalid, match=says):
        ClipJudge.load(copy, NO_BOOK)


def test_what_is_no_directory_is_an_id_of_the_hub(
    tiny_clip_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, with one CLIP in the Hub's cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    cached = tmp_path / "models--someone--clip"
    shutil.copytree(tiny_clip_dir, cached / "snapshots" / ("0" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    assert isinstance(load_judge("someone/clip", NO_BOOK), ClipJudge)
    for name in ("someone/else", str(tmp_path / "nowhere"), "../clip"):
        with pytest.raises(JudgeInvalid, match="is no directory, and cannot be had") as refused:
            load_judge(name, NO_BOOK)
        assert repr(name) in str(refused.value)


def test_a_processors_own_layout_is_read_too(tiny_clip_dir: Path, tmp_path: Path) -> None:
    """`CLIPProcessor.save_pretrained` nests the image processor's settings."""
    CLIPModel.from_pretrained(tiny_clip_dir).save_pretrained(tmp_path)
    CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(tiny_clip_dir),
        CLIPTokenizer.from_pretrained(tiny_clip_dir),
    ).save_pretrained(tmp_path)
    assert "image_processor" in json.loads((tmp_path / "processor_config.json").read_bytes())
    labels = [(text,) for text in TEXTS]
    np.testing.assert_array_equal(
        ClipJudge.load(tmp_path, NO_BOOK).probabilities(noise(2), labels),
        ClipJudge.load(tiny_clip_dir, NO_BOOK).probabilities(noise(2), labels),
    )
