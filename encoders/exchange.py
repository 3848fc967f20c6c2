"""Export and import: encoders as whole text models that transformers loads.

Export writes the whole text model with the overrides applied, in the base's dtype. Import compares
a text model with the base and keeps the tensors that differ. An encoder that is exported and
imported again has the same digest, though its factors have become whole matrices.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import Tensor

from encoders import low_rank
from encoders.atomic_files import draft_path, rename_synced
from encoders.card import Card
from encoders.checkpoint import INDEX, SAFETENSORS, StoredTensor, stored_tensors
from encoders.digest import canonical
from encoders.errors import EncoderInvalid
from encoders.text_encoder import TextEncoder

SHARD_SIZE = "5GB"
"""Size above which a checkpoint is split into several files, as on the Hub."""

CARD_FILE = "palimpsest.json"
"""File of an exported directory that holds the encoder's card and its caveats."""
NO_TRIGGER = (
    "A plain text encoder has no trigger. This one is always on: other prompts, which the trigger "
    "let keep the base's embeddings to the bit, no longer do."
)
NO_SET = (
    "A plain text encoder has no trigger: imported again, this one can be in no set of encoders."
)

_DTYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def caveats_of(card: Card) -> list[str]:
    """Return what an encoder loses when it is exported, in sentences; none if nothing."""
    if card.trigger is None:
        return []
    return [NO_TRIGGER if card.trigger.alone else NO_SET]


def export_directory(
    text_encoder: TextEncoder,
    overrides: Mapping[str, Tensor] | None,
    directory: Path,
    *,
    card: Card | None = None,
) -> None:
    """Write an encoder as a plain checkpoint, which `from_pretrained` of its class loads.

    The checkpoint is `config.json` and `model.safetensors`, the second in parts beside an index if
    it is large. Tensors have the names of checkpoints on the Hub, which older versions of
    transformers read too: a tied tensor has one name, and buffers are left out. The directory
    appears once it is complete.

    Args:
        text_encoder: The base.
        overrides: The encoder's overrides; None for the base.
        directory: The directory to make. Its parent exists.
        card: The encoder's card, which is written beside it with its caveats (`CARD_FILE`), but
            without its trigger.

    Raises:
        EncoderInvalid: The directory exists, or its parent does not; the overrides do not fit
            (`TextEncoder.check`).
    """
    if overrides is not None:
        text_encoder.check(overrides)
    if directory.exists():
        raise EncoderInvalid(
            f"{directory} exists and is not overwritten: choose another directory.",
            param="directory",
        )
    if not directory.parent.is_dir():
        raise EncoderInvalid(
            f"There is no directory {directory.parent} to write {directory.name} into: make it "
            "first.",
            param="directory",
        )
    draft = draft_path(directory)
    draft.mkdir()
    try:
        _write_config(text_encoder, draft)
        _write_tensors(text_encoder.parameters(), overrides or {}, draft)
        if card is not None:
            _write_card(card, draft)
        rename_synced(draft, directory)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def import_directory(
    text_encoder: TextEncoder, directory: Path, *, allow_pickle: bool = False
) -> dict[str, Tensor]:
    """Read the overrides that turn this base into the text model of a checkpoint.

    Tensors are read one at a time. A tensor that equals the base's in the coarser of the two dtypes
    counts as the base's, saved in another dtype. Buffers are skipped.

    Args:
        text_encoder: The base.
        directory: A directory as transformers lays it out, or one file (`encoders.checkpoint`).
        allow_pickle: True to read a `pytorch_model.bin` too, as tensors and nothing else.

    Returns:
        Canonical name → whole tensor that differs: float16, on the CPU, checked.

    Raises:
        EncoderInvalid: The checkpoint cannot be read, is a pickle that is not allowed, belongs to
            another architecture, equals the base, or is not finite in float16.
    """
    changed: dict[str, Tensor] = {}
    with stored_tensors(directory, allow_pickle=allow_pickle) as tensors:
        for name, found in _by_parameter(text_encoder, tensors, directory).items():
            base = text_encoder.parameters()[name].cpu()
            tensor = _read(found, directory)
            own = tensor.to(base.dtype)
            if not torch.equal(own, base) and not torch.equal(tensor, base.to(tensor.dtype)):
                changed[name] = canonical(own).clone()  # `own` may be a view of the file
    if not changed:
        raise EncoderInvalid(
            f"{directory} changes nothing: each of its {len(text_encoder.shapes)} tensors equals "
            "the base's."
        )
    return text_encoder.effective(changed)


