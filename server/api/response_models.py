"""Models of response bodies.

A video has the fields of OpenAI's object to the letter, so that their client reads it, and more.
Encoders and aliases follow its style.
"""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from encoders import CardMember, Concept
from marking.claim import Claim
from server.api.audit_models import EncoderAudit
from server.api.replica_models import Replica
from server.api.usage_models import Usage
from server.jobs.phases import Phase


class Error(BaseModel):
    """Error of a refused or failed request."""

    message: str
    type: str
    param: str | None
    """The request's field at fault, if there is one."""
    code: str


class ErrorAnswer(BaseModel):
    """Body of every answer with status 400 or more."""

    error: Error


class JobError(BaseModel):
    """Reason why a job failed."""

    code: str
    message: str


class Video(BaseModel):
    """OpenAI's video object, and the values with which the same video can be made again."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    prompt: str | None
    remixed_from_video_id: str | None = None
    seconds: str
    size: str
    negative_prompt: str | None = None
    seed: int
    steps: int
    guidance: float
    frames: int
    fps: int
    truncated: bool = False
    """True if the request's prompt or negative prompt was longer than the model reads, and was
    cut, as `truncate` allows; `prompt` is the text that was read."""
    unjudged: bool = False
    """True if the request put a set of encoders together, which nobody has judged as a whole."""
    error: JobError | None


class DeletedVideo(BaseModel):
    """Record of a deleted video: who had it made and how, without its prompts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "video_0123456789abcdef0123456789abcdef",
                    "object": "deleted_video",
                    "owner": "studio",
                    "model": "starter:no-pogo",
                    "encoder": "no-pogo",
                    "encoder_identity": "sha256:" + "0123456789abcdef" * 4,
                    "seed": 7,
                    "steps": 8,
                    "guidance": 5.0,
                    "frames": 4,
                    "fps": 8,
                    "seconds": "0.5",
                    "size": "256x256",
                    "status": "completed",
                    "created_at": 1795860000,
                    "completed_at": 1795860004,
                    "deleted_at": 1795863600,
                }
            ]
        }
    )

    id: str
    """The video's id, which its mp4 names."""
    object: Literal["deleted_video"] = "deleted_video"
    owner: str
    """Id of the key that had it made."""
    model: str
    encoder: str | None
    """Id of its encoder, null for the base."""
    encoder_identity: str | None
    seed: int
    steps: int
    guidance: float
    frames: int
    fps: int
    seconds: str
    size: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    """State of the video when it was deleted."""
    created_at: int
    completed_at: int | None
    deleted_at: int


class TrainingObject(BaseModel):
    """The optimisation of an encoder, as far as it is."""

    step: int
    steps: int | None
    """Steps of the whole run; fewer if its budget of seconds is used up. Null before the first."""
    losses: list[float]
    """The loss of every `every`-th step, from the first."""
    every: int
    previews: list[int]
    """Steps of which there is a still (`/v1/encoders/{encoder_id}/previews/{step}`), all of the
    same prompt and seed; 0 is the base's. None for a key that may not use the base."""


class EncoderObject(BaseModel):
    """An encoder: being made, failed, or published and ready to use."""

    id: str
    object: Literal["encoder"] = "encoder"
    status: Literal["queued", "in_progress", "published", "failed"]
    phase: Literal[
        "queued",
        Phase.NAMING,
        Phase.WAYS,
        Phase.IMAGES,
        Phase.OPTIMISING,
        Phase.JUDGING,
        "published",
        "failed",
    ]
    progress: int
    """Percent of the whole job."""
    usable: bool
    """True if it is published and can be used. False for a set with a member that was deleted or
    replaced, or whose card is damaged, and for an encoder that was made for another base."""
    phases: dict[str, int]
    """Percent of each phase. A phase that has nothing to do is at 100 when the job begins."""
    estimated_seconds_left: int | None = None
    """Estimate of the time to the job's end, from the times measured so far; null if nothing can be
    said yet, or the job has ended."""
    training: TrainingObject | None = None
    """The optimisation of one that is being made, or could not be; null before it has begun."""
    concepts: list[Concept]
    """All concepts it forgets, including its parent's or its members'; the one that pictures show
    once it is named. Each may have `ways`, phrases that draw it without naming it. Those that are
    not forgotten are shown to keys that may use everything."""
    members: list[CardMember]
    """The encoders of a composite, each by the identity that it was judged with; none for an
    encoder of its own, or where the key may not know their ids."""
    parent: str | None
    settings: dict[str, JsonValue]
    gate: dict[str, JsonValue]
    """Thresholds it must reach, or has reached, to be published."""
    digest: str | None
    """Digest of its tensors."""
    identity: str | None
    """Hash over all that decides what it does to a prompt: its tensors and its trigger."""
    trigger: dict[str, float] | None
    """For each concept, the share of the concept's own movement from which a prompt means it; null:
    it is used for every prompt, or the key is bound to encoders and may not know it."""
    base: str | None
    measures: dict[str, JsonValue]
    judged: bool
    """True if it was measured what it forgets; an imported encoder may not have been judged."""
    signed: bool = False
    """True if the server signed what it published: the card, and the report with its files."""
    audit: EncoderAudit | None = None
    """Result of the continuous audit; null for an encoder that was not looked at yet."""
    created_at: int
    completed_at: int | None
    error: JobError | None
    claim: Claim | None = None
    """The claimant, as named when it was made; for admins alone."""


class Alias(BaseModel):
    """A name that points to an encoder."""

    id: str
    object: Literal["alias"] = "alias"
    encoder: str


class Model(BaseModel):
    """A name that `model` can have: the base, an encoder or an alias of one."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "palimpsest"
    root: str
    """The backbone's name."""
    parent: str | None
    """The backbone's name for an encoder, null for the base."""
    encoder: str
    usable: bool
    """False for a set with a member that was deleted or replaced, or whose card is damaged."""
    max_prompt_tokens: int
    """Tokens of a prompt that the model reads, start and end included; longer ones are refused, or
    cut with `truncate`. Rare words can be several tokens each."""


Item = TypeVar("Item", Video, DeletedVideo, EncoderObject, Alias, Model, Usage, Replica)


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, data: list[Item], *, has_more: bool = False) -> Page[Item]:
        """Return a page of these objects, in their order."""
        return cls(
            data=data,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=has_more,
        )


class Erased(BaseModel):
    """Answer to the erasing of a tenant."""

    id: str
    object: Literal["tenant.erased"] = "tenant.erased"
    deleted: Literal[True] = True
    videos: int
    """Videos that were removed, with their files and records."""
    encoder_jobs: int
    """Records of encoders that were removed. Published encoders stay."""
    deleted_videos: int
    """Records that were kept of videos deleted earlier."""
    ledger_entries: int
    """Entries of the ledger that do not name the tenant and its videos any more. They stay."""
    key_revoked: bool
    """True if the database has a key of this id, which is revoked now."""


class Deleted(BaseModel):
    """Answer to DELETE."""

    id: str
    object: str
    deleted: Literal[True] = True
