"""The files of an encoder's report: what it forgets and keeps, how it was made, what it cannot do.

A report is for people who decide on an encoder without running anything. `report.json` holds all of
it for programs, `report.html` (`unlearn.report.page`) the same as one page to pass on. Beside them
lie the clips and stills that the page shows, as they were judged.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

from encoders.card import Card
from encoders.version import VERSION
from marking.clip_statement import ClipStatement
from unlearn.report.caveats import caveats
from unlearn.report.model import (
    FAILURE_JSON,
    PAGE_VERSION,
    REPORT_HTML,
    REPORT_JSON,
    Failure,
    FileSizes,
    Pair,
    Report,
    Sampling,
)
from unlearn.report.page import render_page

if TYPE_CHECKING:
    from datetime import datetime

    from unlearn.judges.base import JudgeIdentity
    from unlearn.report.pictures import Inline
    from unlearn.trial.outcomes import Outcome
    from unlearn.trial.probes import Probe
    from video.capabilities import Capabilities
    from video.frames import Frames

Clips: TypeAlias = "Callable[[Probe], tuple[Frames, Frames]]"
"""A probe → its clip by the base and its clip by the encoder, (F,H,W,3)."""

Sign: TypeAlias = "Callable[[str, bytes, ClipStatement], bytes]"
"""A file's name, its content and what it says of itself → the signed file."""

CLIPS_SHOWN, STILLS_SHOWN = 4, 8
"""The most pairs that are shown of each group: those to be forgotten, those to be kept."""
FAILURES_SHOWN = 6
"""The most pairs that are kept of an encoder that did not pass."""

_LIBRARIES = ("torch", "diffusers", "transformers")


