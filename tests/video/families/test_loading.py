"""Where models come from, which twin they get, and what is refused."""

from __future__ import annotations

import json
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import tiny, tiny_families
from tests.model_zoo import ModelZoo
from tests.tiny_families import SIDE
from video import GenerationRequest, load_backbone, load_text_encoder
from video.checkpoints.hub import resolve_model
from video.errors import BackboneInvalid
from video.families import FAMILIES
from video.families.pixart import PixArt
from video.families.stable_diffusion import StableDiffusion
from video.frames import Frames
from video.load import name_of
from video.models.backbone import Backbone
from video.models.denoiser import OneFrame
from video.models.placement import Placement

HUB_ID = "owner/video-model"


def put_into_hub_cache(source: Path, cache: Path, name: str) -> None:
    """As huggingface_hub lays a snapshot out."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    shutil.copytree(source, folder / "snapshots" / ("a" * 40))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache, and no Hub."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


def test_a_hub_id_is_found_in_the_cache(model_zoo: ModelZoo, hub: Path) -> None:
    put_into_hub_cache(model_zoo.model("modelscope"), hub, HUB_ID)
    put_into_hub_cache(model_zoo.twin("modelscope"), hub, "owner/twin")
    backbone = load_backbone(HUB_ID, twin="owner/twin")
    assert backbone.name == "video-model"
    assert [source.is_relative_to(hub) for source in backbone.sources] == [True, True]


def test_a_hub_id_that_is_nowhere_is_an_error_that_says_what_to_do(hub: Path) -> None:
    with pytest.raises(BackboneInvalid, match=r"hf download owner/nothing"):
        load_backbone("owner/nothing")


def test_only_what_is_needed_is_fetched_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def snapshot_download(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return "/somewhere"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert resolve_model("owner/name@v1.1", ["unet", ""]) == Path("/somewhere")
    assert asked["repository"] == "owner/name"
    assert asked["revision"] == "v1.1"
    wanted = set(asked["allow_patterns"])
    assert {"model_index.json", "unet/*.safetensors", "unet/*.json", "*.safetensors"} <= wanted
    assert not any(pattern.endswith(".bin") for pattern in wanted)
    resolve_model("owner/name", ["unet"], pickles=True)
    assert "unet/*.bin" in asked["allow_patterns"]


def test_a_bentoml_tag_is_found_in_its_store(
    tiny_backbone_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bentoml
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.models import ModelStore

    store = ModelStore(tmp_path / "store")
    monkeypatch.setattr(BentoMLContainer.model_store, "get", lambda: store)
    with bentoml.models.create("tiny-model", _model_store=store) as created:
        shutil.copytree(tiny_backbone_dir, created.path, dirs_exist_ok=True)
    backbone = load_backbone("bentoml:tiny-model:latest")
    assert backbone.name == "tiny-model"
    with pytest.raises(BackboneInvalid, match="bentoml models list"):
        load_backbone("bentoml:another-model:latest")


@pytest.mark.parametrize("source", ["/no/such/place", "three/part/name", "", "name"])
def test_anything_else_is_no_model(source: str) -> None:
    with pytest.raises(BackboneInvalid, match=r"is no model|model_index\.json"):
        load_backbone(source)


def test_names() -> None:
    assert name_of("owner/name@main") == "name"
    assert name_of("bentoml:some-model:v3") == "some-model"
    assert name_of(Path("/models/wan/")) == "wan"


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


def test_each_family_gets_its_own_twin(model_zoo: ModelZoo) -> None:
    modelscope = load_backbone(model_zoo.model("modelscope"), twin=model_zoo.twin("modelscope"))
    assert isinstance(modelscope.denoiser(is_video=False), StableDiffusion)
    assert modelscope.denoiser(is_video=False).prediction_type == "v_prediction"
    assert modelscope.denoiser(is_video=True).prediction_type == "epsilon"
    cogvideox = load_backbone(model_zoo.model("cogvideox"), twin=model_zoo.twin("cogvideox"))
    assert isinstance(cogvideox.denoiser(is_video=False), PixArt)
    wan = load_backbone(model_zoo.model("wan"), size=(SIDE, SIDE))
    assert isinstance(wan.denoiser(is_video=False), OneFrame)
    assert wan.denoiser(is_video=False).prediction_type == "flow_prediction"
    itself = load_backbone(model_zoo.model("modelscope"), twin="self")
    assert isinstance(itself.denoiser(is_video=False), OneFrame)
    assert itself.denoiser(is_video=False).decode(
        itself.denoiser(is_video=False).noise(1, None)
    ).shape == (1, SIDE, SIDE, 3)


def test_a_twin_that_cannot_be_had_names_the_ways_out(model_zoo: ModelZoo, hub: Path) -> None:
    with pytest.raises(BackboneInvalid, match=r"sd2-community.*PALIMPSEST_TWIN.*'self'"):
        load_backbone(model_zoo.model("modelscope"))


def test_a_twin_with_another_text_encoder_is_refused_with_the_difference(
    model_zoo: ModelZoo, tmp_path: Path
) -> None:
    twin = Path(shutil.copytree(model_zoo.twin("modelscope"), tmp_path / "twin"))
    file = twin / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "fc1.weight" in name)
    tensors[name] *= 1.125  # exact in float16
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(BackboneInvalid, match=r"differ by 0\.125.*TWIN_DIFFERENCE=0\.126"):
        load_backbone(model_zoo.model("modelscope"), twin=twin)
    load_backbone(model_zoo.model("modelscope"), twin=twin, twin_difference=0.126)
    with pytest.raises(BackboneInvalid, match="another text encoder"):
        load_backbone(model_zoo.model("modelscope"), twin=model_zoo.twin("cogvideox"))
    with pytest.raises(BackboneInvalid, match="twins are StableDiffusionPipeline"):
        load_backbone(model_zoo.model("modelscope"), twin=model_zoo.model("wan"))


def test_a_twin_in_another_precision_is_the_same_text_encoder(
    model_zoo: ModelZoo, tmp_path: Path
) -> None:
    twin = Path(shutil.copytree(model_zoo.twin("modelscope"), tmp_path / "twin"))
    file = twin / "text_encoder" / "model.safetensors"
    save_file({n: t.half() for n, t in load_file(file).items()}, file, {"format": "pt"})
    load_backbone(model_zoo.model("modelscope"), twin=twin)


def test_roundings_on_the_way_to_bfloat16_are_no_difference(
    model_zoo: ModelZoo, tmp_path: Path
) -> None:
    model, twin = (
        Path(shutil.copytree(source, tmp_path / name))
        for source, name in (
            (model_zoo.model("cogvideox"), "model"),
            (model_zoo.twin("cogvideox"), "twin"),
        )
    )
    stored = {model: torch.bfloat16, twin: torch.float16}  # as CogVideoX-5b's and PixArt's are
    for path, dtype in stored.items():
        file = path / "text_encoder" / "model.safetensors"
        tensors = load_file(file)
        tensors = {n: t * 1.001 for n, t in tensors.items()}
        save_file({n: t.to(dtype) for n, t in tensors.items()}, file, {"format": "pt"})
    one, other = (
        load_file(path / "text_encoder" / "model.safetensors")["shared.weight"].to(torch.bfloat16)
        for path in (model, twin)
    )
    assert not torch.equal(one, other), "some numbers are rounded twice"
    load_backbone(model, twin=twin, dtype=torch.bfloat16)
    file = twin / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    tensors["shared.weight"][5] *= 1.02
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(BackboneInvalid, match="another text encoder"):
        load_backbone(model, twin=twin, dtype=torch.bfloat16)


def test_cogvideox_1_5_cannot_be_its_own_twin(model_zoo: ModelZoo) -> None:
    with pytest.raises(BackboneInvalid, match="single frame"):
        load_backbone(model_zoo.model("cogvideox-1.5"), twin="self")


def test_a_stock_pipeline_has_no_twin(model_zoo: ModelZoo) -> None:
    with pytest.raises(BackboneInvalid, match="PALIMPSEST_TWIN"):
        load_backbone(model_zoo.model("ltx"), twin="self")


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


def test_one_part_at_a_time_is_on_the_device() -> None:
    class Part:
        def __init__(self) -> None:
            self.places: list[str] = []

        def to(self, device: Any) -> None:
            self.places.append(str(device))

    one, other = Part(), Part()
    placement = Placement("meta", offloads=True)
    for part in (one, one, other, one):
        placement.fetch(part)
    assert one.places == ["meta", "cpu", "meta"]
    assert other.places == ["meta", "cpu"]
    Placement("meta").fetch(one)
    assert len(one.places) == 3


@pytest.mark.parametrize("family", ["cogvideox", "ltx"])
def test_parts_are_fetched_in_the_order_of_their_use(
    model_zoo: ModelZoo, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = "self" if family == "cogvideox" else None
    options: dict[str, Any] = {"twin": twin, "size": (SIDE, SIDE)}
    expected = frames_of(load_backbone(model_zoo.model(family), **options))
    fetched: list[str] = []
    fetch = Placement.fetch

    def watched(self: Placement, part: Any) -> None:
        fetched.append(type(part).__name__)
        fetch(self, part)

    monkeypatch.setattr(Placement, "fetch", watched)
    backbone = load_backbone(model_zoo.model(family), offload=True, **options)
    assert not backbone.decodes_beside
    assert expected.shape == (3, SIDE, SIDE, 3)
    assert (frames_of(backbone) == expected).all()
    order = [name for name, _ in groupby(fetched)]
    assert order[0] == "TextEncoder"
    assert "Transformer3D" in order[1]
    assert "AutoencoderKL" in order[2]


@torch.no_grad()
def frames_of(backbone: Backbone) -> Frames:
    asked = GenerationRequest("pogo at night", steps=2, frames=3)
    run = backbone.begin(asked, backbone.prompt_encoder())
    for _ in range(run.steps):
        backbone.step([run])
    return run.decode()
