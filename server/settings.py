"""Settings of the server, from environment variables that start with `PALIMPSEST_`."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, IPvAnyAddress, NonNegativeInt, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.postgres_address import PostgresAddress
from server.roles import Role
from server.setting_types import (
    DatabaseUrl,
    Devices,
    Location,
    Networks,
    Origins,
    Probes,
    Rate,
    StoreUrl,
    Text,
)
from unlearn.trial.tiers import DEFAULT_TIER, TierName

STARTER_WEIGHTS = Path(__file__).resolve().parent.parent / "starter" / "weights"


class Settings(BaseSettings):
    """Settings of one server: `PALIMPSEST_DATA_DIR=/var/lib/palimpsest` sets `data_dir`.

    Raises:
        ValidationError: A value cannot be used; pydantic's message names the variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="PALIMPSEST_",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # it may be a password
    )

    backbone: Text = "starter"
    """"starter", the built-in model; or a model's directory, its Hugging Face Hub id
    (`owner/name` or `owner/name@revision`) or `bentoml:<tag>`."""
    twin: Text | None = None
    """Image model that shares the backbone's text encoder, in place of the family's usual one;
    "self": the backbone at one frame."""
    twin_difference: Annotated[float, Field(ge=0)] = 0.0
    """Largest allowed distance of the twin's text encoder from the backbone's, relative to the
    norm of the backbone's."""
    motion_adapter: Text | None = None
    """AnimateDiff's motion adapter for an image model, in place of the usual one."""
    size: Annotated[str, Field(pattern=r"^[1-9]\d{1,3}x[1-9]\d{1,3}$")] | None = None
    """Width and height that the backbone generates, such as `832x480`, in place of its own."""
    allow_pickle: bool = False
    """Allow pickled weights. Otherwise a backbone's weights must be safetensors."""
    judge: Text | None = None
    """Judge of whether a frame shows a concept: the name of an installed judge, the directory of a
    classifier judge, or a CLIP's directory or Hugging Face Hub id. None: the judge in the
    backbone's `judge/`."""
    data_dir: Location = Path("data")
    """Directory of all stored data: encoders, videos, the databases."""
    database: DatabaseUrl = SecretStr("")
    """URL of a PostgreSQL database, `postgresql+psycopg://user:password@host:5432/name`, for
    records, keys and jobs; empty: SQLite in the data directory."""
    store: StoreUrl = ""
    """URL of a bucket for all files, such as `s3://bucket/prefix`, which several servers can share.
    Empty: the data directory. The credentials are in the store's usual variables."""
    role: Role = "all"
    """"all": the server takes requests and does all jobs. Of several servers on one PostgreSQL and
    one bucket, each can be "api", which computes nothing; "videos" or "encoders", which take only
    jobs of that kind."""
    store_redirect: bool = False
    """Let `/v1/videos/{id}/content` redirect to a signed URL of the store, where it has them. Who
    knows the URL can read the file for a few minutes, without a key."""
    keys_file: Location | None = None
    """JSON file of hashed keys (`server.auth.keys_file`), read again when it changes. Keys can also
    be in the database (`palimpsest keys`). Without any key the server answers on loopback only."""

    signing_certificates: Location | None = None
    """PEM file with the certificates of the key that signs clips and reports: the signer's first,
    then its authorities'. None: the server makes a key of its own, and verifiers call its signer
    unknown."""
    signing_key: Location | None = None
    """PEM file with that certificate's private key: PKCS #8, P-256, without a password."""
    signing_command: Text | None = None
    """Command that signs, in place of a private key, such as that of an HSM: it gets data on its
    standard input and prints the ECDSA signature (SHA-256, DER)."""
    timestamp_authority: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    """URL of an RFC 3161 authority that confirms when clips and reports were signed."""

    watermark: Literal["off", "on", "required"] = "off"
    """Mark the pixels of clips so that copies without metadata lead back to their record.
    "required": a clip that cannot hold the mark fails."""
    watermark_candidates: PositiveInt = 20_000
    """Clips, the latest first, among which `/v1/verify` looks for the one that a mark is of."""

    ad_hoc_sets: bool = False
    """Let a request put a set of encoders together (`encoders`, or `model` with `+`). Nobody has
    judged such a set as a whole, and its videos are marked `unjudged`."""
    full_reports: bool = False
    """Show a key that may not use the base whole reports: with the base's clips of what an encoder
    forgets, and with its parent's id."""
    root_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    """Path below which a proxy serves this server, such as `/video`: links, examples and
    redirects have it in front. The proxy may strip it from the paths that it forwards, or not."""
    cors_origins: Origins = ()
    """Origins whose web pages may call the API, such as `https://app.example.org`, separated by
    commas; `*` for every origin, which a server without keys does not take."""

    host: IPvAnyAddress = IPv4Address("127.0.0.1")
    port: Annotated[int, Field(ge=1, le=65535)] = 3000

    trusted_proxies: Networks = ()
    """Addresses or networks of proxies, such as `10.0.0.5,192.168.0.0/24`. Only from these are
    `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` believed."""
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 2.0
    """Seconds for which a server that was told to stop goes on answering reads, so that a load
    balancer finds another server meanwhile."""
    stop_seconds: Annotated[float, Field(gt=0, le=3600)] = 6.0
    """Seconds after these in which steps under way and open requests may end by themselves."""

    device: Text = "auto"
    """"auto": a GPU that torch can use (CUDA or ROCm) if there is one, otherwise "cpu"; or a name
    that torch gives a device, such as "cuda:1"."""
    devices: Devices = ()
    """Devices of one server, with a process for each behind one port: `all` GPUs of the machine, or
    names separated by commas, in which a number is a GPU's: `0,1`. Empty: one process on `device`.
    With several, `database` and `store` have to be set."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the denoiser; "auto" is bfloat16 where the device multiplies it natively."""
    offload: bool = False
    """Keep parts that are not in use in main memory. Slower; for devices that can hold only one
    part at a time."""
    threads: PositiveInt | None = None
    """CPU threads of the denoiser; None leaves torch's own choice."""
    encoder_cache_bytes: PositiveInt = 1 << 30
    """Bytes of overrides that stay on the device."""

    max_fields_bytes: PositiveInt = 64 << 10
    """Largest body without images: JSON or a form."""
    max_body_bytes: PositiveInt = 32 << 20
    """Largest form with images, which only `POST /v1/encoders` with an admin's key takes."""
    max_connections: PositiveInt = 2000
    """Connections at a time; fewer if the process may not open as many files."""
    max_connections_per_address: PositiveInt = 200
    """Connections at a time from one address other than loopback; raise it for a proxy there."""
    max_event_streams: PositiveInt = 1000
    """Requests that follow or wait for a job, at a time; at most half of the connections."""
    max_event_streams_per_key: PositiveInt = 500
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
    """Videos accepted and not yet finished; more are answered with 429. If several keys have some,
    a key that has less than an equal part of these may still add more."""
    max_queued_encoders: PositiveInt = 16
    """The same for encoders."""
    key_queued: NonNegativeInt = 500
    """Videos that one key may have accepted and not yet finished. These limits hold for keys that
    do not set their own; a server without keys has only the limits of the server."""
    key_requests_per_minute: NonNegativeInt = 1200
    """Requests a minute that make, change, delete or verify something."""
    key_stored_bytes: NonNegativeInt = 5 << 30
    """A key whose finished videos take as much or more cannot make others."""
    key_encoders_per_day: NonNegativeInt = 50
    """Encoders made or judged a day, in UTC."""
    key_queued_encoders: NonNegativeInt = 8
    """Encoders that one key may have accepted and not yet finished."""
    video_lifetime_seconds: PositiveInt = 7 * 86_400
    """Time from a video's end to its removal, unless the request sets it. Failed encoder jobs are
    removed after this time too."""
    prompt_retention_seconds: NonNegativeInt | None = None
    """Time from a video's end until its prompts are taken out of its record; None: they stay for as
    long as the video."""
    deleted_record_retention_seconds: NonNegativeInt = 0
    """Time from a video's deletion until the record of who had it made, and with which encoder, is
    removed; 0 keeps none. The record has no prompt."""
    ledger_retention_seconds: NonNegativeInt = 0
    """Time from a video's end until its entry in the ledger is removed; 0: it stays for ever."""
    picture_retention_seconds: NonNegativeInt = 0
    """Time from the end of an encoder's job until the pictures that a client sent for it are
    removed; 0: they go when the job ends."""
    max_video_lifetime_seconds: PositiveInt = 30 * 86_400
    max_stored_bytes: PositiveInt = 20 << 30
    """When finished videos take more, the oldest of the key that stores most are removed early."""
    videos_in_flight: PositiveInt = 32
    """Videos handed to the engine at a time."""
    videos_in_flight_per_key: PositiveInt | None = None
    """Of these, at most so many of one key, on all servers that share the database together. None:
    half of what they work on, or all if there are no keys."""
    max_batch: PositiveInt = 32
    """Largest number of requests that share a denoising step; the engine measures which number
    is fastest. With 1, a request's pixels are the same to the bit whatever else runs."""
    making_share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Least share of the device's time for making encoders; idle time counts towards it."""

    gate_tier: TierName = DEFAULT_TIER
    """Gate of requests that name no tier: `quick`, `standard` or `certified`."""
    min_forget_rate: Rate | None = None
    """Gate, in place of the tier's: of the judged clips in which the base shows a concept, the
    least share from which it must disappear. Otherwise the encoder is not published."""
    max_retain_drop: Rate | None = None
    """Gate, in place of the tier's: largest share of the other concepts that may be lost."""
    min_base_rate: Rate | None = None
    """Gate, in place of the tier's: least share of the judged clips in which the base must show
    each concept."""
    max_probes: Probes | None = None
    """Gate, in place of the tier's: largest number of probes of each concept. Judging ends earlier
    once the decision is clear."""
    judged_videos: PositiveInt = 2
    """Number of these probes that are clips; the others are stills of the image twin."""
    ways_pictures: NonNegativeInt = 200
    """Most pictures of the base by which ways to a concept, phrases that draw it without naming it,
    are looked for before an encoder is made; a fifth of them for a motion, which takes clips. 0: no
    ways are looked for."""
    ways_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Most seconds of a search for ways that a request waits for."""
    issuer: Annotated[str, Field(max_length=200)] = ""
    """Issuer of the reports, printed on them: a company's name, or the server's address."""
    audit_share: Rate = 0.0
    """Largest share of the time for the audit of published encoders, in spare moments only; 0: none
    are audited."""
    audit_policy: Literal["flag", "refuse"] = "flag"
    """Policy for an encoder whose audit failed: it is shown as failed, or it is refused too."""
    audited_clips_share: Rate = 0.0
    """Share of the videos made with an encoder that the judge looks at, in spare moments, once they
    are delivered; nothing is kept but the count."""
    base_clips_bytes: PositiveInt = 1 << 30
    """Size of the cache of the base's clips, which the next encoder to be judged uses again."""

    @property
    def postgres(self) -> PostgresAddress | None:
        """The PostgreSQL database; None: SQLite, in the two files below."""
        url = self.database.get_secret_value()
        return PostgresAddress.of(url) if url else None

    @property
    def records_file(self) -> Path:
        """SQLite's file with records and keys."""
        return self.data_dir / "records.sqlite"

    @property
    def jobs_file(self) -> Path:
        """SQLite's file of DBOS."""
        return self.data_dir / "jobs.sqlite"

    @property
    def backbone_source(self) -> str:
        """Source that the backbone is loaded from."""
        return str(STARTER_WEIGHTS) if self.backbone == "starter" else self.backbone

    @property
    def generated_size(self) -> tuple[int, int] | None:
        """`size` as width and height."""
        if self.size is None:
            return None
        width, height = self.size.split("x")
        return int(width), int(height)