def shown_of(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Choose the outcomes whose clips the report shows, in the order in which it shows them.

    First what is to be forgotten, then what is to be kept; of each the clips, then the stills; of
    these the failed ones, then those that show another concept in place of the forgotten one, then
    the others: kept ones by their distance from the base's, the farthest first, the rest in the
    order in which they were judged. The rule leaves nothing to be picked by hand.

    An outcome that is shown in the end was among those shown after every earlier round since it was
    judged, so clips can be dropped between rounds.
    """
    found: list[Outcome] = []
    failed_first = sorted(
        outcomes,
        key=lambda one: (not failed(one), one.redirected_to is None, -(one.distance or 0.0)),
    )
    for is_target in (True, False):
        of_group = [outcome for outcome in failed_first if outcome.probe.is_target == is_target]
        found += [o for o in of_group if o.probe.base.frames is not None][:CLIPS_SHOWN]
        found += [o for o in of_group if o.probe.base.frames is None][:STILLS_SHOWN]
    return found


def failed(outcome: Outcome) -> bool:
    """Return true if the encoder shows what it is to forget, or loses what it is to keep."""
    if outcome.probe.is_target:
        return outcome.by_encoder
    return outcome.by_base and not outcome.by_encoder


def report_files(
    card: Card,
    outcomes: Sequence[Outcome],
    clips: Clips,
    *,
    losses: Sequence[float],
    judge: JudgeIdentity,
    model: str,
    capabilities: Capabilities,
    sizes: FileSizes,
    issuer: str = "",
    judged_at: datetime | None = None,
    sign: Sign = lambda name, content, clip: content,
) -> dict[str, bytes]:
    """Make the report's files.

    The same arguments give the same bytes.

    Args:
        card: the encoder's card; its measures include those of the outcomes, and the `gate`.
        outcomes: the outcomes of all probes that were judged, in that order.
        clips: called for the probes of `shown_of(outcomes)` only.
        losses: the objective at every optimisation step.
        judge: the identity of the judge; the report prints it.
        model: the backbone's name.
        capabilities: the backbone's; the pictures were made with its defaults.
        sizes: the sizes of the encoder and its base.
        issuer: the name of whoever issues the report; the page prints it.
        judged_at: the time of judging, for an encoder that was published before.
        sign: signs the clips and stills; without it they stay unsigned.

    Returns:
        File name → content.
    """
    # Pillow and PyAV are needed for the pictures alone, not by those who import `shown_of`.
    from unlearn.report import pictures

    files: dict[str, bytes] = {}
    inline: dict[str, list[Inline]] = {}
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
            statement = ClipStatement(
                id=name, encoder_identity=maker.identity if maker else None, base=card.base
            )
            files[name] = sign(name, files[name], statement)
    report = Report(
        model=model,
        card=card,
        sizes=sizes,
        judge=str(judge),
        judge_hash=judge.hash,
        judged_at=judged_at,
        issuer=issuer,
        page_version=PAGE_VERSION,
        sampling=Sampling(
            width=capabilities.native_width,
            height=capabilities.native_height,
            fps=capabilities.fps_default,
            steps=capabilities.steps_default,
            guidance=capabilities.guidance_default,
        ),
        losses=list(losses),
        pairs=[_pair(outcome, card, *names.get(outcome, (None, None))) for outcome in outcomes],
        files={name: f"sha256:{sha256(data).hexdigest()}" for name, data in files.items()},
        caveats=caveats(card.measures, str(judge)),
        software={
            "palimpsest": VERSION,
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
    )
    files[REPORT_JSON] = report.model_dump_json(indent=2).encode()
    files[REPORT_HTML] = render_page(report, inline).encode()
    return files


def failure_files(
    card: Card, outcomes: Sequence[Outcome], clips: Clips, fps: int
) -> dict[str, bytes]:
    """Make the files that show why an encoder did not pass: pairs that count against it.

    If none does, as where the base does not draw the concept either, the first pairs are shown.

    Args:
        card: the encoder's card, with its measures.
        outcomes: the outcomes of all probes that were judged, in that order.
        clips: as for `report_files`.
        fps: of the clips.

    Returns:
        File name → content; `FAILURE_JSON` says which pair each is of.
    """
    shown = shown_of(outcomes)
    against = [outcome for outcome in shown if failed(outcome)] or shown
    files: dict[str, bytes] = {}
    pairs: list[Pair] = []
    for outcome, names in _names(against[:FAILURES_SHOWN]).items():
        for name, frames, maker in zip(names, clips(outcome.probe), (None, card), strict=True):
            is_still = outcome.probe.base.frames is None
            files[name] = (
                _png(frames) if is_still else _mp4(frames, outcome.probe, maker, card.base, fps)
            )
        pairs.append(_pair(outcome, card, *names))
    files[FAILURE_JSON] = Failure(pairs=pairs).model_dump_json().encode()
    return files


def _names(shown: Sequence[Outcome]) -> dict[Outcome, tuple[str, str]]:
    """Name the two files of each outcome that is shown, the base's first."""
    found: dict[Outcome, tuple[str, str]] = {}
    for is_target, group in ((True, "forgotten"), (False, "kept")):
        of_group = [outcome for outcome in shown if outcome.probe.is_target == is_target]
        for place, outcome in enumerate(of_group, 1):
            ending = "png" if outcome.probe.base.frames is None else "mp4"
            stem = f"{group}-{place:02}"
            found[outcome] = f"{stem}-base.{ending}", f"{stem}-encoder.{ending}"
    return found


def _pair(outcome: Outcome, card: Card, base_file: str | None, encoder_file: str | None) -> Pair:
    probe, unit, apart = outcome.probe, card.measures.get("retain_distance_unit"), outcome.distance
    return Pair(
        prompt=probe.base.prompt,
        seed=probe.base.seed,
        concept=probe.concept,
        kind=probe.kind,
        is_target=probe.is_target,
        frames=probe.base.frames or 1,
        shown_base=outcome.by_base,
        shown_encoder=outcome.by_encoder,
        redirected_to=outcome.redirected_to,
        neighbour=probe.neighbour,
        distance=round(apart / unit, 3) if apart is not None and isinstance(unit, float) else None,
        failed=failed(outcome),
        base_file=base_file,
        encoder_file=encoder_file,
    )


def _png(frames: Frames) -> bytes:
    from video import clip

    return clip.to_image(frames[0], "png")


def _mp4(frames: Frames, probe: Probe, maker: Card | None, base: str, fps: int) -> bytes:
    """Encode the clip, a small one enlarged by a whole number to about `pictures.SIDE` pixels.

    `maker` is the encoder's card, None for the base.
    """
    from unlearn.report.pictures import SIDE
    from video import clip

    height, width = frames.shape[1:3]
    times = max(1, round(SIDE / max(height, width)))
    provenance = {
        "generator": "palimpsest",
        "encoder_identity": maker.identity if maker else None,
        "base": base,
        "seed": probe.base.seed,
        "steps": probe.base.steps,
        "guidance": probe.base.guidance,
        "frames": len(frames),
        "fps": fps,
    }
    return clip.encode_mp4(frames, fps, (width * times, height * times), provenance)
