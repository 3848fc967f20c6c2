"""The report of an encoder: what it forgets, what it keeps, how it was made, what it cannot do.

It is for people who have to decide on the encoder without running anything. `report.json` has all
of it for programs; `report.html` (:mod:`unlearn.report.page`) the same as one page to hand on; and
beside them lie the clips and stills that the page shows, as they were judged.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from encoders.card import Card, Kind, Sha256
from encoders.version import VERSION
from unlearn.report.caveats import Caveat, caveats

if TYPE_CHECKING:
    from torch import Tensor

    from encoders.text_encoder import TextEncoder
    from unlearn.trial.measures import Outcome
    from unlearn.trial.probes import Probe
    from video.capabilities import Capabilities
    from video.frames import Frames

Clips: TypeAlias = "Callable[[Probe], tuple[Frames, Frames]]"
"""A probe → its clip by the base and its clip by the encoder, (F,H,W,3)."""

REPORT_JSON, REPORT_HTML = "report.json", "report.html"
CLIPS_SHOWN, STILLS_SHOWN = 4, 8
"""Pairs shown at most, of those that were to be forgotten and of those that were to be kept."""

_LIBRARIES = ("torch", "diffusers", "transformers")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileSizes(_Part):
    """Bytes of the encoder's file, and of a file with its base's tensors in the same precision."""

    encoder_bytes: int
    base_bytes: int
    ratio: float
    """The first of the second."""

    @classmethod
    def of(cls, overrides: Mapping[str, Tensor], base: TextEncoder) -> FileSizes:
        """The sizes of an encoder with these overrides."""
        from encoders.overrides_file import to_bytes

        ours = len(to_bytes(overrides))
        theirs = sum(2 * shape.numel() for shape in base.shapes.values())
        return cls(encoder_bytes=ours, base_bytes=theirs, ratio=ours / theirs)


class Sampling(_Part):
    """How the judged pictures were made."""

    width: int
    height: int
    fps: int
    steps: int
    guidance: float


class Pair(_Part):
    """The same prompt and seed with the base and with the encoder, and what the judge saw."""

    prompt: str
    seed: int
    concept: str
    """What the prompt names and the judge looked for."""
    kind: Kind
    is_target: bool
    """Whether it is to be forgotten, or to be kept."""
    frames: int
    """Of the clip; 1 for a still of the image twin."""
    shown_base: bool
    """Whether the judge says that the base's picture shows the concept."""
    shown_encoder: bool
    failed: bool
    """Whether the encoder shows what it is to have forgotten, or not what the base does show."""
    base_file: str | None
    """The report's file with the base's picture, if the report shows the pair."""
    encoder_file: str | None


class Report(_Part):
    """Everything that the page says."""

    schema_version: Literal[1] = 1
    model: str
    """What the backbone is called."""
    card: Card
    """What is forgotten, method, settings, seed, fingerprints, parent; the measures, with the
    gate's thresholds."""
    sizes: FileSizes
    judge: str
    sampling: Sampling
    losses: list[float]
    """The objective at every optimisation step."""
    pairs: list[Pair]
    """All that were judged, in that order."""
    files: dict[str, Sha256]
    """The clips and stills beside the report."""
    caveats: tuple[Caveat, ...]
    """What this kind of unlearning cannot do."""
    software: dict[str, str]


