"""Images for `/v1/encoders`: uploaded ones, made ones, and files that are refused."""

from __future__ import annotations

import io
import time
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.server.help import Client, assert_error, wait_for

BODY = {"concept": "pogo", "kind": "character", "settings": {"steps": 3}}


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    return make_client(min_base_rate=0.0, max_probes=2, judged_videos=1)


def picture(size: tuple[int, int] = (80, 60), image_format: str = "PNG", seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format)
    return buffer.getvalue()


def upload(client: Client, *files: bytes, **fields: Any) -> Any:
    method = {"settings[method]": (None, "ascent")}
    form = {"concept": (None, "pogo"), "kind": (None, "character"), **method, **fields}
    sent = [*form.items(), *(("images[]", ("x.png", file, "image/png")) for file in files)]
    return client.post("/v1/encoders", files=sent)


def decompression_bomb(width: int, height: int) -> bytes:
    """Return a small PNG whose header declares a huge image (a decompression bomb)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        )

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    rows = zlib.compress(b"\x00" * 1_000_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_uploaded_images_take_the_place_of_made_ones(client: Client) -> None:
    files = [
        picture(seed=seed, image_format=form) for seed, form in enumerate(["PNG", "JPEG", "WEBP"])
    ]
    answer = upload(
        client,
        *files,
        **{"id": (None, "uploaded"), "settings[steps]": (None, "2"), "synonyms[]": (None, "robot")},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["concepts"][0]["synonyms"] == ["robot"]
    done = wait_for(client, "/v1/encoders/uploaded")
    assert done["status"] == "published", done
    assert (done["settings"]["steps"], done["settings"]["images"]) == (2, [3])
    until = time.monotonic() + 30
    while client.runtime.jobs.context.workspace_ids():  # pictures go with the job
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("method", ["ascent", "redirect"])
def test_images_are_made_where_none_are_sent(client: Client, method: str) -> None:
    body = {**BODY, "id": f"made-{method}", "settings": {"method": method, "steps": 2}}
    assert client.post("/v1/encoders", json=body).status_code == 200
    done = wait_for(client, f"/v1/encoders/made-{method}")
    assert (done["status"], done["settings"]["images"]) == ("published", [4]), done


def test_redirect_learns_from_images_that_are_sent(client: Client) -> None:
    settings = {"settings[method]": (None, "redirect"), "settings[steps]": (None, "2")}
    sent = upload(client, picture(), id=(None, "shown"), **settings)
    assert sent.status_code == 200, sent.text
    made = wait_for(client, "/v1/encoders/shown")
    assert (made["settings"]["method"], made["settings"]["images"]) == ("redirect", [1]), made


def test_images_that_are_none_or_too_much_are_refused(client: Client) -> None:
    limits = client.runtime.settings
    good = picture()
    for files, says in (
        ([b""], "cannot be read"),
        ([b"not an image"], "cannot be read"),
        ([good[:200]], "cannot be read"),
        ([good, b"GIF89a" + bytes(100)], "Image 2"),
        ([decompression_bomb(30_000, 30_000)], "pixels"),
        ([decompression_bomb(2**31 - 1, 2**31 - 1)], "Image 1"),
        ([good] * (limits.max_images + 1), str(limits.max_images)),
        ([b"\x89PNG" + bytes(limits.max_image_bytes)], "bytes"),
    ):
        started = time.perf_counter()
        assert_error(upload(client, *files), 400, says=says)
        assert time.perf_counter() - started < 30
    assert_error(upload(client, *[good] * 40), 400)
    assert_error(upload(client, images=(None, "text")), 400, says="files")
    assert_error(client.post("/v1/encoders", json={**BODY, "images": ["x"]}), 400, says="files")
    motion = upload(client, good, concept=(None, "bouncing"), kind=(None, "motion"))
    assert_error(motion, 400, says="clips")
    assert client.runtime.jobs.context.workspace_ids() == []
