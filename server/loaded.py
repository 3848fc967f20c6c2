"""The models of a running server, and what goes with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from server.served_model import ServedModel

if TYPE_CHECKING:
    from encoders.residency import Residency
    from encoders.store import EncoderStore
    from server.storage.staging import StagingStore
    from unlearn.judges.base import Judge
    from video import Engine
    from video.models.backbone import Backbone


@dataclass(frozen=True)
class Loaded:
    """Everything that exists only once the models are loaded."""

    engine: Engine
    backbone: Backbone
    store: EncoderStore
    """Published encoders."""
    staging: StagingStore
    """Encoders that are made but not judged yet, behind the published ones."""
    residency: Residency
    judge: Judge | None
    """The judge that the settings name, or the model's own; None if there is neither."""

    @cached_property
    def served(self) -> ServedModel:
        """The model, as far as taking requests needs it."""
        return ServedModel.of(self.backbone, self.judge)
