"""Files that a checkpoint is read from, and files that are refused before they can do harm."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from encoders import EncoderInvalid
from encoders.digest import digest
from encoders.exchange import import_directory
from encoders.text_encoder import TextEncoder

from .conftest import nudged
from .test_untrusted import Bomb


def test_one_file_and_one_variant_are_read(text_encoder: TextEncoder, exported: Path) -> None:
    expected = import_directory(text_encoder, exported)
    variant = (exported / "model.safetensors").rename(exported / "model.fp16.safetensors")
    assert import_directory(text_encoder, variant).keys() == expected.keys()
    assert import_directory(text_encoder, exported).keys() == expected.keys()
    shutil.copy(variant, exported / "model.other.safetensors")
    with pytest.raises(EncoderInvalid, match=r"holds no model\.safetensors .*model\.fp16"):
        import_directory(text_encoder, exported)


@pytest.fixture
def pickled(exported: Path) -> Path:
    """Store `exported` as a pickle, the format of older checkpoints."""
    file = exported / "model.safetensors"
    torch.save(load_file(file), exported / "pytorch_model.bin")
    file.unlink()
    return exported


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_is_read_only_if_it_is_asked_for(
    text_encoder: TextEncoder, pickled: Path, legacy: bool
) -> None:
    file = pickled / "pytorch_model.bin"
    if legacy:
        torch.save(torch.load(file), file, _use_new_zipfile_serialization=False)
    for path in (pickled, file):
        with pytest.raises(EncoderInvalid, match=r"is a pickle: .* --allow-pickle"):
            import_directory(text_encoder, path)
        back = import_directory(text_encoder, path, allow_pickle=True)
        expected = digest(text_encoder.parameters(), nudged(text_encoder))
        assert digest(text_encoder.parameters(), back) == expected


def test_safetensors_are_read_rather_than_a_pickle(
    text_encoder: TextEncoder, exported: Path
) -> None:
    (exported / "pytorch_model.bin").write_bytes(b"never looked at")
    assert import_directory(text_encoder, exported, allow_pickle=True)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_holds_code_is_refused_and_not_run(
    text_encoder: TextEncoder, pickled: Path, tmp_path: Path, legacy: bool
) -> None:
    file, ran = pickled / "pytorch_model.bin", tmp_path / "ran"
    content = {**torch.load(file), "bomb": Bomb(ran)}
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    for allow, message in ((False, "--allow-pickle"), (True, "of tensors and nothing else")):
        with pytest.raises(EncoderInvalid, match=message):
            import_directory(text_encoder, pickled, allow_pickle=allow)
    assert not ran.exists()
    torch.load(file, weights_only=False)
    assert ran.exists()  # it would have been


@pytest.mark.parametrize("content", [[1], {"state_dict": {"a": torch.ones(1)}}, torch.ones(1)])
def test_a_pickle_of_anything_but_named_tensors_is_refused(
    text_encoder: TextEncoder, pickled: Path, content: Any
) -> None:
    torch.save(content, pickled / "pytorch_model.bin")
    with pytest.raises(EncoderInvalid, match="something other than tensors by name"):
        import_directory(text_encoder, pickled, allow_pickle=True)


@pytest.mark.parametrize("pickle", [False, True])
def test_a_truncated_file_is_refused_wherever_it_was_cut(
    text_encoder: TextEncoder, exported: Path, pickle: bool
) -> None:
    file = exported / "model.safetensors"
    if pickle:
        file = exported / "pytorch_model.bin"
        torch.save(load_file(exported / "model.safetensors"), file)
        (exported / "model.safetensors").unlink()
    data = file.read_bytes()
    for length in (0, 1, 7, 8, 100, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(EncoderInvalid, match=f"{file.name} is not a"):
            import_directory(text_encoder, exported, allow_pickle=True)


def test_a_path_that_leads_nowhere_is_refused(text_encoder: TextEncoder, tmp_path: Path) -> None:
    with pytest.raises(EncoderInvalid, match="no directory or file"):
        import_directory(text_encoder, tmp_path / "nowhere")
    with pytest.raises(EncoderInvalid, match=r"it holds: nothing"):
        import_directory(text_encoder, tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(EncoderInvalid, match=r"no \.safetensors file"):
        import_directory(text_encoder, tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"weight_map": {"a": "../secret.safetensors"}}', "no file beside it"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "no file beside it"),
        ('{"weight_map": {"a": "config.json"}}', "no file beside it"),
        ('{"weight_map": {"a": "model-2.safetensors"}}', "is missing"),
        ('{"weight_map": {"a": "evil.bin"}}', "is a pickle"),
    ],
)
def test_an_index_leads_to_no_other_file(
    text_encoder: TextEncoder, exported: Path, index: str, message: str
) -> None:
    (exported / "model.safetensors").rename(exported.parent / "secret.safetensors")
    (exported / "evil.bin").write_bytes(b"")
    (exported / "model.safetensors.index.json").write_text(index)
    with pytest.raises(EncoderInvalid, match=message):
        import_directory(text_encoder, exported)
