"""Outcomes: the judge's verdicts on pictures, kept on disk so that a stopped run can continue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from benchmarks.forgetting.cases import Case
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.sampling import STILLS_AT_ONCE, SampleRequest, sample
from unlearn.judges.classifier import HEADS, NEITHER, ClassifierJudge, frames_to_input
from video.frames import Frames
from video.models.backbone import Backbone


@dataclass(frozen=True)
class SampleOutcome:
    """The judge's verdict on one picture."""

    shown: list[bool]
    """Frame by frame: true if it shows the case's concept."""
    valid: list[bool]
    """Frame by frame: true if it shows any concept that the judge's head knows."""
    moved: float
    """Mean absolute change from frame to frame, of 255; 0 for a still."""
    features: list[float]
    """The judge's features of the middle frame."""

    @property
    def any(self) -> bool:
        """True if any frame shows the concept: the rule for forgotten concepts."""
        return any(self.shown)

    @property
    def most(self) -> bool:
        """True if most frames show the concept: the rule for retained concepts."""
        return 2 * sum(self.shown) > len(self.shown)


def outcome(judge: ClassifierJudge, frames: Frames, case: Case) -> SampleOutcome:
    """Return the judge's verdict on a still (1,H,W,3) or a clip (F,H,W,3)."""
    head = HEADS[case.kind]
    words = judge.read(frames, head)
    moved = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean() if len(frames) > 1 else 0.0
    return SampleOutcome(
        [word == case.concept for word in words],
        [word != NEITHER[head] for word in words],
        round(float(moved), 3),
        features(judge, frames[len(frames) // 2][None])[0],
    )


@torch.inference_mode()
def features(judge: ClassifierJudge, frames: Frames) -> list[list[float]]:
    """Return the pooled features of the judge's frame network: F lists of 256 numbers."""
    maps = judge.frame_network.features(frames_to_input(frames))
    pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
    return [[round(value, 3) for value in row] for row in pooled.tolist()]


class OutcomeStore:
    """Outcomes by model, method and list of cases, one JSON Lines file each.

    Args:
        folder: the folder of the files.
        judge: the judge of new pictures.
    """

    def __init__(self, folder: Path, judge: ClassifierJudge) -> None:
        self._folder = folder
        self._judge = judge

    def on_file(self, name: str) -> list[SampleOutcome]:
        """Return the saved outcomes of a list, in the order in which they were made."""
        return list(self._seen(name).values())

    def outcomes(
        self,
        name: str,
        cases: Iterator[Case],
        count: int,
        backbone: Backbone,
        intervention: Intervention | None,
    ) -> list[SampleOutcome]:
        """Return the outcomes of the first `count` cases; make and save the missing ones.

        Args:
            name: the list's name. It has to identify everything that a picture depends on, except
                its prompt and its seed: outcomes saved under the name are reused.
            cases: the list, from its beginning.
            count: number of cases.
            backbone: the model that makes missing pictures.
            intervention: the change of that model; None: no change.
        """
        wanted = list(islice(cases, count))
        seen = self._seen(name)
        missing = [case for case in wanted if (case.prompt, case.seed) not in seen]
        at_once = 4 if wanted and wanted[0].is_video else STILLS_AT_ONCE
        for start in range(0, len(missing), at_once):
            some = missing[start : start + at_once]
            found = self._look(some, backbone, intervention)
            with self._path(name).open("a") as file:
                for case, one in zip(some, found, strict=True):
                    seen[case.prompt, case.seed] = one
                    entry = {"prompt": case.prompt, "seed": case.seed, **asdict(one)}
                    file.write(json.dumps(entry) + "\n")
        return [seen[case.prompt, case.seed] for case in wanted]

    def _seen(self, name: str) -> dict[tuple[str, int], SampleOutcome]:
        """Return the saved outcomes by prompt and seed."""
        path = self._path(name)
        lines = path.read_text().splitlines() if path.exists() else []
        entries = map(json.loads, lines)
        return {
            (entry.pop("prompt"), entry.pop("seed")): SampleOutcome(**entry) for entry in entries
        }

    def _path(self, name: str) -> Path:
        path = self._folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _look(
        self, cases: Sequence[Case], backbone: Backbone, intervention: Intervention | None
    ) -> list[SampleOutcome]:
        """Make and judge the pictures of cases, in their order; stills and clips may be mixed."""
        seen: dict[int, SampleOutcome] = {}
        for is_video in (False, True):
            chosen = [i for i, case in enumerate(cases) if case.is_video == is_video]
            if not chosen:
                continue  # a model may lack one of the two
            shots = [SampleRequest(cases[i].prompt, cases[i].seed) for i in chosen]
            pictures = sample(backbone, shots, is_video=is_video, intervention=intervention)
            for i, frames in zip(chosen, pictures, strict=True):
                seen[i] = outcome(self._judge, frames, cases[i])
        return [seen[i] for i in range(len(cases))]
