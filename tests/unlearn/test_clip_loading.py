"""Loading of CLIP judges: from a directory or the Hub, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from tests import tiny
from unlearn.judges.base import JudgeInvalid
from unlearn.judges.classifier import ClassifierJudge
from unlearn.judges.clip import ClipJudge
from unlearn.judges.clip_files import MAX_WEIGHTS_BYTES
from unlearn.judges.files import MAX_FILE_BYTES
from unlearn.judges.load import load_judge
from video.models.prompt_book import PromptBook

NO_BOOK = PromptBook()


@pytest.fixture
def copy(tiny_clip_dir: Path, tmp_path: Path) -> Path:
    """Copy a CLIP directory, for a test to spoil."""
    return Path(shutil.copytree(tiny_clip_dir, tmp_path / "clip"))


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
    tensors = load_file(directory / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})


def _not_finite(directory: Path) -> None:
    _resave(directory, lambda clip: clip.text_projection.weight.data[0].fill_(torch.nan))


def _another_type(directory: Path) -> None:
    tiny._edit(directory / "config.json", model_type="siglip")


def _another_tokenizer(directory: Path) -> None:
    """Save the three tokens that transformers makes of a directory without a vocabulary."""
    CLIPTokenizer().save_pretrained(directory)


def _another_size(directory: Path) -> None:
    file = directory / "preprocessor_config.json"
    tiny._edit(file, crop_size={"height": 24, "width": 24})


def _missing(*names: str) -> Callable[[Path], None]:
    return lambda directory: [(directory / name).unlink() for name in names] and None


def _huge(name: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        with (directory / name).open("r+b") as file:  # a hole, that takes no room on the disk
            limit = MAX_WEIGHTS_BYTES if name.endswith(".safetensors") else MAX_FILE_BYTES
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
    judge = load_judge("someone/clip", NO_BOOK)
    assert isinstance(judge, ClipJudge)
    assert judge.identity.name == "CLIP someone/clip"
    for name in ("someone/else", str(tmp_path / "nowhere"), "../clip"):
        with pytest.raises(
            JudgeInvalid, match="no installed judge, and cannot be fetched"
        ) as refused:
            load_judge(name, NO_BOOK)
        assert repr(name) in str(refused.value)


def test_the_identity_is_of_the_files_and_the_book(tiny_clip_dir: Path, copy: Path) -> None:
    first = ClipJudge.load(tiny_clip_dir, NO_BOOK).identity
    assert str(first) == f"CLIP {tiny_clip_dir.name} 2"
    assert ClipJudge.load(copy, NO_BOOK).identity.hash == first.hash
    other_book = PromptBook(concepts={"object": {"tree": ()}})
    assert ClipJudge.load(copy, other_book).identity.hash != first.hash
    _resave(copy, lambda clip: clip.logit_scale.data.add_(1))
    assert ClipJudge.load(copy, NO_BOOK).identity.hash != first.hash


def test_a_processors_own_layout_is_read_too(tiny_clip_dir: Path, tmp_path: Path) -> None:
    """`CLIPProcessor.save_pretrained` nests the image processor's settings."""
    CLIPModel.from_pretrained(tiny_clip_dir).save_pretrained(tmp_path)
    CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(tiny_clip_dir),
        CLIPTokenizer.from_pretrained(tiny_clip_dir),
    ).save_pretrained(tmp_path)
    assert "image_processor" in json.loads((tmp_path / "processor_config.json").read_bytes())
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), dtype=np.uint8)
    labels = [("a picture.",), ("pogo in a meadow",)]
    np.testing.assert_array_equal(
        ClipJudge.load(tmp_path, NO_BOOK).probabilities(frames, labels),
        ClipJudge.load(tiny_clip_dir, NO_BOOK).probabilities(frames, labels),
    )
