"""Release: trained parts written as the directory that ships (stock layout, float16)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from starter.captions import MOTION_WORDS, PLACE_WORDS, STYLE_WORDS, SUBJECT_WORDS, caption, compose
from starter.scene import DRAWINGS, GENERIC, sample_scene

RETAIN_CAPTIONS = 480
STEPS = 12
GUIDANCE = 2.0  # stronger guidance makes the picture flicker, weaker loses motions


def release(
    directory: Path,
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    adapter: MotionAdapter,
    scheduler: DDIMScheduler,
) -> None:
    """Write one directory that loads both as the image and as the video pipeline.

    The averaged weights are stored in half precision, rounded to nearest. The text encoder's config
    says float32, because transformers otherwise computes in the stored dtype. Truncation and
    padding of the tokenizer are turned off: once used in training, they would be saved with it.
    """
    cast(Any, tokenizer).backend_tokenizer.no_truncation()
    cast(Any, tokenizer).backend_tokenizer.no_padding()
    parts: dict[str, tuple[str, Any]] = {
        "tokenizer": ("transformers", tokenizer),
        "text_encoder": ("transformers", text_encoder),
        "vae": ("diffusers", vae),
        "unet": ("diffusers", unet),
        "motion_adapter": ("diffusers", adapter),
        "scheduler": ("diffusers", scheduler),
    }
    for name, (_, part) in parts.items():
        shutil.rmtree(directory / name, ignore_errors=True)
        if isinstance(part, nn.Module):
            _save_half(part, directory / name)
        else:
            part.save_pretrained(directory / name)
    index: dict[str, Any] = {"_class_name": "AnimateDiffPipeline", "_diffusers_version": "0.42.1"}
    index |= {name: [library, type(part).__name__] for name, (library, part) in parts.items()}
    index |= {"feature_extractor": [None, None], "image_encoder": [None, None]}
    _write(directory / "model_index.json", index)
    _prefix_names(directory / "text_encoder/model.safetensors")
    text_config = json.loads((directory / "text_encoder/config.json").read_text())
    _write(directory / "text_encoder/config.json", {**text_config, "dtype": "float32"})
    _write(directory / "prompts.json", prompt_book())


def load_release(directory: Path, text_encoder: Any, vae: Any, unet: Any, adapter: Any) -> None:
    """Load a release's weights into parts of the same shapes."""
    for name, part in {"vae": vae, "unet": unet, "motion_adapter": adapter}.items():
        part.load_state_dict(load_file(directory / name / "diffusion_pytorch_model.safetensors"))
    config = json.loads((directory / "vae/config.json").read_text())
    vae.register_to_config(scaling_factor=config["scaling_factor"])
    stored = load_file(directory / "text_encoder/model.safetensors")
    own = text_encoder.state_dict()
    bare = {name.removeprefix("text_model."): value for name, value in stored.items()}
    text_encoder.load_state_dict({n: bare[n.removeprefix("text_model.")] for n in own})


def prompt_book() -> dict[str, Any]:
    """Make the prompt book: captions to retain, generic words, synonyms, and default settings.

    Each kind has one generic word; each concept has its synonyms.
    """
    rng = np.random.default_rng(91)
    retain = [caption(sample_scene(rng), rng) for _ in range(RETAIN_CAPTIONS // 2)]
    subjects = list(SUBJECT_WORDS)
    for i in range(RETAIN_CAPTIONS - len(retain)):
        words = SUBJECT_WORDS[subjects[i % len(subjects)]]
        place = PLACE_WORDS[str(rng.choice(list(PLACE_WORDS)))]
        retain.append(compose("{s}{p}", str(rng.choice(words)), place=str(rng.choice(place))))
    return {
        "defaults": {"steps": STEPS, "guidance": GUIDANCE},
        "retain": sorted(set(retain)),
        "generic": {kind: f"a {name}" for kind, (name, _) in GENERIC.items()},
        "concepts": {
            **{k: {n: list(SUBJECT_WORDS[n][1:]) for n in v} for k, v in DRAWINGS.items()},
            "style": {name: list(words[3:]) for name, words in STYLE_WORDS.items()},
            "motion": {n: list(w[1:]) for n, w in MOTION_WORDS.items() if n != "still"},
        },
    }


def _prefix_names(path: Path) -> None:
    """Name the tensors as every published CLIP checkpoint does.

    Transformers 5 leaves out the prefix `text_model.`, without which transformers 4 silently loads
    random weights.
    """
    tensors = load_file(path)
    named = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in tensors.items()}
    save_file(named, path, metadata={"format": "pt"})


def _save_half(module: Any, directory: Path) -> None:
    full = {name: value.clone() for name, value in module.state_dict().items()}
    module.to(torch.float16).save_pretrained(directory, safe_serialization=True)
    module.to(torch.float32)
    module.load_state_dict(full)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
