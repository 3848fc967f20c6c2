"""Protocols: every family's module, and every twin's, offers what the loader calls."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest

from video.families import FAMILIES, Family
from video.families.protocol import TWINS, FamilyModule, TwinModule, family_module, twin_module


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in signature(function).parameters if name != "self"]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_s_module_satisfies_the_protocol(family: Family) -> None:
    module = family_module(family)
    assert isinstance(module.FOLDERS, tuple)
    assert {"tokenizer", "text_encoder", "scheduler"} <= set(module.FOLDERS)
    assert parameters(module.load) == parameters(FamilyModule.load)
    assert parameters(module.load_text_encoder) == parameters(FamilyModule.load_text_encoder)


@pytest.mark.parametrize("pipeline", TWINS)
def test_every_twin_s_module_satisfies_the_protocol(pipeline: str) -> None:
    module = twin_module(pipeline)
    assert module is not None
    assert parameters(module.load_twin) == parameters(TwinModule.load_twin)


def test_a_pipeline_that_cannot_be_a_twin_has_no_module() -> None:
    assert twin_module("WanPipeline") is None
