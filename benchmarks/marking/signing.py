"""Signing: the share of a clip's time that its content credentials take."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from benchmarks.marking.clips import SIDE, generated, load_model
from benchmarks.results import ratio
from marking.certificate import make_key_pair
from marking.clip_statement import ClipStatement
from marking.content_credentials import read_media
from marking.signing_key import SigningKey
from server.jobs.signing import MediaSigner
from server.storage.video_files import Variant
from video.clip import encode_mp4, enlarge, spritesheet, thumbnail


def signing(count: int) -> dict[str, Any]:
    """Make, encode and sign `count` clips of the built-in model, as a job does."""
    load_model()
    pair = make_key_pair("Benchmark")
    key = SigningKey.from_pem(pair.private_key, pair.certificates)
    signer = MediaSigner(key, None)
    making: list[float] = []
    signed: list[float] = []
    signing_s: list[float] = []
    read: list[float] = []
    more: list[float] = []
    for number in range(count):
        clip = ClipStatement(id=f"video_{number}", encoder_identity=None, base="sha256:00")
        started = perf_counter()
        frames = generated(number)
        files: dict[Variant, bytes] = {
            "video": encode_mp4(enlarge(frames, (SIDE, SIDE)), 8),
            "thumbnail": thumbnail(frames),
            "spritesheet": spritesheet(frames),
        }
        made = perf_counter()
        after = signer.sign_video(files, clip)
        done = perf_counter()
        assert not read_media(after["video"], "video/mp4", [key.certificates]).problems
        making.append(made - started)
        signed.append(done - started)
        signing_s.append(done - made)
        read.append(perf_counter() - done)
        more.append(len(after["video"]) - len(files["video"]))
    return {
        "clips": f"{count} of the built-in model at {SIDE}x{SIDE}, three files each",
        "S12: a clip's seconds with its signatures, of those without": ratio(signed, making),
        "seconds of signing the three files": ratio(signing_s),
        "seconds of checking an mp4": ratio(read),
        "bytes that a signature adds to an mp4": round(sum(more) / count),
    }
