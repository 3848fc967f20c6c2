"""Image twin: an image model with the same text encoder, or the video model at one frame.

Unlearning trains the text encoder against the twin. The result holds for the video model because
both have the same text encoder, which is verified here, tensor by tensor.
"""

from __future__ import annotations

from pathlib import Path

import torch

from encoders import EncoderInvalid
from encoders.checkpoint import stored_tensors
from encoders.digest import canonical
from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles
from video.errors import BackboneInvalid
from video.families import FAMILIES
from video.families.options import SELF, Options
from video.families.protocol import TWINS, twin_module
from video.models.denoiser import Denoiser, OneFrame

FLOAT16_SMALLEST = 2.0**-24
"""Smallest positive number of float16, and the largest error of a tiny number stored in it."""
FOLDERS = ("unet", "transformer", "vae", "scheduler", "text_encoder")
"""Component folders of any twin; others are not fetched."""


def load_chosen_twin(
    files: ModelFiles, video: Denoiser, text_encoder: TextEncoder, options: Options
) -> Denoiser:
    """Load the twin that the options name, or the family's usual one.

    Raises:
        BackboneInvalid: as `load_twin`; for the usual one it also names the alternatives.
    """
    if options.twin is not None:
        return load_twin(options.twin, video, text_encoder, options)
    usual = next(str(family.twin) for family in FAMILIES if family.holds(files.index))
    try:
        return load_twin(usual, video, text_encoder, options)
    except BackboneInvalid as error:
        raise BackboneInvalid(
            f"The image twin of this family, {usual}, cannot be had. {error} Or set "
            f"PALIMPSEST_TWIN to another image model with the same text encoder, or to {SELF!r} "
            "for the video model at one frame."
        ) from error


def load_twin(
    source: str | Path, video: Denoiser, text_encoder: TextEncoder, options: Options
) -> Denoiser:
    """Load the twin that `source` names.

    Raises:
        BackboneInvalid: it cannot be loaded, is not a known image model, or has another text
            encoder than the video model; then the message gives their difference and the remedy.
    """
    if source == SELF:
        if video.noise(0, 1).shape[2] > 1:
            raise BackboneInvalid(
                "This model cannot make a single frame, so it cannot be its own twin: name another."
            )
        return OneFrame(video)
    files = ModelFiles(source, FOLDERS, pickles=options.pickles)
    options.sources.append(files.directory)
    module = twin_module(files.pipeline)
    if module is None:
        raise BackboneInvalid(
            f"The twin {files.directory} is a {files.pipeline}; twins are {', '.join(TWINS)}, or "
            f"{SELF!r} for the video model at one frame."
        )
    found = difference(text_encoder, files.directory / "text_encoder", pickles=options.pickles)
    if found > options.twin_difference:
        raise BackboneInvalid(
            f"The twin {files.directory} has another text encoder than the video model: they "
            f"differ by {found:.3g} of their length. What is unlearned on one need not hold for "
            f"the other. Take another twin, or {SELF!r}; or accept it with "
            f"PALIMPSEST_TWIN_DIFFERENCE={found * 1.01:.3g}."
        )
    return module.load_twin(files, options.placement, options.dtype)


@torch.no_grad()
def difference(text_encoder: TextEncoder, directory: Path, *, pickles: bool = False) -> float:
    """Return the largest ‖W′ − W‖ / ‖W‖ over the parameters of two text encoders.

    They are compared in the first one's precision, and then in float16, as for fingerprints. Two
    values that can be roundings of the same number count as equal. The second encoder is read one
    tensor at a time.

    Args:
        text_encoder: the video model's, W.
        directory: of the other encoder, W′.
        pickles: allow pickled weights.

    Raises:
        BackboneInvalid: the parameters differ in name or shape, or cannot be read.
    """
    base, largest = dict(text_encoder.parameters()), 0.0
    try:
        with stored_tensors(directory, allow_pickle=pickles) as stored:
            for theirs in stored:
                ours = base.pop(text_encoder.names.get(theirs.name, ""), None)
                if ours is None:
                    continue  # a buffer, or the second name of a tied parameter
                if tuple(ours.shape) != theirs.shape:
                    raise BackboneInvalid(
                        f"{directory} is another text encoder: its {theirs.name} has shape "
                        f"{theirs.shape}, the video model's {tuple(ours.shape)}."
                    )
                a, b = canonical(ours), canonical(theirs.read().to(ours.dtype))
                if torch.equal(a, b):
                    continue
                # A number rounded to bfloat16 by way of float16 can differ in its last bit.
                rtol = torch.finfo(ours.dtype).eps if ours.dtype == torch.bfloat16 else 0.0
                atol = FLOAT16_SMALLEST if rtol else 0.0
                a, b = a.float(), b.float()
                change = (a - b).masked_fill(torch.isclose(a, b, rtol=rtol, atol=atol), 0)
                largest = max(largest, float(change.norm() / a.norm().clamp(min=1e-12)))
    except EncoderInvalid as error:
        raise BackboneInvalid(f"The twin's text encoder cannot be read: {error}") from error
    if base:
        raise BackboneInvalid(
            f"{directory} is another text encoder: it lacks {len(base)} parameters, such as "
            f"{next(iter(base))}."
        )
    return largest
