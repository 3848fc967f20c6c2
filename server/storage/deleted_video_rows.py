"""Rows of deleted videos: who had a video made and how, without its prompts."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from server.storage.records import VideoRecord
from server.storage.schema import Base


class DeletedVideoRow(Base):
    """Record that stays of a deleted video: it has no prompt and no idempotency key."""

    __tablename__ = "deleted_videos"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    """Order of deletion."""
    id: Mapped[str] = mapped_column(unique=True)
    """The video's id, which its mp4 names."""
    owner: Mapped[str] = mapped_column(index=True)
    """Id of the key that made the request."""
    model: Mapped[str]
    encoder_id: Mapped[str | None]
    """None: the base."""
    encoder_identity: Mapped[str | None] = mapped_column("encoder_digest")
    """Earlier versions wrote the digest, which is the identity of an encoder without a trigger."""
    seed: Mapped[int]
    steps: Mapped[int]
    guidance: Mapped[float]
    frames: Mapped[int]
    fps: Mapped[int]
    width: Mapped[int]
    """Pixels, as delivered."""
    height: Mapped[int]
    status: Mapped[str]
    """State of the video when it was deleted."""
    created_at: Mapped[int]
    completed_at: Mapped[int | None]
    deleted_at: Mapped[int] = mapped_column(index=True)

    @classmethod
    def of(cls, video: VideoRecord, deleted_at: int) -> DeletedVideoRow:
        """Return the row to keep of a video that is being deleted."""
        return cls(
            id=video.id,
            owner=video.owner,
            model=video.model,
            encoder_id=video.encoder_id,
            encoder_identity=video.encoder_identity,
            seed=video.seed,
            steps=video.steps,
            guidance=video.guidance,
            frames=video.frames,
            fps=video.fps,
            width=video.width,
            height=video.height,
            status=video.status,
            created_at=video.created_at,
            completed_at=video.completed_at,
            deleted_at=deleted_at,
        )
