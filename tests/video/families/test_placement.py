"""Placement: with offloading, one part at a time is on the device."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest

from tests.model_zoo import ModelZoo
from tests.tiny_networks import SIDE
from tests.video.help import frames_of
from video import load_backbone
from video.models.placement import Placement


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
