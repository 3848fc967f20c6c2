"""Images that a client sends: read within limits, and decoded with Pillow alone."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from starlette.datastructures import UploadFile

from server.errors import InvalidRequest
from server.settings import Settings

_FORMATS = ("PNG", "JPEG", "WEBP")


async def read_files(value: Any, settings: Settings) -> list[bytes]:
    """Return the content of the files in a form's `images`.

    Raises:
        InvalidRequest: `value` is not a list of files, or a limit of the settings is exceeded.
    """
    uploads: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
    if len(uploads) > settings.max_images:
        raise InvalidRequest(
            f"{len(uploads)} images; at most {settings.max_images} are taken.", param="images"
        )
    files: list[bytes] = []
    for number, upload in enumerate(uploads, start=1):
        if not isinstance(upload, UploadFile):
            raise InvalidRequest("images must be files of a multipart form.", param="images")
        content = await upload.read(settings.max_image_bytes + 1)
        if len(content) > settings.max_image_bytes:
            raise InvalidRequest(
                f"Image {number} is larger than {settings.max_image_bytes} bytes.", param="images"
            )
        files.append(content)
    return files


def decode(files: list[bytes], *, width: int, height: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode PNG, JPEG or WebP files; crop them about the middle and scale them.

    The size is read from a file's header before any pixel is decoded, so a decompression bomb costs
    nothing.

    Returns:
        Pixels (N, height, width, 3), uint8.

    Raises:
        InvalidRequest: a file of another type, a broken file, or more than `max_pixels` in one.
    """
    frames = [
        _decode(content, number, (width, height), max_pixels)
        for number, content in enumerate(files, start=1)
    ]
    return np.stack(frames)


def _decode(
    content: bytes, number: int, size: tuple[int, int], max_pixels: int
) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            pixels = image.width * image.height
            if pixels > max_pixels:
                raise InvalidRequest(
                    f"Image {number} has {pixels} pixels; at most {max_pixels} are taken.",
                    param="images",
                )
            upright = ImageOps.exif_transpose(image).convert("RGB")
            fitted = ImageOps.fit(upright, size, Image.Resampling.LANCZOS)
            return np.asarray(fitted, dtype=np.uint8)
    except InvalidRequest:
        raise
    except Image.DecompressionBombError as error:
        raise InvalidRequest(f"Image {number}: {error}", param="images") from error
    except Exception as error:  # Pillow's decoders raise many types on broken files
        raise InvalidRequest(
            f"Image {number} cannot be read as PNG, JPEG or WebP.", param="images"
        ) from error
