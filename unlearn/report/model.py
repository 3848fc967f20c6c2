"""The report as data: the content of `report.json`, and all that the page prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from encoders.card import MARGINS, Card, Kind, Sha256
from unlearn.report.caveats import Caveat

if TYPE_CHECKING:
    from torch import Tensor

    from encoders.text_encoder import TextEncoder

REPORT_JSON, REPORT_HTML = "report.json", "report.html"
FAILURE_JSON = "failure.json"
PAGE_VERSION = 3
"""The form of the page. A stored page of an earlier one is made again when it is read."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileSizes(_Part):
    """Bytes of the encoder's file, and of a file with its base's tensors in the same precision."""

    encoder_bytes: int
    base_bytes: int
    ratio: float
    """`encoder_bytes / base_bytes`."""

    @classmethod
    def of(cls, base: TextEncoder, *overrides: Mapping[str, Tensor]) -> FileSizes:
        """Compute the sizes of an encoder with these overrides, or of a set of encoders."""
        from encoders.overrides_file import to_bytes

        ours = sum(len(to_bytes(each)) for each in overrides)
        theirs = sum(2 * shape.numel() for shape in base.shapes.values())
        return cls(encoder_bytes=ours, base_bytes=theirs, ratio=ours / theirs)


class Sampling(_Part):
    """The settings with which the judged pictures were made."""

    width: int
    height: int
    fps: int
    steps: int
    guidance: float


class Pair(_Part):
    """The same prompt and seed with the base and with the encoder, and the judge's answers."""

    prompt: str
    seed: int
    concept: str
    """The concept that the prompt names and the judge looked for."""
    kind: Kind
    is_target: bool
    """True if the concept is to be forgotten, false if it is to be kept."""
    frames: int
    """The length of the clip; 1 for a still of the image twin."""
    shown_base: bool
    """True if the judge sees the concept in the base's picture."""
    shown_encoder: bool
    """True if the judge sees the concept in the encoder's picture."""
    redirected_to: str | None = None
    """Another concept that the encoder's picture shows in place of the forgotten one."""
    neighbour: bool = False
    """True for a near concept, which is counted by itself."""
    distance: float | None = None
    """Distance of the two pictures, where 1 is that of two seeds; None if it was not measured."""
    failed: bool
    """True if the encoder shows a concept that it is to forget, or does not show one that it is to
    keep and that the base does show."""
    base_file: str | None
    """The report's file with the base's picture; None if the report does not show it."""
    encoder_file: str | None
    """The report's file with the encoder's picture; None if the report does not show the pair."""


class Failure(_Part):
    """Pairs that speak against an encoder that did not pass."""

    pairs: list[Pair]
    """Those with a file for each half."""


class Report(_Part):
    """The whole report of one encoder."""

    schema_version: Literal[1] = 1
    model: str
    """The backbone's name."""
    card: Card
    """The encoder's card. Its measures include the thresholds of the gate."""
    sizes: FileSizes
    judge: str
    """The judge's name and version."""
    judge_hash: Sha256 | None = None
    """The hash over all data that decides the judge's answers; None in older reports."""
    judged_at: AwareDatetime | None = None
    """The end of judging if the encoder was judged after it was published; else None, and
    `card.created_at` is the report's date."""
    issuer: str = ""
    """The name of whoever issues the report; empty if the server's settings name nobody."""
    sampling: Sampling
    losses: list[float]
    """The objective at every optimisation step."""
    pairs: list[Pair]
    """All pairs that were judged, in that order."""
    files: dict[str, Sha256]
    """The clips and stills beside the report, by file name."""
    caveats: tuple[Caveat, ...]
    """The limits of this kind of unlearning."""
    software: dict[str, str]
    """The versions of the software that made the report, by package."""
    page_version: int = 1
    """The `PAGE_VERSION` of the stored page."""
    without_base: bool = False
    """True if the base's pictures were taken out (`reduced`)."""
    without_parent: bool = False
    """True if the parent's id, or the members' ids, were taken out (`reduced`)."""
    without_trigger: bool = False
    """True if the trigger's thresholds, or a merged encoder's members, were taken out
    (`reduced`)."""

    @property
    def date(self) -> datetime:
        """The date of the report: the time at which the encoder was judged."""
        return self.judged_at or self.card.created_at

    @property
    def is_reduced(self) -> bool:
        """True if something was taken out."""
        return self.without_base or self.without_parent or self.without_trigger

    def reduced(self, *, base: bool = True, parent: bool = True, trigger: bool = True) -> Report:
        """Return the report without what a reader may not see. All figures stay.

        Args:
            base: True to take out the base's pictures, for a reader who may not use the base.
            parent: True to take out the ids of parent and members, for a reader who may not use
                them.
            trigger: True to take out what helps to get around the encoder: the trigger, the ways
                that are not forgotten, and the settings that name the members of a merged encoder.
        """
        changes: dict[str, Any] = {}
        if base:
            of_base = {pair.base_file for pair in self.pairs}
            files = {name: digest for name, digest in self.files.items() if name not in of_base}
            pairs = [pair.model_copy(update={"base_file": None}) for pair in self.pairs]
            changes |= {"pairs": pairs, "files": files, "without_base": True}
        card = self.card
        if parent:
            card = card.model_copy(update={"parent": None, "members": ()})
            changes |= {"card": card, "without_parent": True}
        has_open_ways = any(c != c.without_open_ways() for c in card.concepts)
        is_private = card.trigger is not None or MARGINS in card.measures or has_open_ways
        if trigger and (is_private or "members" in card.settings):
            changes |= {"card": card.without_trigger(), "without_trigger": True}
        return self.model_copy(update=changes)
