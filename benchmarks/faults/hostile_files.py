"""Files that attack whoever reads them: cut, changed, pickled, misplaced, and bombs."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load, save

Change = Callable[[bytes], bytes]
"""Function from a file's content to hostile content in its place."""
Place = Callable[[Path], None]
"""Function that puts something hostile in the place of a file."""

_BOMB = 1 << 30
"""Bytes that a bomb unpacks to."""


class Trap:
    """An object that makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self._mark), "w")


def overrides(mark: Path, seed: int) -> Mapping[str, Change]:
    """Return changes of a safetensors file. What is run makes the file `mark`."""
    draw = random.Random(seed)
    cuts: dict[str, Change] = {
        f"cut at {at:.3f}": lambda data, at=at: data[: int(at * len(data))]
        for at in [draw.random() for _ in range(6)]
    }
    flips: dict[str, Change] = {
        f"changed at {at:.3f}": lambda data, at=at: _flipped(data, at)
        for at in [draw.random() for _ in range(4)]
    }
    return {
        **cuts,
        **flips,
        "empty": lambda data: b"",
        "one byte": lambda data: data[:1],
        "cut at the header": lambda data: data[:8],
        "the last byte cut": lambda data: data[:-1],
        "a byte more": lambda data: data + b"\0",
        "a pickle": lambda data: pickle.dumps({"a": Trap(mark)}),
        "a pickle of torch": lambda data: _torch_pickle({"a": Trap(mark)}),
        "a zip bomb": lambda data: zip_bomb(),
        "a header of 2^63 bytes": lambda data: struct.pack("<Q", 1 << 63) + data[8:],
        "a header of 99 MB": lambda data: struct.pack("<Q", 99_000_000) + data[8:],
        "a deep header": lambda data: _with_header(b'{"a":' * 200_000),
        "a tensor of 2^60": lambda data: _with_header(
            json.dumps({"a": {"dtype": "F16", "shape": [1 << 60], "data_offsets": [0, 2]}}).encode()
        ),
        "offsets that overlap": lambda data: _with_header(
            json.dumps(
                {
                    name: {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}
                    for name in ("a", "b")
                }
            ).encode()
        ),
        "not finite": lambda data: save({n: t * float("nan") for n, t in load(data).items()}),
        "other shapes": lambda data: save({n: t[:1] for n, t in load(data).items()}),
        "other names": lambda data: save({f"../{n}": t for n, t in load(data).items()}),
    }


def cards() -> Mapping[str, Change]:
    """Return changes of an encoder's card."""

    def with_(**fields: Any) -> Change:
        return lambda data: json.dumps({**json.loads(data), **fields}).encode()

    return {
        "empty": lambda data: b"",
        "cut": lambda data: data[: len(data) // 2],
        "no object": lambda data: b"[]",
        "deep": lambda data: b"[" * 100_000,
        "not UTF-8": lambda data: b"\xff\xfe" + data,
        "a number of 100 kB": lambda data: re.sub(
            rb'("seed": *)[0-9]+', rb"\g<1>" + b"9" * 100_000, data
        ),
        "another id": with_(id="random-0"),
        "an id that is a path": with_(id="../../outside"),
        "a digest that is a path": with_(digest="sha256:../../../outside"),
        "another base": with_(base="sha256:" + "a" * 64),
        "another fingerprint": with_(stored="sha256:" + "b" * 64),
        "a field more": with_(unknown=1),
        "a pickle": lambda data: pickle.dumps({}),
    }


def places(outside: Path) -> Mapping[str, Place]:
    """Return what can stand in a file's place; `outside` is a file that must not be read."""

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(8 << 30)

    return {
        "a link": lambda path: path.symlink_to(outside),
        "a link to nothing": lambda path: path.symlink_to(outside / "nothing"),
        "a loop": lambda path: path.symlink_to(path),
        "a pipe": lambda path: os.mkfifo(path),
        "a folder": lambda path: path.mkdir(),
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "8 GiB of nothing": sparse,
    }


def pictures(seed: int, count: int) -> Mapping[str, bytes]:
    """Return pictures that must be refused, or that cost no more than others.

    Args:
        seed: seed of the cuts and changes.
        count: pictures of each format that are cut, and that have changed bytes.
    """
    draw = random.Random(seed)
    noise = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = {name: _saved(noise, name) for name in ("PNG", "JPEG", "WEBP")}
    others = {name: _saved(noise, name) for name in ("GIF", "BMP", "TIFF", "ICO", "PPM", "PDF")}
    broken: dict[str, bytes] = {}
    for name, data in whole.items():
        for number in range(count):
            broken[f"{name} cut {number}"] = data[: draw.randrange(len(data) - 1)]
            broken[f"{name} flipped {number}"] = _flipped(data, draw.random())
    return {
        **broken,
        **others,
        "PNG of 65535 squared": _png(65_535, 65_535, b""),
        "PNG of 2^31 squared": _png((1 << 31) - 1, (1 << 31) - 1, b""),
        "PNG of 5000 squared": _png(5000, 5000, zlib.compress(bytes(5000 * 15_001), 1)),
        "PNG with more than it says": _png(4, 4, zlib.compress(bytes(_BOMB // 8), 1)),
        "PNG with a packed text": _png(4, 4, zlib.compress(bytes(52)), _packed_text()),
        "JPEG of 65500 squared": _with_jpeg_size(whole["JPEG"], 65_500),
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "a pickle": pickle.dumps([1]),
        "empty": b"",
        "a header alone": b"\x89PNG\r\n\x1a\n",
    }


@cache
def zip_bomb() -> bytes:
    """Return a checkpoint as torch writes it, of which one tensor unpacks to `_BOMB` bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/version", "3")
        with archive.open("archive/data/0", "w") as member:
            for _ in range(_BOMB >> 24):
                member.write(bytes(1 << 24))
    return buffer.getvalue()


def _flipped(data: bytes, at: float) -> bytes:
    changed = bytearray(data)
    changed[int(at * len(data))] ^= 0x55
    return bytes(changed)


def _torch_pickle(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _with_header(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + b"\0\0"


def _saved(pixels: np.ndarray[Any, Any], name: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name)
    return buffer.getvalue()


def _png(width: int, height: int, packed: bytes, more: bytes = b"") -> bytes:
    """Return a PNG of any size with any content."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + more + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _packed_text() -> bytes:
    return _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(_BOMB // 8), 1))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_jpeg_size(data: bytes, side: int) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]
