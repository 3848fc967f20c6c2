"""The image twin: another model with the same text encoder, or the video model at one frame.

What is unlearned in a text encoder by way of the twin holds for the video model because the two
share the encoder. That is not believed but looked up, tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import torch

from encoders import EncoderInvalid
from encoders.checkpoint import stored_tensors
from encoders.digest import canonical
from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles
from video.families import FAMILIES
from video.families.options import SELF, Options
from video.models.backbone import BackboneInvalid
from video.models.denoiser import Denoiser, OneFrame

TWINS: Mapping[str, str] = {
    "StableDiffusionPipeline": "video.families.stable_diffusion",
    "PixArtAlphaPipeline": "video.families.pixart",
}
"""The image models that can be twins, and where each is loaded."""
LEAST = 2.0**-24
"""float16's smallest number: what was stored in it may be off by so much."""


def twin_of(
    files: ModelFiles, video: Denoiser, text_encoder: TextEncoder, options: Options
) -> Denoiser:
    """The twin that the options name, or the family's usual one.

    Raises:
        BackboneInvalid: as `load_twin`; of the usual one it says that there are others.
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
    """The twin that `source` names.

    Raises:
        BackboneInvalid: it cannot be loaded, is no image model that is known, or has another text
            encoder than the video model; says how far apart they are, and what to do.
    """
    if source == SELF:
        if video.noise(0, 1).shape[2] > 1:
            raise BackboneInvalid(
                "This model cannot make a single frame, and be its own twin: name another."
            )
        return OneFrame(video)
    folders = ("unet", "transformer", "vae", "scheduler", "text_encoder")
    files = ModelFiles(source, folders, pickles=options.pickles)
    options.sources.append(files.directory)
    module = TWINS.get(files.pipeline)
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
            f"the other. Take another twin, or {SELF!r}; or have it all the same with "
            f"PALIMPSEST_TWIN_DIFFERENCE={found * 1.01:.3g}."
        )
    return import_module(module).load_twin(files, options.placement, options.dtype)


@torch.no_grad()
def difference(text_encoder: TextEncoder, directory: Path, *, pickles: bool = False) -> float:
    """How far the text encoder in a directory is from another: the largest ‖W′ − W‖ / ‖W‖ over its
    parameters, in the precision that the other is computed in and then in that of fingerprints,
    float16. Numbers that the roundings of one and the same number may have made of it are equal.
    Read a tensor at a time.

    Raises:
        BackboneInvalid: its parameters have other names or shapes, or cannot be read.
    """
    base, largest = dict(text_encoder.parameters()), 0.0
    try:
        with stored_tensors(directory, allow_pickle=pickles) as stored:
            for one in stored:
                ours = base.pop(text_encoder.names.get(one.name, ""), None)
                if ours is None:
                    continue  # a buffer, or the other name of a tied parameter
                if tuple(ours.shape) != one.shape:
                    raise BackboneInvalid(
                        f"{directory} is another text encoder: its {one.name} has shape "
                        f"{one.shape}, the video model's {tuple(ours.shape)}."
                    )
                a, b = canonical(ours), canonical(one.read().to(ours.dtype))
                if torch.equal(a, b):
                    continue
                # In bfloat16 it matters whether a number came there by way of float16.
                last = torch.finfo(ours.dtype).eps if ours.dtype == torch.bfloat16 else 0.0
                a, b = a.float(), b.float()
                apart = (a - b).masked_fill(torch.isclose(a, b, rtol=last, atol=last and LEAST), 0)
                largest = max(largest, float(apart.norm() / a.norm().clamp(min=1e-12)))
    except EncoderInvalid as error:
        raise BackboneInvalid(f"The twin's text encoder cannot be read: {error}") from error
    if base:
        raise BackboneInvalid(
            f"{directory} is another text encoder: it lacks {len(base)} parameters, such as "
            f"{next(iter(base))}."
        )
    return largest
