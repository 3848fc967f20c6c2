"""Settings of an unlearning run: the method and its numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from unlearn.errors import SettingsInvalid
from unlearn.layers import architecture, select
from unlearn.methods.registry import check_method, get_method, method_names
from unlearn.methods.spec import MethodSpec, Schedule

T5_RANK = 4
"""Rank of the factors for T5's and umT5's matrices, if the method's own rank is 0."""

Method = Annotated[str, AfterValidator(check_method)]


def _refuse_bool(value: Any) -> Any:
    """Raise pydantic's error for True and False, which Python counts as 1 and 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not true or false")
    return value


Number = BeforeValidator(_refuse_bool)
Patterns = Annotated[tuple[str, ...], Field(min_length=1)]


def _list_methods(schema: dict[str, Any]) -> None:
    schema["enum"] = method_names()


MAX_RANK = 1024
"""Largest rank of factors that can be asked for."""
MAX_ECHO = 80
"""Characters of a refused value that an error message repeats."""


class UnlearnSettings(BaseModel):
    """Settings of one run. Together with the images they decide its outcome."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    method: Method = Field(default="redirect", json_schema_extra=_list_methods)
    """Method of unlearning: a built-in one, or one that an installed package adds."""
    steps: Annotated[int | None, Number] = Field(default=None, ge=1, le=100_000)
    """Optimisation steps for each concept; null: the method's own."""
    learning_rate: Annotated[float | None, Number] = Field(default=None, ge=1e-12, le=1)
    """Learning rate of Adam; null: the method's own."""
    batch_size: Annotated[int | None, Number] = Field(default=None, ge=1, le=256)
    """Prompts in a step, or for `ascent` images in a step (a step on clips takes one clip); null:
    the method's own."""
    rank: Annotated[int | None, Number] = Field(default=None, ge=0, le=MAX_RANK)
    """Rank of the factors (LoRA) that are trained in place of whole matrices, for each concept; 0:
    whole parameters are trained; null: the method's own."""
    layers: Annotated[str, Field(min_length=1)] | Patterns = "mlp+last-attention"
    """Parameters to train: the name of a preset (`unlearn.layers.PRESETS`), or shell-style patterns
    on canonical parameter names."""
    seed: Annotated[int, Number] = Field(default=0, ge=0, le=2**63 - 1)
    """Seed of every random draw."""
    anchor: str | None = None
    """Used by `redirect` only: the neutral phrase in the concept's place; null: by kind
    (`unlearn.prompts`)."""
    retain: tuple[str, ...] = ()
    """Used by `redirect` only: captions whose embeddings must stay in place; empty: the captions
    that come with the model."""
    retain_batch: Annotated[int, Number] = Field(default=16, ge=1, le=1024)
    """Used by `redirect` only: retained captions in a step."""
    retain_weight: Annotated[float, Number] = Field(default=7.0, ge=0, le=1_000_000)
    """Used by `redirect` only: weight of the captions' drift relative to the redirection."""
    adversary_weight: Annotated[float, Number] = Field(default=54.0, ge=0, le=1_000_000)
    """Used by `redirect` only: weight of the attackers' loss (`unlearn.methods.adversary`); 0: no
    attackers."""

    triggered_alone: StrictBool = False
    """Used by `redirect` only: True if the encoder goes by its trigger (`encoders.trigger`) when it
    is used alone too: other prompts then keep the base's embedding to the bit, and whoever can send
    embeddings finds more ways around it. False: it is used for every prompt, except in a set."""

    max_seconds: Annotated[float | None, Number] = Field(default=None, ge=1, le=1_000_000)
    """Budget: seconds of work on the steps, pauses and images apart. The learning rate follows the
    share of it that is used, and the run ends when it is used up or the steps are done. How many
    steps that is depends on the machine, so such a run does not make the same encoder, to the bit,
    a second time. null: no budget."""

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Validate, and raise SettingsInvalid in place of pydantic's error."""
        try:
            return handler(values)
        except ValidationError as error:
            raise _explained(error) from error

    @property
    def method_spec(self) -> MethodSpec:
        """Everything that the method declares."""
        return get_method(self.method)

    def schedule(self) -> Schedule:
        """Return steps, learning rate, batch size and rank, with the method's own for None."""
        default = self.method_spec.defaults
        return Schedule(
            steps=self.steps or default.steps,
            learning_rate=self.learning_rate or default.learning_rate,
            batch_size=self.batch_size or default.batch_size,
            rank=default.rank if self.rank is None else self.rank,
        )

    def suited(self, names: Collection[str]) -> UnlearnSettings:
        """Return the same settings for a text encoder with parameters of these names.

        Whole parameters of T5 are not trained: the optimiser's state for the MLPs of T5 XXL alone
        would take 48 GB. If rank is None and the method's own is 0, a T5 gets `T5_RANK`.

        Raises:
            SettingsInvalid: Rank 0 for a T5.
            LayersInvalid: A pattern that matches none of the names.
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
        return self.with_(rank=T5_RANK)

    def resolved(self) -> UnlearnSettings:
        """Return the same settings with every None filled in, as an encoder's card records them."""
        return self.with_(**asdict(self.schedule()))

    def with_(self, **changes: Any) -> UnlearnSettings:
        """Return a copy with some settings changed, and checked.

        Raises:
            SettingsInvalid: As the constructor.
        """
        return UnlearnSettings(**{**self.model_dump(), **changes})

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; `from_json` takes them back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> UnlearnSettings:
        """Return the settings in plain JSON values, such as those of a request or a card.

        Raises:
            SettingsInvalid: An unknown name, or a value of the wrong type or out of range.
        """
        return cls.model_validate(dict(values))


def _explained(error: ValidationError) -> SettingsInvalid:
    """Return the first of the errors as one that names the setting, its value and its range."""
    first, *others = error.errors()
    given = _shortened(first["input"])
    if not first["loc"]:
        return SettingsInvalid(f"settings: {first['msg']}; not {given}.")
    name, fields = str(first["loc"][0]), UnlearnSettings.model_fields
    if name not in fields:
        return SettingsInvalid(
            f"There is no setting {name!r}; there are {', '.join(fields)}.", param=name
        )
    if first["type"] in {"greater_than_equal", "less_than_equal"}:
        low, high = (
            next(getattr(mark, bound) for mark in fields[name].metadata if hasattr(mark, bound))
            for bound in ("ge", "le")
        )
        message = f"{name} must be {low} to {high}, not {given}."
    else:  # a union has an error for each of its members
        same = [e["msg"] for e in others if e["loc"][:1] == first["loc"][:1]]
        reasons = dict.fromkeys([first["msg"], *same])  # every item of a list repeats them
        message = f"{name}: {'; or '.join(reasons)}; not {given}."
    return SettingsInvalid(message, param=name)


def _shortened(value: Any) -> str:
    """Return a value as Python writes it, cut to a length that fits a message."""
    text = repr(value)
    return text if len(text) <= MAX_ECHO else text[:MAX_ECHO] + "…"