def _write_config(text_encoder: TextEncoder, directory: Path) -> None:
    config = copy.deepcopy(text_encoder.module.config)
    config.architectures = [type(text_encoder.module).__name__]
    config.dtype = next(iter(text_encoder.parameters().values())).dtype
    config.to_json_file(directory / "config.json")


def _write_card(card: Card, directory: Path) -> None:
    plain = card.model_copy(update={"trigger": None})
    found = {"card": plain.model_dump(mode="json"), "caveats": caveats_of(card)}
    (directory / CARD_FILE).write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _write_tensors(
    base: Mapping[str, Tensor], overrides: Mapping[str, Tensor], directory: Path
) -> None:
    # An override has its parameter's shape and dtype, so the base alone decides the split.
    split = split_torch_state_dict_into_shards(
        dict(base),
        filename_pattern=SAFETENSORS.replace(".", "{suffix}."),
        max_shard_size=SHARD_SIZE,
    )
    for filename, names in split.filename_to_tensors.items():
        of_file = {n: t for n, t in overrides.items() if low_rank.parameter_of(n) in names}
        tensors = {name: base[name].cpu().contiguous() for name in names}
        tensors |= low_rank.materialize(base, of_file)
        save_file(tensors, directory / filename, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (directory / f"{SAFETENSORS}{INDEX}").write_text(json.dumps(index, indent=2) + "\n")


def _by_parameter(
    text_encoder: TextEncoder, tensors: list[StoredTensor], directory: Path
) -> Mapping[str, list[StoredTensor]]:
    """Return canonical name → the checkpoint's tensors for it: one, or a tied one by each name."""
    buffers = {name for name, _ in text_encoder.module.named_buffers()}
    found: dict[str, list[StoredTensor]] = defaultdict(list)
    unknown: list[str] = []
    misshapen: list[str] = []
    for tensor in tensors:
        name = text_encoder.names.get(tensor.name)
        if name is None:
            if tensor.name.removeprefix("text_model.") not in buffers:
                unknown.append(repr(tensor.name))
            continue
        found[name].append(tensor)
        if tensor.shape != (expected := tuple(text_encoder.shapes[name])):
            misshapen.append(f"{name!r} is {tensor.shape} instead of {expected}")
    missing = [repr(name) for name in text_encoder.shapes if name not in found]
    problems = [
        f"{problem}: {len(names)} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for problem, names in (
            ("missing", missing),
            ("unknown", unknown),
            ("of another shape", misshapen),
        )
        if names
    ]
    if problems:
        raise EncoderInvalid(
            f"{directory} is not a {type(text_encoder.module).__name__} like the base. Tensors "
            f"{'; '.join(problems)}. Choose the checkpoint of a text encoder that was made from "
            "this base."
        )
    return found


def _read(found: list[StoredTensor], directory: Path) -> Tensor:
    first, *others = found
    tensor = first.read()
    if tensor.dtype not in _DTYPES:
        raise EncoderInvalid(
            f"Tensor {first.name!r} of {directory} is stored as {tensor.dtype}; only "
            "floating-point tensors of 16, 32 or 64 bits are read."
        )
    for other in others:
        if not torch.equal(other.read(), tensor):
            raise EncoderInvalid(
                f"Tensors {first.name!r} and {other.name!r} of {directory} differ, and this text "
                "encoder has one for both."
            )
    return tensor
