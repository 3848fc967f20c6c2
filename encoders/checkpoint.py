"""A text model's checkpoint on disk: its files, and the tensors in them.

A checkpoint is a directory as transformers lays it out (`model.safetensors`, or parts of it beside
an index), or one file. Safetensors hold nothing but tensors. A pickle (`pytorch_model.bin`) is a
program that makes them: it is read only if the caller allows it, and then by an unpickler that
makes tensors and nothing else.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from encoders.errors import EncoderInvalid

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
INDEX = ".index.json"
_PICKLES = {".bin", ".pt", ".pth", ".ckpt"}
_MAX_INDEX_BYTES = 1 << 24


class StoredTensor(NamedTuple):
    """A tensor in a checkpoint, not read yet."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    """Read the tensor, onto the CPU. It may be a view of the file, valid while that is open."""


@contextmanager
def stored_tensors(path: Path, *, allow_pickle: bool) -> Generator[list[StoredTensor]]:
    """Yield the tensors of a checkpoint, each of which is read when its `read` is called.

    Args:
        path: A directory, or one file of it.
        allow_pickle: True to read a pickle too, as tensors and nothing else.

    Raises:
        EncoderInvalid: There is no checkpoint, it is a pickle that is not allowed or holds anything
            but tensors by name, or a file is truncated or of another format.
    """
    with ExitStack() as stack:
        tensors: list[StoredTensor] = []
        for file in _files(path):
            if file.suffix == ".safetensors":
                tensors += _safetensors(file, stack)
            elif allow_pickle:
                tensors += _pickled(file)
            else:
                raise EncoderInvalid(
                    f"{file} is a pickle: a program that can do anything when it is read. If you "
                    "trust its source, allow it with --allow-pickle (allow_pickle=True): it is "
                    "then read as tensors, and refused if it holds anything more."
                )
        yield tensors


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix in {".safetensors", *_PICKLES}:
            return [path]
        raise EncoderInvalid(f"{path} is no .safetensors file; name one, or a directory.")
    if not path.is_dir():
        raise EncoderInvalid(f"There is no directory or file {path}.")
    for name in (SAFETENSORS, PICKLE):
        if (path / name).is_file():
            return [path / name]
        if (path / f"{name}{INDEX}").is_file():
            return _parts(path / f"{name}{INDEX}")
    variants = sorted(path.glob("model*.safetensors"))  # model.fp16.safetensors
    if len(variants) == 1:
        return variants
    there = ", ".join(sorted(file.name for file in path.iterdir())[:8]) or "nothing"
    raise EncoderInvalid(
        f"{path} holds no {SAFETENSORS} (it holds: {there}). Name the directory that does, "
        "such as the text_encoder of a pipeline, or the .safetensors file itself."
    )


def _parts(index: Path) -> list[Path]:
    """Return the files that an index lists, none of them outside its directory."""
    try:
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise ValueError(f"it is larger than {_MAX_INDEX_BYTES} bytes")
        names = sorted(
            {str(name) for name in json.loads(index.read_bytes())["weight_map"].values()}
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncoderInvalid(f"The index {index} cannot be read: {error!r}") from error
    for name in names:
        part = index.parent / name
        if part.name != name or part.suffix not in {".safetensors", *_PICKLES}:
            raise EncoderInvalid(f"The index {index} names {name!r}, which is no file beside it.")
        if not part.is_file():
            raise EncoderInvalid(f"{part} is missing, though the index lists it.")
    return [index.parent / name for name in names]


def _safetensors(path: Path, stack: ExitStack) -> list[StoredTensor]:
    def read(name: str) -> Tensor:
        try:
            return file.get_tensor(name)
        except SafetensorError as error:
            raise EncoderInvalid(f"Tensor {name!r} of {path} cannot be read: {error}") from error

    try:
        file: Any = stack.enter_context(safe_open(path, "pt"))
        return [
            StoredTensor(name, tuple(file.get_slice(name).get_shape()), partial(read, name))
            for name in file.keys()  # noqa: SIM118 - a safetensors file is not a mapping
        ]
    except SafetensorError as error:
        raise EncoderInvalid(f"{path} is not a whole safetensors file: {error}") from error


def _pickled(path: Path) -> list[StoredTensor]:
    try:
        # Only the newer of torch's two formats can be mapped into memory.
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception as error:  # an untrusted file can make the unpickler raise anything
        raise EncoderInvalid(
            f"{path} is not a pickle of tensors and nothing else: {str(error)[:300]}"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    ):
        raise EncoderInvalid(
            f"{path} is a pickle of something other than tensors by name. Save the text encoder's "
            f"state dict alone, best as {SAFETENSORS}."
        )
    return [
        StoredTensor(name, tuple(tensor.shape), partial(_identity, tensor))
        for name, tensor in content.items()
    ]


def _identity(tensor: Tensor) -> Tensor:
    return tensor
