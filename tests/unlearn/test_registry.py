"""The registry of methods: built-in ones, other packages' ones, and unusable ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from encoders import Concept
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.errors import MethodInvalid, SettingsInvalid
from unlearn.methods import registry
from unlearn.methods.registry import GROUP, get_method, method_names
from unlearn.methods.spec import MethodSpec
from video import load_backbone

MODULE = "palimpsest_plug_in"
EMPTY = '''
"""A method that gives the concept's name the empty prompt's embedding."""
from unlearn.methods.spec import MethodSpec, Schedule


def make_loss(task, backbone):
    encoder, tokens = backbone.text_encoder, backbone.tokenize([task.concepts[0].name, ""])
    name, empty = tokens[:1], encoder.encode(tokens[1:]).detach()
    return lambda overrides: (encoder.encode(name, overrides) - empty).square().mean()


METHOD = MethodSpec(
    name="empty",
    description="The concept's name comes to mean nothing.",
    learns_from_images=False,
    defaults=Schedule(steps=5, learning_rate=1e-2, batch_size=1, rank=1),
    make_loss=make_loss,
)
'''


class Plugins:
    """A folder of installed packages, each with methods of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(self, name: str, source: str, *, package: str = MODULE) -> None:
        """Install a package whose entry point `name` is its module's METHOD."""
        (self._folder / f"{package}.py").write_text(source)
        info = self._folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {package}:METHOD\n")
        registry._installed.cache_clear()


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    yield Plugins(tmp_path)
    sys.modules.pop(MODULE, None)
    monkeypatch.undo()
    registry._installed.cache_clear()


@pytest.mark.parametrize(("name", "learns_from_images"), [("redirect", False), ("ascent", True)])
def test_the_built_in_methods_declare_themselves(name: str, learns_from_images: bool) -> None:
    spec = get_method(name)
    assert isinstance(spec, MethodSpec)
    assert (spec.name, spec.learns_from_images) == (name, learns_from_images)
    assert spec.description.endswith(".")
    assert UnlearnSettings(method=name).schedule() == spec.defaults


def test_an_unknown_method_is_refused_with_the_names_of_the_known_ones() -> None:
    with pytest.raises(SettingsInvalid, match="one of redirect, ascent, not 'magic'") as caught:
        UnlearnSettings(method="magic")
    assert caught.value.param == "method"
    with pytest.raises(SettingsInvalid, match="'magic'"):
        get_method("magic")


def test_another_packages_method_makes_an_encoder(
    plugins: Plugins, tiny_backbone_dir: Path
) -> None:
    plugins.install("empty", EMPTY)
    assert method_names() == ["redirect", "ascent", "empty"]
    assert MODULE not in sys.modules  # names are listed without an import
    schema = UnlearnSettings.model_json_schema()
    assert schema["properties"]["method"]["enum"] == method_names()
    task = UnlearnTask((Concept(name="pogo", kind="character"),), UnlearnSettings(method="empty"))
    run = unlearn(task, load_backbone(tiny_backbone_dir))
    losses = [progress.loss for progress in run]
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    card = run.encoder.card
    assert (card.method, card.settings["rank"], card.settings["steps"]) == ("empty", 1, 5)


def test_two_methods_of_one_name_are_refused(plugins: Plugins) -> None:
    plugins.install("redirect", EMPTY)
    with pytest.raises(MethodInvalid, match=rf"'redirect': .*palimpsest.* and .*{MODULE}"):
        method_names()


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        ("broken", "import no_such_module", "cannot be imported .*no_such_module"),
        ("absent", "", "cannot be imported .*METHOD"),
        ("misnamed", EMPTY, "must be a MethodSpec named 'misnamed'"),
        ("untyped", "METHOD = 'empty'", "must be a MethodSpec named 'untyped', not 'empty'"),
    ],
)
def test_a_method_that_cannot_be_used_is_named(
    plugins: Plugins, name: str, source: str, says: str
) -> None:
    plugins.install(name, source)
    settings = UnlearnSettings(method=name)
    with pytest.raises(MethodInvalid, match=says):
        settings.schedule()
    assert UnlearnSettings().schedule().steps > 0  # the others can be used
