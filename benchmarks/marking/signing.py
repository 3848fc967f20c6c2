"""Signing: the share of a clip's time that its content credentials take."""

from __future__ import annotations

from pathlib import PurePath
from time import perf_counter
from typing import Any

from benchmarks.marking.clips import SIDE, generated, load_model
from benchmarks.results import ratio
from marking.certificate import make_key_pair
from marking.clip_statement import ClipStatement
from marking.content_credentials import read_media, sign_media
from marking.signing_key import SigningKey
from server.jobs.signing import MEDIA_TYPES
from video.clip import encode_mp4, enlarge, spritesheet, thumbnail


def signing(count: int) -> dict[str, Any]:
    """Make, encode and sign `count` clips of the built-in model, as a job does."""
    load_model()
    pair = make_key_pair("Benchmark")
    key = SigningKey.from_pem(pair.private_key, pair.certificates)
    making: list[float] = []
    signed: list[float] = []
    signing_s: list[float] = []
    read: list[float] = []
    more: list[float] = []
    for number in range(count):
        clip = ClipStatement(id=f"video_{number}", encoder_identity=None, base="sha256:00")
        started = perf_counter()
        frames = generated(number)
        files = {
            ".mp4": encode_mp4(enlarge(frames, (SIDE, SIDE)), 8),
            ".webp": thumbnail(frames),
            "sheet.webp": spritesheet(frames),
        }
        made = perf_counter()
        after = {
            name: sign_media(data, MEDIA_TYPES[PurePath(f"x{name}").suffix], clip, key)
            for name, data in files.items()
        }
        done = perf_counter()
        assert not read_media(after[".mp4"], "video/mp4", [key.certificates]).problems
        making.append(made - started)
        signed.append(done - started)
        signing_s.append(done - made)
        read.append(perf_counter() - done)
        more.append(len(after[".mp4"]) - len(files[".mp4"]))
    return {
        "clips": f"{count} of the built-in model at {SIDE}x{SIDE}, three files each",
        "S12: a clip's seconds with its signatures, of those without": ratio(signed, making),
        "seconds of signing the three files": ratio(signing_s),
        "seconds of checking an mp4": ratio(read),
        "bytes that a signature adds to an mp4": round(sum(more) / count),
    }
