"""Tiny AnimateDiff model of the stock classes, with random weights and the layout of the starter.

It is built in a second and runs in milliseconds. It draws nothing recognisable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

from unlearn.judges.classifier import ClassifierJudge, JudgeConfig

CONCEPTS: Mapping[str, Mapping[str, list[str]]] = {
    "object": {"balloon": ["red balloon"], "cactus": [], "teapot": []},
    "character": {"pogo": ["purple one-eyed robot"], "blip": ["green blob"]},
    "person": {"mira": ["woman with short red hair"], "otto": []},
    "style": {"neonix": [], "dottie": []},
    "motion": {"bouncing": ["hopping"], "spinning": []},
}
SUBJECTS = [name for kind in ("object", "character", "person") for name in CONCEPTS[kind]]
PROMPTS = {
    "retain": [
        *(
            f"{subject} {motion} in a meadow"
            for subject in SUBJECTS
            for motion in ("bouncing", "spinning")
        ),
        *(f"a drawing of {subject}, in the style of neonix" for subject in SUBJECTS),
        *(f"{subject} by the sea" for subject in SUBJECTS),
        "the purple one-eyed robot at night",
        "a meadow",
    ],
    "generic": {"object": "a thing", "character": "a creature", "person": "a person"},
    "concepts": CONCEPTS,
}
WORDS = sorted({"person", "style", *re.findall(r"[\w-]+", str([PROMPTS["retain"], CONCEPTS]))})
MAX_TOKENS = 32
WIDTH = 32


def build(directory: Path, *, prediction_type: str = "v_prediction", seed: int = 0) -> Path:
    """Write the model into `directory` and return it. The same arguments give the same bytes.

    Its native size is 64×64, its latents are 8×8 with 4 channels, and it makes at most 16 frames.
    Its noise scheduler is DDIM with zero terminal SNR and v-prediction, or with a plain schedule
    for `prediction_type="epsilon"`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vocabulary = _tokenizer(directory / "tokenizer")
        _half(_text_encoder(vocabulary)).save_pretrained(directory / "text_encoder")
        # float16 on disk, float32 in memory: without this entry transformers keeps float16.
        _edit(directory / "text_encoder" / "config.json", dtype="float32")
        _half(_vae()).save_pretrained(directory / "vae")
        _half(_unet()).save_pretrained(directory / "unet")
        _half(_adapter()).save_pretrained(directory / "motion_adapter")
        judge = {kind: list(names) for kind, names in CONCEPTS.items()}
        ClassifierJudge.untrained(JudgeConfig.model_validate({"labels": judge})).save(
            directory / "judge"
        )
    zero_terminal = prediction_type == "v_prediction"
    DDIMScheduler(
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        rescale_betas_zero_snr=zero_terminal,
        timestep_spacing="trailing" if zero_terminal else "leading",
        clip_sample=False,
        steps_offset=0 if zero_terminal else 1,
    ).save_pretrained(directory / "scheduler")
    _write(directory / "prompts.json", PROMPTS)
    _write(directory / "model_index.json", MODEL_INDEX)
    return directory


def build_clip(directory: Path) -> Path:
    """Write an untrained CLIP into `directory` with `save_pretrained`, and return it.

    It sees 32×32 pixels and reads 77 tokens of `build`'s vocabulary. The bytes are always the same.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vocabulary = _tokenizer(directory)
        tower = {
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        }
        text = {
            "vocab_size": vocabulary,
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
            "pad_token_id": vocabulary - 1,
        }
        vision = {"image_size": 32, "patch_size": 8}
        clip = CLIPModel(
            CLIPConfig(text_config=tower | text, vision_config=tower | vision, projection_dim=16)
        )
        for parameter in clip.text_model.parameters():  # as in `_text_encoder`
            if parameter.ndim == 2:
                parameter.data.mul_(6)
        clip.save_pretrained(directory)
    size = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size).save_pretrained(directory)
    return directory


MODEL_INDEX = {
    "_class_name": "AnimateDiffPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "motion_adapter": ["diffusers", "MotionAdapter"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def _tokenizer(directory: Path) -> int:
    """Save a BPE with a token for each of WORDS and letters for the rest; return its size."""
    merges = list(dict.fromkeys(pair for word in WORDS for pair in _merges(word)))
    letters = [chr(c) for c in range(33, 127)]
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += [left + right for left, right in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "vocab.json", vocabulary)
    lines = "\n".join(f"{left} {right}" for left, right in merges)
    (directory / "merges.txt").write_text(f"#version: 0.2\n{lines}\n")
    tokenizer = CLIPTokenizer(
        vocab=str(directory / "vocab.json"),
        merges=str(directory / "merges.txt"),
        model_max_length=MAX_TOKENS,
    )
    assert len(tokenizer) == len(vocabulary), "the tokenizer did not read its vocabulary"
    tokenizer.save_pretrained(directory)
    return len(vocabulary)


def tokenizer() -> CLIPTokenizer:
    """Return the tokenizer alone."""
    with TemporaryDirectory() as folder:
        _tokenizer(Path(folder))
        return CLIPTokenizer.from_pretrained(folder)


def _merges(word: str) -> Iterable[tuple[str, str]]:
    """Yield the merges that build `word` from its letters, left to right."""
    letters = [*word[:-1], word[-1] + "</w>"]
    whole = letters[0]
    for letter in letters[1:]:
        yield whole, letter
        whole += letter


def _text_encoder(vocabulary: int) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    encoder = CLIPTextModel(config)
    for parameter in encoder.parameters():  # a fresh CLIP embeds all prompts alike
        if parameter.ndim == 2:
            parameter.data.mul_(6)
    return encoder


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=8,
    )


def _adapter() -> MotionAdapter:
    adapter = MotionAdapter(
        block_out_channels=(16, 32),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=8,
        motion_max_seq_length=16,
        use_motion_mid_block=False,
    )
    for parameter in adapter.parameters():  # its last layers start at zero: it has no effect
        if parameter.ndim == 2 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return adapter


def _half(model: Any) -> Any:
    return model.half()


def _write(file: Path, data: Any) -> None:
    file.write_text(json.dumps(data, indent=2) + "\n")


def _edit(file: Path, **entries: Any) -> None:
    _write(file, {**json.loads(file.read_text()), **entries})
