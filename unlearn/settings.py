"""How to unlearn: the method and its numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, cast, get_args

from pydantic import TypeAdapter, ValidationError

from encoders import PalimpsestError
from unlearn.layers import architecture, select

Method = Literal["redirect", "ascent"]
"""`ascent` is the published method: gradient ascent on the diffusion loss. `redirect` pulls the
concept's embeddings towards a neutral prompt's, and holds on to everything else."""


class SettingsInvalid(PalimpsestError):
    """A setting that does not exist or is out of range; `param` names it."""

    code = "invalid_settings"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a method goes."""

    steps: int
    learning_rate: float
    batch_size: int
    rank: int


DEFAULTS: Mapping[Method, Schedule] = {
    "redirect": Schedule(steps=180, learning_rate=2e-2, batch_size=8, rank=2),
    "ascent": Schedule(steps=30, learning_rate=1e-3, batch_size=2, rank=0),
}
"""Where a setting is left open. On the built-in model (`make bench-forgetting`) ascent still leaves
styles and motions standing, and more of it takes more of everything else along. Settings do not
carry over from one base to another (the paper's own for CLIP ViT-L/14 are 8 to 10 steps at 1e-5):
measure what they do."""


T5_RANK = 4
"""Of the factors that are trained of T5's and umT5's matrices by a method that would train them
whole."""


@dataclass(frozen=True)
class UnlearnSettings:
    """Settings of one run. All that matters for its outcome, together with images and seed.

    Raises:
        SettingsInvalid: a value out of range.
    """

    method: Method = "redirect"
    steps: int | None = None
    """Optimisation steps a concept; None: the method's own (`DEFAULTS`)."""
    learning_rate: float | None = None
    """Adam's; None: the method's own."""
    batch_size: int | None = None
    """Prompts a step, or for ascent images, of which a clip is a step's by itself; None: the
    method's own."""
    rank: int | None = None
    """Of the factors that are trained in place of whole matrices, for each concept (LoRA); 0: whole
    parameters; None: the method's own."""
    layers: str | tuple[str, ...] = "mlp+last-attention"
    """What is trained: a name of `unlearn.layers.PRESETS`, or patterns on canonical names."""
    seed: int = 0
    anchor: str | None = None
    """Redirect only: what to put in the concept's place; None: by kind (`unlearn.prompts`)."""
    retain: tuple[str, ...] = ()
    """Redirect only: captions to hold on to; none: those that come with the model."""
    retain_batch: int = 16
    """Redirect only: captions a step."""
    retain_weight: float = 12.0
    """Redirect only: weight of the drift on captions against the redirection."""
    adversary_weight: float = 54.0
    """Redirect only: weight of the loss that attackers cause (`unlearn.methods.adversary`); 0:
    none."""

    def __post_init__(self) -> None:
        for name, ok, needed in (
            ("method", self.method in get_args(Method), f"one of {get_args(Method)}"),
            ("steps", _open_or_within(self.steps, 1, 100_000), "1 to 100000"),
            ("learning_rate", _open_or_within(self.learning_rate, 1e-12, 1), "1e-12 to 1"),
            ("batch_size", _open_or_within(self.batch_size, 1, 256), "1 to 256"),
            ("rank", _open_or_within(self.rank, 0, 1024), "0 to 1024"),
            ("layers", bool(self.layers), "a preset or patterns"),
            ("seed", 0 <= self.seed < 2**63, "0 to 2^63 − 1"),
            ("retain_batch", 1 <= self.retain_batch <= 1024, "1 to 1024"),
            ("adversary_weight", 0 <= self.adversary_weight <= 1e6, "0 to 1e6"),
            ("retain_weight", 0 <= self.retain_weight <= 1e6, "0 to 1e6"),
        ):
            if not ok:
                raise SettingsInvalid(
                    f"{name} must be {needed}, not {getattr(self, name)!r}.", param=name
                )

    def schedule(self) -> Schedule:
        """Steps, learning rate and batch size, with what is left open filled in."""
        default = DEFAULTS[self.method]
        return Schedule(
            steps=self.steps or default.steps,
            learning_rate=self.learning_rate or default.learning_rate,
            batch_size=self.batch_size or default.batch_size,
            rank=default.rank if self.rank is None else self.rank,
        )

    def suited(self, names: Collection[str]) -> UnlearnSettings:
        """The same settings for a text encoder with parameters of these names.

        Whole parameters of T5 are not trained: the optimiser's state for the MLPs of T5 XXL alone
        would take 48 GB. Where the rank is left open it is `T5_RANK` if it would be 0.

        Raises:
            SettingsInvalid: rank 0 for a T5.
            LayersInvalid: a pattern that matches none of the names.
        """
        select(names, self.layers)
        if architecture(names) != "t5" or self.schedule().rank > 0:
            return self
        if self.rank == 0:
            raise SettingsInvalid(
                "rank must be 1 or more for T5 and umT5, whose matrices are too large to be "
                "trained whole; 0 is for CLIP.",
                param="rank",
            )
        return replace(self, rank=T5_RANK)

    def resolved(self) -> UnlearnSettings:
        """The same settings with nothing left open: what an encoder's card records."""
        return replace(self, **asdict(self.schedule()))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; `from_json` takes them back."""
        values = asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> UnlearnSettings:
        """Settings from plain JSON values, as a request or a card has them.

        Raises:
            SettingsInvalid: an unknown name, or a value of the wrong type or out of range.
        """
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(names)):
            raise SettingsInvalid(
                f"There is no setting {unknown[0]!r}; there are {', '.join(names)}.",
                param=unknown[0],
            )
        try:
            # Through the type adapter for the types; __post_init__ then sees to the ranges.
            return cast(UnlearnSettings, TypeAdapter(cls).validate_python(dict(values)))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else None
            raise SettingsInvalid(f"{name or 'settings'}: {first['msg']}", param=name) from error


def _open_or_within(value: float | None, low: float, high: float) -> bool:
    return value is None or low <= value <= high
