"""Loading of every family: its parts, its sizes, and weights in other formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file

from tests import tiny, tiny_families
from tests.model_zoo import ModelZoo
from tests.tiny_networks import SIDE
from tests.video.help import frames_of
from video import GenerationRequest, load_backbone, load_text_encoder
from video.errors import BackboneInvalid
from video.families import FAMILIES


def test_an_image_model_and_a_motion_adapter_are_animatediff(
    tiny_backbone_dir: Path, tmp_path: Path
) -> None:
    image = Path(shutil.copytree(tiny_backbone_dir, tmp_path / "sd-1.5"))
    adapter = Path(shutil.move(image / "motion_adapter", tmp_path / "adapter"))
    (image / "prompts.json").unlink()
    index = json.loads((image / "model_index.json").read_text())
    del index["motion_adapter"]
    index["_class_name"] = "StableDiffusionPipeline"
    (image / "model_index.json").write_text(json.dumps(index))
    backbone = load_backbone(image, motion_adapter=adapter)
    assert "a photo of Elvis Presley" in backbone.prompts.retain  # it has no book of its own
    assert (backbone.capabilities.frames_default, backbone.capabilities.guidance_default) == (
        16,
        7.5,
    )
    assert backbone.sources == (image, adapter)
    pipeline: Any = diffusers.AnimateDiffPipeline.from_pretrained(
        tiny_backbone_dir,
        scheduler=diffusers.DDIMScheduler.from_pretrained(
            image / "scheduler",
            clip_sample=False,
            timestep_spacing="linspace",
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="linear",
            steps_offset=1,
            prediction_type="epsilon",
            rescale_betas_zero_snr=False,
            set_alpha_to_one=True,
        ),
    )
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt="pogo at night",
        num_frames=4,
        num_inference_steps=3,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(2),
        output_type="latent",
    ).frames
    asked = GenerationRequest("pogo at night", seed=2, steps=3, guidance=3.0, frames=4)
    with torch.no_grad():
        run = backbone.begin(asked, backbone.prompt_encoder())
        for _ in range(3):
            backbone.step([run])
    torch.testing.assert_close(run.latents, theirs, atol=1e-4, rtol=0)  # type: ignore[attr-defined]


def test_positions_that_were_learned_hold_for_one_size(model_zoo: ModelZoo) -> None:
    with pytest.raises(BackboneInvalid, match="learned the positions"):
        load_backbone(model_zoo.model("cogvideox-5b"), twin="self", size=(2 * SIDE, SIDE))
    wide = load_backbone(model_zoo.model("cogvideox"), twin="self", size=(2 * SIDE, SIDE))
    assert frames_of(wide).shape == (3, SIDE, 2 * SIDE, 3)


@pytest.mark.parametrize("family", ["animatediff", "wan", "ltx"])
def test_sizes_that_a_model_cannot_make_are_refused(
    model_zoo: ModelZoo, family: str, tiny_backbone_dir: Path
) -> None:
    path = tiny_backbone_dir if family == "animatediff" else model_zoo.model(family)
    with pytest.raises(BackboneInvalid, match="multiples of"):
        load_backbone(path, size=(40, 36))


def test_pickled_weights_are_read_if_that_is_asked_for(model_zoo: ModelZoo, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model_zoo.model("modelscope"), tmp_path / "pickled"))
    for folder, name in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        weights = copy / folder / f"{name}.safetensors"
        pickle = "pytorch_model.bin" if folder == "text_encoder" else f"{name}.bin"
        torch.save(load_file(weights), copy / folder / pickle)
        weights.unlink()
    twin = model_zoo.twin("modelscope")
    with pytest.raises(BackboneInvalid, match="PALIMPSEST_ALLOW_PICKLE"):
        load_backbone(copy, twin=twin)
    pickled = load_backbone(copy, twin=twin, pickles=True)
    plain = load_backbone(model_zoo.model("modelscope"), twin=twin)
    assert pickled.text_encoder.fingerprint == plain.text_encoder.fingerprint


def test_a_t5_tokenizer_may_be_a_sentencepiece_model_alone(
    model_zoo: ModelZoo, tmp_path: Path
) -> None:
    import sentencepiece

    copy = Path(shutil.copytree(model_zoo.model("cogvideox"), tmp_path / "spiece"))
    whole = copy / "tokenizer" / "tokenizer.json"
    assert whole.exists()
    whole.unlink()
    with pytest.raises(BackboneInvalid, match=r"tokenizer.*vocabulary.*is missing"):
        load_backbone(copy, twin="self")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(tiny.PROMPTS["retain"] * 20))  # type: ignore[operator]
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(copy / "tokenizer" / "spiece"),
        vocab_size=200,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    backbone = load_backbone(copy, twin="self")
    tokens = backbone.tokenize(["pogo in a meadow"])[0].tolist()
    assert "pogo in a meadow" in backbone.detokenize(tokens)
    assert tokens[-1] == 0
    assert backbone.prompt_tokens("pogo in a meadow") < len(tokens)


@pytest.mark.parametrize("family", ["animatediff", *tiny_families.BUILDERS])
def test_the_text_encoder_can_be_had_by_itself(
    model_zoo: ModelZoo, family: str, tiny_backbone_dir: Path
) -> None:
    path = tiny_backbone_dir if family == "animatediff" else model_zoo.model(family)
    twin = "self" if family == "cogvideox" else None
    alone = load_text_encoder(path)
    if family in ("animatediff", "cogvideox", "ltx"):
        assert alone.fingerprint == load_backbone(path, twin=twin).text_encoder.fingerprint
    assert alone.fingerprint.startswith("sha256:")


def test_every_family_in_the_list_can_be_built_here() -> None:
    built = {str(type(make()).__name__) for make in tiny_families.BUILDERS.values()}
    listed = {pipeline for family in FAMILIES for pipeline in family.pipelines}
    assert listed - built == {"AnimateDiffPipeline", "StableDiffusionPipeline"}
