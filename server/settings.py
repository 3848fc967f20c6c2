"""What an operator can set, each by an environment variable that starts with ``PALIMPSEST_``."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, IPvAnyAddress, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

STARTER_WEIGHTS = Path(__file__).resolve().parent.parent / "starter" / "weights"

Rate = Annotated[float, Field(ge=0, le=1)]
Probes = Annotated[int, Field(ge=1, le=200)]


class Settings(BaseSettings):
    """One server's settings; ``PALIMPSEST_DATA_DIR=/var/lib/palimpsest`` sets ``data_dir``.

    Raises pydantic's ValidationError, naming the variable at fault, when one cannot be used.
    """

    model_config = SettingsConfigDict(env_prefix="PALIMPSEST_", extra="ignore", frozen=True)

    backbone: str = "starter"
    """"starter", the built-in model; or a model's directory, its Hugging Face Hub id
    (``owner/name`` or ``owner/name@revision``) or ``bentoml:<tag>``."""
    twin: str | None = None
    """The image model that shares the backbone's text encoder, instead of its family's; "self": the
    backbone at one frame."""
    twin_difference: Annotated[float, Field(ge=0)] = 0.0
    """How far the twin's text encoder may be from the backbone's, as a share of its length."""
    motion_adapter: str | None = None
    """AnimateDiff's, where the backbone is an image model, instead of the usual one."""
    size: Annotated[str, Field(pattern=r"^[1-9]\d{1,3}x[1-9]\d{1,3}$")] | None = None
    """Width and height that the backbone generates, ``832x480``, instead of its own."""
    allow_pickle: bool = False
    """Whether a backbone's weights may be pickled; safetensors otherwise."""
    judge: str | None = None
    """What tells whether a frame shows a concept: the directory of a classifier judge, or a CLIP's
    directory or Hugging Face Hub id. None: what lies in the backbone's ``judge/``."""
    data_dir: Path = Path("data")
    """Where everything kept lies: encoders, videos, the databases."""
    keys_file: Path | None = None
    """JSON file of hashed keys (:mod:`server.auth.keys`). None: no keys, and loopback only."""

    host: IPvAnyAddress = IPv4Address("127.0.0.1")
    port: Annotated[int, Field(ge=1, le=65535)] = 3000

    device: str = "cpu"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """The denoiser's precision; "auto" is bfloat16 where the device multiplies it natively."""
    offload: bool = False
    """Keep what is not in use in main memory; slower, for devices that hold one part at a time."""
    threads: PositiveInt | None = None
    """CPU threads of the denoiser; None leaves torch's own choice."""
    encoder_cache_bytes: PositiveInt = 1 << 30
    """How many bytes of overrides stay on the device."""

    max_body_bytes: PositiveInt = 32 << 20
    max_prompt_chars: PositiveInt = 1000
    max_steps: PositiveInt = 100
    """Upper bound on denoising steps; the backbone's own limit holds too."""
    max_frames: PositiveInt = 257
    """Upper bound on frames; the backbone's own limit holds too."""
    max_side: PositiveInt = 1024
    """Largest delivered width or height in pixels."""
    max_unlearning_steps: PositiveInt = 1000
    max_images: PositiveInt = 16
    max_image_bytes: PositiveInt = 8 << 20
    max_image_pixels: PositiveInt = 16_000_000

    max_queued_videos: PositiveInt = 1000
    """Videos accepted and not yet finished; more are answered with 429."""
    max_queued_encoders: PositiveInt = 16
    video_lifetime_seconds: PositiveInt = 7 * 86_400
    """Videos are removed so long after their end, where a request does not say; encoders that could
    not be made, too."""
    max_video_lifetime_seconds: PositiveInt = 30 * 86_400
    max_stored_bytes: PositiveInt = 20 << 30
    """When finished videos take more, the oldest are removed before their time."""
    videos_in_flight: PositiveInt = 32
    """Videos handed to the engine at a time."""
    max_batch: PositiveInt = 32
    """Requests that share a denoising step, at most; how many do is learned from what steps take.
    With 1 a request's pixels are the same to the bit whatever else is going on."""
    making_share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of the device's time that making encoders gets at least, spare moments included."""

    min_forget_rate: Rate = 0.9
    """The gate, where a request does not say: an encoder must make each concept disappear from this
    share of the judged clips in which the base shows it, or it is not published."""
    max_retain_drop: Rate = 0.1
    """The gate: an encoder that loses more of the other concepts is not published."""
    min_base_rate: Rate = 0.5
    """The gate: the base must show each concept in this share of the judged clips."""
    max_probes: Probes = 32
    """The gate: at most so many probes of each concept and of others. It ends before, once it is
    clear."""
    judged_videos: PositiveInt = 2
    """How many of each are clips; the others are stills of the image twin."""
    base_clips_bytes: PositiveInt = 1 << 30
    """How much of what the base made for judging is kept, for the next encoder to be judged."""

    @property
    def backbone_source(self) -> str:
        """What the backbone is loaded from."""
        return str(STARTER_WEIGHTS) if self.backbone == "starter" else self.backbone

    @property
    def generated_size(self) -> tuple[int, int] | None:
        """`size` as width and height."""
        if self.size is None:
            return None
        width, height = self.size.split("x")
        return int(width), int(height)
