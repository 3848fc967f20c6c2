"""Models of the answers about what the model can do, and about a prompt's tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from encoders import Kind
from server.api.request_fields import Line, StrictRequest
from server.auth.keys import Role
from unlearn.trial.tiers import Tier, TierName


class FieldRange(BaseModel):
    """Range of a request's field."""

    least: float
    most: float
    default: float


class CallerAbilities(BaseModel):
    """The caller's key, and what it may do."""

    id: str
    role: Role
    needed: bool
    """False on a server without keys, where every request of this machine is an admin's."""
    base: bool
    """True if it may use the model without an encoder."""
    default_encoder: str | None
    """The encoder, alias or `base` of a request that names none; null: it has to name one."""
    sets: bool
    """True if the server takes sets of encoders that a request puts together."""


class ServerCapabilities(BaseModel):
    """The limits of the model on this server, its own examples, and what the caller may do."""

    object: Literal["capabilities"] = "capabilities"
    model: str
    """The model's name, which requests call `model`."""
    steps: FieldRange
    guidance: FieldRange
    frames: FieldRange
    fps: FieldRange
    sizes: list[str]
    """Sizes that can be delivered, from the smallest."""
    default_size: str
    max_prompt_tokens: int
    """Tokens of a prompt that the model reads, start and end included."""
    max_prompt_chars: int
    examples: list[str]
    """Prompts in the words of the model's training, some for each kind of concept."""
    concepts: dict[Kind, dict[str, list[str]]]
    """Kind → concept → other names for it, as the model's book has them. A model may know more."""
    judges: bool
    """True if the server can measure what is forgotten, and so make encoders."""
    tiers: dict[TierName, dict[str, float | bool | None]]
    """Gates by name, from a look to a certificate."""
    default_tier: Tier
    methods: list[str]
    max_images: int
    max_image_bytes: int
    max_image_pixels: int
    max_body_bytes: int
    """Bytes of a form with images, all together."""
    max_members: int
    """Encoders of a set at most."""
    caller: CallerAbilities


class PromptRequest(StrictRequest):
    """Body of `POST /v1/prompts/check`."""

    prompt: Line = Field(description="The text; it may be empty, or longer than the model reads")


class Word(BaseModel):
    """A word of a prompt."""

    text: str
    tokens: int
    """Tokens that the word takes. A word of several is not one of the model's own."""
    read: bool
    """True if the model reads the whole word: it lies before the place where the text is cut."""


class PromptCheck(BaseModel):
    """Answer about a prompt: as how many tokens the model reads it, and how far."""

    object: Literal["prompt.check"] = "prompt.check"
    tokens: int
    """Tokens of the whole text, start and end included."""
    max_prompt_tokens: int
    fits: bool
    """False if a request with this prompt is refused unless it has `truncate`."""
    kept: str
    """The part that the model reads."""
    words: list[Word]
    """The first words, at most 200."""
