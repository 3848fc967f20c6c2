"""The model as far as taking requests needs it: no weights, and no torch.

A server that computes takes it from the model that it has loaded. One that computes nothing reads
what the others have published.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Self, get_args

from pydantic import BaseModel, ConfigDict

from encoders import Kind, PalimpsestError
from unlearn.judges.base import JudgeIdentity, Vocabulary
from video.capabilities import Capabilities
from video.errors import NoNativeDenoiser
from video.models.token_counter import Cleaning, TokenCounter

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from video.models.backbone import Backbone

_OF_NO_LIST = "zqxv"
"""A word that no judge's list has: a judge that knows it can be asked for anything."""


class NoJudge(PalimpsestError):
    """Error: the model has no judge, so forgetting cannot be measured."""

    code = "no_judge"

    def __init__(self) -> None:
        super().__init__(
            "This model came without a judge, so whether it forgets cannot be measured; the "
            "server's PALIMPSEST_JUDGE names one."
        )


@dataclass(frozen=True)
class ServedModel:
    """A model, from the view of a request."""

    name: str
    """Its name in requests."""
    base: str
    """Fingerprint of its text encoder."""
    capabilities: Capabilities
    parameters: Collection[str]
    """Names of the text encoder's parameters."""
    not_stepped: str | None
    """The reason why its denoiser cannot be learned from; None if it can."""
    judge: Vocabulary | None
    concepts: Mapping[Kind, Mapping[str, Sequence[str]]]
    """Kind → concept that the model's book has → synonyms."""
    examples: Sequence[str]
    """Prompts to begin with."""
    prompt_tokens: Callable[[str], int]
    """Counts a prompt's tokens, start and end included."""

    @classmethod
    def of(cls, backbone: Backbone, judge: Judge | None) -> Self:
        """Return the one of a loaded model."""
        return cls(
            name=backbone.name,
            base=backbone.text_encoder.fingerprint,
            capabilities=backbone.capabilities,
            parameters=backbone.text_encoder.shapes.keys(),
            not_stepped=_reason(backbone),
            judge=judge,
            concepts=backbone.prompts.concepts,
            examples=backbone.prompts.examples(),
            prompt_tokens=backbone.prompt_tokens,
        )

    def require_denoiser(self) -> None:
        """Raise NoNativeDenoiser if the model's denoiser cannot be learned from."""
        if self.not_stepped is not None:
            raise NoNativeDenoiser(self.not_stepped)

    def require_judge(self) -> Vocabulary:
        """Return what the judge knows.

        Raises:
            NoJudge: The model has none, and the settings name none.
        """
        if self.judge is None:
            raise NoJudge
        return self.judge


class PublishedJudge(BaseModel):
    """Vocabulary of a judge, without the judge."""

    model_config = ConfigDict(frozen=True)

    identity: JudgeIdentity
    labels: Mapping[Kind, Sequence[str]]
    open_kinds: frozenset[Kind]
    """Kinds of which it can be asked for any concept. The server that judges may still refuse
    one."""

    @classmethod
    def of(cls, judge: Vocabulary) -> Self:
        """Return what a judge knows."""
        kinds: Sequence[Kind] = get_args(Kind)
        return cls(
            identity=judge.identity,
            labels={kind: tuple(names) for kind, names in judge.labels.items()},
            open_kinds=frozenset(kind for kind in kinds if judge.knows(_OF_NO_LIST, kind)),
        )

    def knows(self, concept: str, kind: Kind) -> bool:
        """Return True if the judge can be asked for the concept, as far as it is known here."""
        return kind in self.open_kinds or concept in self.labels.get(kind, ())


class PublishedModel(BaseModel):
    """A model as workers publish it. Later versions may add fields."""

    model_config = ConfigDict(frozen=True)

    name: str
    base: str
    capabilities: Capabilities
    parameters: tuple[str, ...]
    not_stepped: str | None
    judge: PublishedJudge | None
    concepts: Mapping[Kind, Mapping[str, Sequence[str]]]
    examples: tuple[str, ...]
    tokenizer: str
    """Its rules, as JSON."""
    cleaning: Cleaning

    @classmethod
    def of(cls, backbone: Backbone, judge: Judge | None) -> Self:
        """Return what is published of a loaded model."""
        model, tokens = ServedModel.of(backbone, judge), backbone.tokens
        return cls(
            name=model.name,
            base=model.base,
            capabilities=model.capabilities,
            parameters=tuple(model.parameters),
            not_stepped=model.not_stepped,
            judge=None if judge is None else PublishedJudge.of(judge),
            concepts=model.concepts,
            examples=tuple(model.examples),
            tokenizer=tokens.rules(),
            cleaning=tokens.cleaning,
        )

    @property
    def identity(self) -> str:
        """The name and a hash: of two with one identity each can do what the other accepted.

        What the hash is over must not grow with a version, or old and new could not run together.
        """
        one = asdict(self.capabilities)
        limits = ("native_width", "native_height", "frames_max", "steps_max", "prompt_tokens")
        facts = {
            "base": self.base,
            "judge": None if self.judge is None else self.judge.identity.hash,
            **{name: one[name] for name in limits},
        }
        digest = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{self.name} ({digest[:12]})"

    def served(self) -> ServedModel:
        """Return the model for requests.

        Raises:
            ValueError: The tokenizer cannot be read.
        """
        return ServedModel(
            name=self.name,
            base=self.base,
            capabilities=self.capabilities,
            parameters=self.parameters,
            not_stepped=self.not_stepped,
            judge=self.judge,
            concepts=self.concepts,
            examples=self.examples,
            prompt_tokens=TokenCounter(self.tokenizer, self.cleaning).count,
        )


def _reason(backbone: Backbone) -> str | None:
    try:
        backbone.denoiser(is_video=False)
    except NoNativeDenoiser as error:
        return str(error)
    return None
