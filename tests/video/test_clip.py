"""Clips as files: they play, they carry their provenance, and untrusted ones do no harm."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from video import clip
from video.clip import ClipInvalid

PROVENANCE = {"encoder": "no-pogo", "digest": "sha256:00", "seed": 7, "prompt": 'é "quoted" ; =\n'}


def cartoon(count: int = 12, height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    """Draw a red square with a black outline that slides over a blue ground."""
    frames = np.full((count, height, width, 3), (60, 120, 220), np.uint8)
    for index in range(count):
        left = 4 + index
        frames[index, 8:28, left : left + 20] = 0
        frames[index, 10:26, left + 2 : left + 18] = (220, 40, 40)
    return frames


def error(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def test_a_clip_comes_back_as_it_went_in() -> None:
    frames = cartoon()
    back = clip.decode_mp4(clip.encode_mp4(frames, 8, (512, 512), PROVENANCE))
    assert back.shape == (12, 512, 512, 3)
    assert error(back, clip.enlarge(frames, (512, 512))) < 2.5
    for index in (0, 11):  # colours of flat areas: no cast, and the frames are in order
        assert np.abs(back[index, -1, -1].astype(int) - (60, 120, 220)).max() < 6
        x = (4 + index + 10) * 8
        assert np.abs(back[index, 18 * 8, x].astype(int) - (220, 40, 40)).max() < 8


def test_any_player_shows_it() -> None:
    data = clip.encode_mp4(cartoon(), 8, (256, 128))
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (256, 128)
        assert (stream.frames, stream.average_rate) == (12, 8)
        assert float(stream.duration * stream.time_base) == pytest.approx(1.5)
    assert 0 < data.find(b"moov") < data.find(b"mdat")  # plays before it is loaded whole


def test_provenance_survives_and_other_tools_see_it() -> None:
    data = clip.encode_mp4(cartoon(3), 8, provenance=PROVENANCE)
    assert clip.read_provenance(data) == PROVENANCE
    with av.open(io.BytesIO(data)) as container:
        assert '"seed": 7' in container.metadata["comment"]


def test_without_provenance_there_is_none_to_read() -> None:
    data = clip.encode_mp4(cartoon(1), 8)
    for bytes_ in (data, b"", b"no mp4"):
        with pytest.raises(ClipInvalid):
            clip.read_provenance(bytes_)


def test_the_same_arguments_give_the_same_bytes() -> None:
    first = clip.encode_mp4(cartoon(), 8, (128, 128), PROVENANCE)
    assert clip.encode_mp4(cartoon(), 8, (128, 128), PROVENANCE) == first


@pytest.mark.parametrize("count", [1, 2, 12, 33])
@pytest.mark.parametrize("size", [(64, 64), (65, 64), (63, 33), (320, 181), (2, 2), (1, 1)])
def test_odd_sizes_are_rounded_up_and_no_frame_is_lost(count: int, size: tuple[int, int]) -> None:
    back = clip.decode_mp4(clip.encode_mp4(cartoon(count), 12, size))
    width, height = (side + side % 2 for side in size)
    assert back.shape == (count, height, width, 3)


def test_frames_of_odd_size_are_delivered_even() -> None:
    assert clip.decode_mp4(clip.encode_mp4(cartoon(2, 45, 47), 8)).shape == (2, 46, 48, 3)


@pytest.mark.parametrize("fps", [1, 8, 12.5, 23.976, 60, 240])
def test_frame_rates(fps: float) -> None:
    with av.open(io.BytesIO(clip.encode_mp4(cartoon(4), fps))) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(fps, rel=1e-4)


@pytest.mark.parametrize("fps", [0, -1, 241, float("nan"), float("inf")])
def test_impossible_frame_rates_are_refused(fps: float) -> None:
    with pytest.raises(ClipInvalid, match="fps"):
        clip.encode_mp4(cartoon(1), fps)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 4), np.uint8),
        np.zeros((1, 8, 8, 3), np.float32),
    ],
)
def test_what_is_no_clip_is_refused(frames: NDArray[np.uint8]) -> None:
    for call in (lambda f: clip.encode_mp4(f, 8), clip.thumbnail, clip.spritesheet):
        with pytest.raises(ClipInvalid, match=r"uint8 \(F,H,W,3\)|empty"):
            call(frames)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda b: b"\0\0\0\x18ftypisom" + b))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ClipInvalid):
        clip.decode_mp4(data)


def test_a_truncated_clip_is_refused() -> None:
    data = clip.encode_mp4(cartoon(), 8, (128, 128))
    with pytest.raises(ClipInvalid):
        clip.decode_mp4(data[: len(data) // 4])


def test_only_mp4_is_opened(tmp_path) -> None:
    playlist = tmp_path / "list"
    playlist.write_text("x")
    for text in (
        f"ffconcat version 1.0\nfile '{playlist}'\n",
        f"#EXTM3U\n#EXTINF:1,\n{playlist}\n",
    ):
        with pytest.raises(ClipInvalid):
            clip.decode_mp4(text.encode())


def test_decoding_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clip.encode_mp4(cartoon(12), 8)
    with pytest.raises(ClipInvalid, match="more than 11 frames"):
        clip.decode_mp4(data, max_frames=11)
    assert len(clip.decode_mp4(data, max_frames=12)) == 12
    monkeypatch.setattr(clip, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(ClipInvalid, match="pixels"):
        clip.decode_mp4(data)
    monkeypatch.setattr(clip, "MAX_BYTES", 100)
    with pytest.raises(ClipInvalid, match="bytes"):
        clip.decode_mp4(data)


def test_enlarging_keeps_edges_crisp_and_flat_areas_flat() -> None:
    frames = cartoon(2)
    assert clip.enlarge(frames, (64, 64)) is frames
    large = clip.enlarge(frames, (512, 256))
    assert large.shape == (2, 256, 512, 3)
    assert tuple(large[0, 18 * 4, 14 * 8]) == (220, 40, 40)
    assert tuple(large[0, -1, -1]) == (60, 120, 220)
    # The outline is two pixels wide: its middle stays dark, which a softer filter would lose.
    assert large[0, 18 * 4, 5 * 8].max() < 40
    for size in ((0, 10), (100_000, 100_000)):
        with pytest.raises(ClipInvalid, match="Size"):
            clip.enlarge(frames, size)


@pytest.mark.parametrize("image_format", ["webp", "png"])
def test_thumbnail_is_the_middle_frame(image_format) -> None:
    frames = cartoon()
    image = Image.open(io.BytesIO(clip.thumbnail(frames, image_format=image_format)))
    assert (image.format, image.size) == (image_format.upper(), (64, 64))
    assert error(np.asarray(image.convert("RGB")), frames[6]) < (
        6 if image_format == "webp" else 1e-9
    )
    assert Image.open(io.BytesIO(clip.thumbnail(frames, (256, 128)))).size == (256, 128)


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (2, (2, 1)), (12, (4, 3)), (13, (4, 4))])
def test_spritesheet_holds_every_frame(count: int, grid: tuple[int, int]) -> None:
    frames = cartoon(count)
    image = Image.open(io.BytesIO(clip.spritesheet(frames, image_format="png")))
    assert image.size == (grid[0] * 64, grid[1] * 64)
    sheet = np.asarray(image)
    for index in range(count):
        row, column = divmod(index, grid[0])
        tile = sheet[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64]
        assert np.array_equal(tile, frames[index])
    small = Image.open(io.BytesIO(clip.spritesheet(frames, (32, 16))))
    assert (small.format, small.size) == ("WEBP", (grid[0] * 32, grid[1] * 16))
