"""Helpers for the tests of the report: a card, judged pairs and their clips, a parsed page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np

from encoders import Card, Concept, EncoderRef, Kind
from unlearn.judges.base import JudgeIdentity
from unlearn.report.build import report_files
from unlearn.report.model import FileSizes
from unlearn.trial.outcomes import Outcome
from unlearn.trial.probes import Probe
from video.capabilities import Capabilities
from video.generation_request import GenerationRequest

CAPABILITIES = Capabilities(native_width=64, native_height=48, frames_max=16, guidance_default=2.5)
MEASURES: dict[str, Any] = {
    "forget_rate": 0.9375,
    "forget_interval": [0.7167, 0.9889],
    "forget_n": 16,
    "base_rate": 0.875,
    "base_interval": [0.6398, 0.9651],
    "base_n": 16,
    "retain_rate": 0.75,
    "retain_interval": [0.551, 0.88],
    "retain_n": 24,
    "base_retain_rate": 0.7917,
    "base_retain_interval": [0.5953, 0.9076],
    "base_retain_n": 24,
    "retain_other_kinds_rate": 0.0,
    "retain_other_kinds_interval": [0.0, 1.0],
    "retain_other_kinds_n": 0,
    "concepts": {
        "pogo": {
            "forget_rate": 0.6667,
            "interval": [0.3, 0.9032],
            "n": 6,
            "base_rate": 0.8571,
            "base_n": 7,
        },
        "neonix": {"forget_rate": 1.0, "interval": [0.7009, 1.0], "n": 9},
    },
    "retain_drop": 0.0417,
    "decision": "clear",
    "gate": {
        "min_forget_rate": 0.85,
        "max_retain_drop": 0.15,
        "min_base_rate": 0.55,
        "max_probes": 44,
    },
}
SIZES = FileSizes(encoder_bytes=21_208, base_bytes=3_967_872, ratio=21_208 / 3_967_872)
LOSSES = [0.5, 0.4, 0.42, 0.1]
ENCODER = EncoderRef("no-pogo", "sha256:" + "b" * 64)
RED, BLUE = (220, 30, 30), (30, 30, 220)


def card_of(**changes: Any) -> Card:
    """Return the card of the report, with changes."""
    values: dict[str, Any] = {
        "id": "no-pogo",
        "concepts": (
            Concept(name="pogo", kind="character", synonyms=("one-eyed robot",)),
            Concept(name="neonix", kind="style"),
        ),
        "method": "redirect",
        "settings": {"steps": 41, "learning_rate": 0.0123, "retain": ["a teapot"], "anchor": None},
        "seed": 987_654,
        "base": "sha256:" + "a" * 64,
        "digest": "sha256:" + "b" * 64,
        "stored": "sha256:" + "c" * 64,
        "parent": "no-neonix",
        "created_at": datetime(2026, 2, 3, 4, 5, tzinfo=UTC),
        "measures": MEASURES,
    }
    return Card.model_validate({**values, **changes})


def plain(colour: tuple[int, int, int], frames: int = 1) -> np.ndarray:
    """Paint frames of one colour; in a clip something small and black moves."""
    found = np.full((frames, 48, 64, 3), colour, np.uint8)
    for i in range(frames if frames > 1 else 0):
        found[i, 20:28, 8 * i : 8 * i + 8] = 0
    return found


def outcome(
    number: int,
    *,
    is_target: bool,
    frames: int | None = None,
    by_base: bool = True,
    by_encoder: bool | None = None,
) -> Outcome:
    """Return the outcome of a good encoder, unless the arguments say otherwise."""
    prompt = f"pogo no. {number}" if is_target else f"teapot no. {number}"
    request = GenerationRequest(prompt, seed=1000 + number, frames=frames)
    concept: tuple[str, Kind] = ("pogo", "character") if is_target else ("teapot", "object")
    probe = Probe(*concept, is_target, is_target, 0, request, replace(request, encoder=ENCODER))
    return Outcome(probe, by_base, not is_target if by_encoder is None else by_encoder)


def clips(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Return a red clip for the base and a blue one for the encoder."""
    return plain(RED, probe.base.frames or 1), plain(BLUE, probe.base.frames or 1)


OUTCOMES = [
    outcome(1, is_target=True, frames=3),
    outcome(2, is_target=True),
    outcome(3, is_target=True, by_base=False, by_encoder=True),
    outcome(4, is_target=False, frames=2),
    outcome(5, is_target=False),
    outcome(6, is_target=False, by_encoder=False),
    outcome(7, is_target=False, by_base=False, by_encoder=False),
]


def files_of(
    card: Card | None = None, outcomes: Sequence[Outcome] = OUTCOMES, **changes: Any
) -> dict[str, bytes]:
    """Make the files of the report, by name; changes are arguments of `report_files`."""
    values: dict[str, Any] = {
        "losses": LOSSES,
        "judge": JudgeIdentity(name="ClassifierJudge", version="1", hash="sha256:" + "d" * 64),
        "model": "starter",
        "capabilities": CAPABILITIES,
        "sizes": SIZES,
    }
    return report_files(card or card_of(), outcomes, clips, **{**values, **changes})


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, and all its text.

    Bad nesting, comments and processing instructions raise AssertionError.
    """

    VOID = ("img", "meta", "link", "br", "input")

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.style = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]