def shown_of(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those whose clips the report shows, as it shows them: what is to be forgotten, then what is
    to be kept; of each the clips, then the stills; of these first the ones that went wrong, then
    the others in the order in which they were judged. Nobody chooses.

    What is shown at the end was among those shown at every earlier moment since it was judged.
    """
    found: list[Outcome] = []
    wrong_first = sorted(outcomes, key=lambda outcome: not failed(outcome))
    for is_target in (True, False):
        of_group = [outcome for outcome in wrong_first if outcome.probe.is_target == is_target]
        found += [o for o in of_group if o.probe.base.frames is not None][:CLIPS_SHOWN]
        found += [o for o in of_group if o.probe.base.frames is None][:STILLS_SHOWN]
    return found


def failed(outcome: Outcome) -> bool:
    """Whether the encoder shows what it is to have forgotten, or not what the base does show."""
    if outcome.probe.is_target:
        return outcome.by_encoder
    return outcome.by_base and not outcome.by_encoder


def report_files(
    card: Card,
    outcomes: Sequence[Outcome],
    clips: Clips,
    *,
    losses: Sequence[float],
    judge: str,
    model: str,
    capabilities: Capabilities,
    sizes: FileSizes,
) -> dict[str, bytes]:
    """File name → content, for the store. The same arguments give the same bytes.

    Args:
        card: with the measures of the outcomes, and in them the `gate`.
        outcomes: of all probes that were judged, in that order.
        clips: asked for those of ``shown_of(outcomes)`` alone.
        losses: the objective at every optimisation step.
        judge: who said whether a picture shows a concept.
        model: what the backbone is called.
        limits: the backbone's; the pictures were made with its defaults.
        sizes: of the encoder and its base.
    """
    from unlearn.report import pictures
    from unlearn.report.page import page

    files: dict[str, bytes] = {}
    inline: dict[str, list[pictures.Inline]] = {}
    names = _names(shown_of(outcomes))
    for outcome, of_pair in names.items():
        makers = (None, card)
        for name, frames, maker in zip(of_pair, clips(outcome.probe), makers, strict=True):
            if outcome.probe.base.frames is None:
                files[name] = _png(frames)
                inline[name] = [pictures.still(frames)]
            else:
                files[name] = _mp4(
                    frames, outcome.probe, maker, card.base, capabilities.fps_default
                )
                moving = pictures.preview(frames, capabilities.fps_default)
                inline[name] = [moving, pictures.strip(frames)]
    report = Report(
        model=model,
        card=card,
        sizes=sizes,
        judge=judge,
        sampling=Sampling(
            width=capabilities.native_width,
            height=capabilities.native_height,
            fps=capabilities.fps_default,
            steps=capabilities.steps_default,
            guidance=capabilities.guidance_default,
        ),
        losses=list(losses),
        pairs=[_pair(outcome, *names.get(outcome, (None, None))) for outcome in outcomes],
        files={name: f"sha256:{sha256(data).hexdigest()}" for name, data in files.items()},
        caveats=caveats(card.measures, judge),
        software={
            "palimpsest": VERSION,
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
    )
    files[REPORT_JSON] = report.model_dump_json(indent=2).encode()
    files[REPORT_HTML] = page(report, inline).encode()
    return files


def _names(shown: Sequence[Outcome]) -> dict[Outcome, tuple[str, str]]:
    """The two files of each outcome that is shown, the base's first."""
    found: dict[Outcome, tuple[str, str]] = {}
    for is_target, group in ((True, "forgotten"), (False, "kept")):
        of_group = [outcome for outcome in shown if outcome.probe.is_target == is_target]
        for place, outcome in enumerate(of_group, 1):
            ending = "png" if outcome.probe.base.frames is None else "mp4"
            stem = f"{group}-{place:02}"
            found[outcome] = f"{stem}-base.{ending}", f"{stem}-encoder.{ending}"
    return found


def _pair(outcome: Outcome, base_file: str | None, encoder_file: str | None) -> Pair:
    probe = outcome.probe
    return Pair(
        prompt=probe.base.prompt,
        seed=probe.base.seed,
        concept=probe.concept,
        kind=probe.kind,
        is_target=probe.is_target,
        frames=probe.base.frames or 1,
        shown_base=outcome.by_base,
        shown_encoder=outcome.by_encoder,
        failed=failed(outcome),
        base_file=base_file,
        encoder_file=encoder_file,
    )


def _png(frames: Frames) -> bytes:
    from video import clip

    return clip.to_image(frames[0], "png")


def _mp4(frames: Frames, probe: Probe, maker: Card | None, base: str, fps: int) -> bytes:
    """The clip at its own size, or twice, thrice, … that, so that a small one can be looked at.
    `maker` is the encoder's card, None for the base.
    """
    from unlearn.report.pictures import SIDE
    from video import clip

    height, width = frames.shape[1:3]
    times = max(1, round(SIDE / max(height, width)))
    provenance = {
        "generator": "palimpsest",
        "encoder": maker.id if maker else "base",
        "encoder_digest": maker.digest if maker else None,
        "base": base,
        "prompt": probe.base.prompt,
        "seed": probe.base.seed,
        "steps": probe.base.steps,
        "guidance": probe.base.guidance,
        "frames": len(frames),
        "fps": fps,
    }
    return clip.encode_mp4(frames, fps, (width * times, height * times), provenance)
