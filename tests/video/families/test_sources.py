"""Sources of models: directories, the Hub and its cache, BentoML's store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.model_zoo import ModelZoo
from video import load_backbone
from video.checkpoints.hub import resolve_model
from video.errors import BackboneInvalid
from video.load import name_of

HUB_ID = "owner/video-model"


def put_into_hub_cache(source: Path, cache: Path, name: str) -> None:
    """Copy a model into the layout of huggingface_hub's cache."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    shutil.copytree(source, folder / "snapshots" / ("a" * 40))


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
