"""The report of an encoder: what it forgets, what it keeps, how it was made, what it cannot do.

It is for people who have to decide on the encoder without running anything. `report.json` has all
of it for programs; `report.html` (:mod:`unlearn.report_page`) the same as one page to hand on; and
beside them lie the clips and stills that the page shows, as they were judged.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from encoders.card import Card, Sha256
from encoders.version import VERSION
from unlearn.caveats import Caveat, caveats
from unlearn.judging import any_frame, most_frames

if TYPE_CHECKING:
    from torch import Tensor

    from encoders import TextEncoder
    from unlearn.judge import Judge
    from unlearn.judging import Plan
    from video.backbone import Frames, Limits

REPORT_JSON, REPORT_HTML = "report.json", "report.html"
CLIPS_SHOWN, STILLS_SHOWN = 4, 8
"""Pairs shown at most, of those that were to be forgotten and of those that were to be kept."""

_LIBRARIES = ("torch", "diffusers", "transformers")


@dataclass(frozen=True)
class Pair:
    """The same prompt and seed with the base and with the encoder, and what the judge saw."""

    prompt: str
    seed: int
    concept: str
    """What the prompt names and the judge looked for."""
    is_target: bool
    """Whether it is to be forgotten, or to be kept."""
    base: Frames
    """(F,H,W,3); one frame is a still of the image twin."""
    encoder: Frames
    shown_base: bool | None
    """Whether the judge says that the picture shows the concept; None: it was not asked."""
    shown_encoder: bool | None

    @property
    def failed(self) -> bool:
        """Whether it counts against the encoder: not forgotten, or lost though the base had it."""
        if self.is_target:
            return self.shown_encoder is True
        return self.shown_base is True and self.shown_encoder is False


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sizes(_Part):
    """Bytes of the encoder's file, and of a file with its base's tensors in the same precision."""

    encoder_bytes: int
    base_bytes: int
    ratio: float
    """The first of the second."""

    @classmethod
    def of(cls, overrides: Mapping[str, Tensor], base: TextEncoder) -> Sizes:
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


class JudgedPair(_Part):
    """A pair as the report lists it."""

    prompt: str
    seed: int
    concept: str
    is_target: bool
    frames: int
    """Of the clip; 1 for a still."""
    shown_base: bool | None
    shown_encoder: bool | None
    failed: bool
    """Whether it counts against the encoder: not forgotten, or lost though the base had it."""
    base_file: str | None
    """The report's file with the base's picture, if the report shows the pair."""
    encoder_file: str | None


class Report(_Part):
    """Everything that the page says."""

    schema_version: Literal[1] = 1
    model: str
    """What the backbone is called."""
    card: Card
    """What is forgotten, method, settings, seed, fingerprints, parent, measures."""
    sizes: Sizes
    gate: dict[str, JsonValue]
    """What the measures had to reach before the encoder was published."""
    judge: str
    sampling: Sampling
    losses: list[float]
    """The objective at every optimisation step."""
    pairs: list[JudgedPair]
    """All that were judged, in that order."""
    files: dict[str, Sha256]
    """The clips and stills beside the report."""
    caveats: tuple[Caveat, ...]
    """What this kind of unlearning cannot do."""
    software: dict[str, str]


def paired(plan: Plan, clips: Sequence[Frames], judge: Judge) -> list[Pair]:
    """The pairs of a plan.

    Args:
        plan: what was asked.
        clips: those of ``plan.requests()``, the base's and the encoder's in turn.
        judge: looks at them once more, for what it says of each.
    """
    return [
        Pair(
            prompt=probe.base.prompt,
            seed=probe.base.seed,
            concept=probe.concept,
            is_target=probe.is_target,
            base=base,
            encoder=encoder,
            shown_base=rule(judge.shows(base, probe.concept, probe.kind)),
            shown_encoder=rule(judge.shows(encoder, probe.concept, probe.kind)),
        )
        for probe, base, encoder in zip(plan.probes, clips[::2], clips[1::2], strict=True)
        for rule in [any_frame if probe.is_target else most_frames]
    ]


def report_files(
    card: Card,
    pairs: Sequence[Pair],
    *,
    losses: Sequence[float],
    gate: Mapping[str, JsonValue],
    judge: str,
    model: str,
    limits: Limits,
    sizes: Sizes,
) -> dict[str, bytes]:
    """File name → content, for the store. The same arguments give the same bytes.

    Args:
        card: with the measures of the pairs.
        pairs: all that were judged, in that order.
        losses: the objective at every optimisation step.
        gate: what the measures had to reach.
        judge: who said whether a picture shows a concept.
        model: what the backbone is called.
        limits: the backbone's; the pictures were made with its defaults.
        sizes: of the encoder and its base.
    """
    from unlearn import report_pictures
    from unlearn.report_page import page

    files: dict[str, bytes] = {}
    inline: dict[str, list[report_pictures.Inline]] = {}
    names = _names(pairs)
    for number, (base_file, encoder_file) in names.items():
        pair = pairs[number]
        for name, frames in ((base_file, pair.base), (encoder_file, pair.encoder)):
            if len(frames) == 1:
                files[name] = _png(frames)
                inline[name] = [report_pictures.still(frames)]
            else:
                by = card if name == encoder_file else None
                files[name] = _mp4(frames, pair, by, card.base, limits)
                moving = report_pictures.preview(frames, limits.fps_default)
                inline[name] = [moving, report_pictures.strip(frames)]
    report = Report(
        model=model,
        card=card,
        sizes=sizes,
        gate=dict(gate),
        judge=judge,
        sampling=Sampling(
            width=limits.native_width,
            height=limits.native_height,
            fps=limits.fps_default,
            steps=limits.steps_default,
            guidance=limits.guidance_default,
        ),
        losses=list(losses),
        pairs=[_judged(pair, *names.get(i, (None, None))) for i, pair in enumerate(pairs)],
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


def _names(pairs: Sequence[Pair]) -> dict[int, tuple[str, str]]:
    """Which pairs are shown, by their number, and the files of each. Those that count against the
    encoder come first, then the others in the order in which they were judged: nobody chooses."""
    found: dict[int, tuple[str, str]] = {}
    order = sorted(range(len(pairs)), key=lambda i: not pairs[i].failed)
    for is_target, group in ((True, "forgotten"), (False, "kept")):
        of_group = [i for i in order if pairs[i].is_target == is_target]
        clips = [i for i in of_group if len(pairs[i].base) > 1][:CLIPS_SHOWN]
        stills = [i for i in of_group if len(pairs[i].base) == 1][:STILLS_SHOWN]
        for place, i in enumerate([*clips, *stills], 1):
            ending = "mp4" if i in clips else "png"
            stem = f"{group}-{place:02}"
            found[i] = f"{stem}-base.{ending}", f"{stem}-encoder.{ending}"
    return found


def _judged(pair: Pair, base_file: str | None, encoder_file: str | None) -> JudgedPair:
    return JudgedPair(
        prompt=pair.prompt,
        seed=pair.seed,
        concept=pair.concept,
        is_target=pair.is_target,
        frames=len(pair.base),
        shown_base=pair.shown_base,
        shown_encoder=pair.shown_encoder,
        failed=pair.failed,
        base_file=base_file,
        encoder_file=encoder_file,
    )


def _png(frames: Frames) -> bytes:
    from video import clip

    return clip.to_image(frames[0], "png")


def _mp4(frames: Frames, pair: Pair, by: Card | None, base: str, limits: Limits) -> bytes:
    """The clip at its own size, or twice, thrice, … that, so that a small one can be looked at."""
    from unlearn.report_pictures import SIDE
    from video import clip

    height, width = frames.shape[1:3]
    times = max(1, round(SIDE / max(height, width)))
    provenance = {
        "generator": "palimpsest",
        "encoder": by.id if by else "base",
        "encoder_digest": by.digest if by else None,
        "base": base,
        "prompt": pair.prompt,
        "seed": pair.seed,
        "steps": limits.steps_default,
        "guidance": limits.guidance_default,
        "frames": len(frames),
        "fps": limits.fps_default,
    }
    return clip.encode_mp4(frames, limits.fps_default, (width * times, height * times), provenance)
