"""Videos, workspaces and the base's clips: alike in a data directory and in a bucket."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.blob_store import BlobStore
from encoders.open_blobs import open_blobs
from server.jobs.workspace import Workspace
from server.storage.base_clips import BaseClips
from server.storage.video_files import Variant, VideoFiles
from video import GenerationRequest

VIDEO = f"video_{1:032}"
OTHER = f"video_{2:032}"
JOB = f"encoder_{1:032}"


@pytest.fixture
def blobs(location: Path | str) -> BlobStore:
    return open_blobs(location)


@pytest.fixture
def files(blobs: BlobStore, location: Path | str) -> VideoFiles:
    """Return the files of videos, as a server has them in this store."""
    return VideoFiles(blobs, by_attempt=isinstance(location, str))


def webp(text: bytes) -> bytes:
    """Return a file that says of itself that it is a whole WebP."""
    return b"RIFF" + (len(text) + 4).to_bytes(4, "little") + b"WEBP" + text


def mp4(text: bytes) -> bytes:
    """Return a file that says of itself that it is a whole mp4."""
    boxes = {b"ftyp": b"", b"moov": b"", b"mdat": text}
    return b"".join(
        (len(data) + 8).to_bytes(4, "big") + kind + data for kind, data in boxes.items()
    )


def contents(text: bytes) -> Mapping[Variant, bytes]:
    return {"video": mp4(text), "thumbnail": webp(text), "spritesheet": webp(2 * text)}


def read(files: VideoFiles, attempt: int, variant: Variant = "video") -> bytes:
    with files.open(VIDEO, attempt, variant) as blob:
        return blob.read(0, blob.size)


def test_a_video_is_written_read_and_deleted(files: VideoFiles) -> None:
    with pytest.raises(FileNotFoundError):
        files.open(VIDEO, 1, "video")
    made = contents(b"a clip")
    files.write(VIDEO, 1, made)
    files.write(VIDEO, 1, made)  # an outage hid that it was written
    files.write(OTHER, 1, made)
    assert {variant: read(files, 1, variant) for variant in made} == made
    assert sorted(files.ids()) == [VIDEO, OTHER]
    files.delete(VIDEO)
    assert files.ids() == [OTHER]
    with pytest.raises(FileNotFoundError):
        files.open(VIDEO, 1, "video")


def test_a_file_that_is_not_whole_is_gone(files: VideoFiles) -> None:
    files.write(VIDEO, 1, {**contents(b"a clip"), "video": mp4(b"a clip")[:-1]})
    with pytest.raises(FileNotFoundError):
        files.open(VIDEO, 1, "video")
    assert read(files, 1, "thumbnail") == webp(b"a clip")


def test_videos_without_a_record_are_swept(files: VideoFiles, blobs: BlobStore) -> None:
    for video in (VIDEO, OTHER):
        files.write(video, 1, contents(b"a clip"))
    blobs.put_all({"holiday/1/video.mp4": b"mine", f"{OTHER}x/1/video.mp4": b"mine"})
    assert files.sweep(lambda: {VIDEO: None, OTHER: 1}, time.time()) == []
    [gone] = files.sweep(lambda: {VIDEO: 1}, time.time())
    assert gone.startswith(OTHER)
    assert files.ids() == [VIDEO]
    assert len([item for item in blobs.walk("") if item.size == len(b"mine")]) == 2


def test_an_attempt_that_was_shut_out_replaces_nothing(blobs: BlobStore) -> None:
    files = VideoFiles(blobs, by_attempt=True)
    files.write(VIDEO, 2, contents(b"what counts"))
    files.write(VIDEO, 1, contents(b"late"))  # by a server that was taken for dead
    assert read(files, 2) == mp4(b"what counts")
    files.delete_attempt(VIDEO, 1)
    assert read(files, 2) == mp4(b"what counts")
    files.write(VIDEO, 1, contents(b"late"))
    assert files.sweep(lambda: {VIDEO: None}, time.time()) == []  # any of them may be the one
    assert files.sweep(lambda: {VIDEO: 2}, time.time()) == [f"{VIDEO}/1"]
    assert read(files, 2) == mp4(b"what counts")
    assert len(list(blobs.walk(VIDEO))) == 3


def test_a_workspace_keeps_the_results_of_a_job(blobs: BlobStore) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    first = Workspace(blobs, JOB)
    assert first.newest() is None
    assert first.load_outcomes() == []
    assert first.load_search(0) == {}
    assert first.load_checkpoint() is None
    first.save_pictures(images)
    first.save_images(1, images + 1)
    first.save_checkpoint(b"state")
    first.save_losses([1.5])
    first.save_outcomes([{"probe": 1}])
    first.save_search(0, {"round": 2})
    first.save_pair("shown", images, images + 2)
    Workspace(blobs, f"{JOB}0").save_losses([2.5])  # its id begins alike
    again = Workspace(blobs, JOB)  # by another server
    np.testing.assert_array_equal(again.load_images(0), images)
    np.testing.assert_array_equal(again.load_images(1), images + 1)
    assert again.has_checkpoint()
    assert again.load_checkpoint() == b"state"
    assert (again.load_losses(), again.load_outcomes()) == ([1.5], [{"probe": 1}])
    assert again.load_search(0) == {"round": 2}
    np.testing.assert_array_equal(again.load_pair("shown")[1], images + 2)
    assert abs((again.newest() or 0.0) - time.time()) < 60
    again.discard_all_but(pictures=True, failure=False)
    assert [item.path for item in blobs.walk(JOB)] == [f"{JOB}/pictures.npy"]
    again.discard()
    assert list(blobs.walk(JOB)) == []
    with pytest.raises(FileNotFoundError):
        again.load_losses()
    assert Workspace(blobs, f"{JOB}0").load_losses() == [2.5]


def test_an_attempt_goes_on_from_what_there_was_when_it_began(blobs: BlobStore) -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    Workspace(blobs, JOB).save_pictures(images)
    first = Workspace(blobs, JOB, 1)
    first.save_images(1, images + 1)
    first.save_checkpoint(b"begun")
    second = Workspace(blobs, JOB, 3)
    assert second.load_checkpoint() == b"begun"
    first.save_losses([1.0])  # it is alive after all
    first.save_outcomes([{"probe": 1}])
    first.save_search(0, {"round": 1})
    for later in (second, Workspace(blobs, JOB, 3), Workspace(blobs, JOB, 5)):
        np.testing.assert_array_equal(later.load_images(0), images)
        np.testing.assert_array_equal(later.load_images(1), images + 1)
        assert not later.has_losses()
        assert (later.load_outcomes(), later.load_search(0)) == ([], {})
    assert Workspace(blobs, JOB, 5).encoder_attempt == 5


def test_an_attempt_that_is_alive_after_all_changes_nothing_of_a_later_one(
    blobs: BlobStore,
) -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    first, second = Workspace(blobs, JOB, 1), Workspace(blobs, JOB, 2)
    assert not first.has_losses()
    for workspace, said in ((second, 2), (first, 1)):
        workspace.save_images(0, images + said)
        workspace.save_checkpoint(bytes([said]))
        workspace.save_losses([said])
        workspace.save_outcomes([{"probe": said}])
        workspace.save_search(0, {"round": said})
        workspace.save_pair("shown", images + said, images)
    for later in (second, Workspace(blobs, JOB, 3)):
        assert later.encoder_attempt == 2
        np.testing.assert_array_equal(later.load_images(0), images + 2)
        assert later.load_checkpoint() == bytes([2])
        assert later.load_losses() == [2]
        assert later.load_outcomes() == [{"probe": 2}]
        assert later.load_search(0) == {"round": 2}
        np.testing.assert_array_equal(later.load_pair("shown")[0], images + 2)
    assert first.load_losses() == [1]


def test_an_attempt_goes_on_from_what_an_earlier_version_left(blobs: BlobStore) -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    before = Workspace(blobs, JOB)  # all in the job's folder itself
    before.save_images(0, images)
    before.save_losses([1.0])
    before.save_pair("shown", images, images)
    later = Workspace(blobs, JOB, 4)
    assert (later.load_losses(), later.encoder_attempt) == ([1.0], 0)
    np.testing.assert_array_equal(later.load_images(0), images)
    np.testing.assert_array_equal(later.load_pair("shown")[0], images)
    later.discard()
    assert list(blobs.walk(JOB)) == []


def test_a_job_that_was_deleted_writes_no_more_results(blobs: BlobStore) -> None:
    saved: list[bool] = []
    is_wanted = [True]
    workspace = Workspace(
        blobs, JOB, is_wanted=lambda: is_wanted[0], on_saved=lambda: saved.append(True)
    )
    workspace.save_losses([1.5])
    is_wanted[0] = False
    workspace.discard()
    workspace.save_losses([2.5])
    workspace.save_checkpoint(b"state")
    workspace.save_outcomes([{"probe": 1}])
    assert not Workspace(blobs, JOB, 2, is_wanted=lambda: False).has_losses()
    assert list(blobs.walk(JOB)) == []
    assert saved == [True]


def test_the_cache_of_clips_is_bounded(blobs: BlobStore) -> None:
    clip = np.zeros((2, 8, 8, 3), np.uint8)
    requests = [GenerationRequest("pogo", seed=seed, low_priority=True) for seed in range(3)]
    BaseClips(blobs, 1 << 20, "a model").put(requests[0], clip)
    [entry] = blobs.walk("")
    clips = BaseClips(blobs, 2 * entry.size, "a model")
    for request in requests[1:]:
        time.sleep(1.1)  # S3 tells times in seconds
        clips.put(request, clip)
    assert [clips.get(request) is not None for request in requests] == [False, True, True]
    assert clips.get(replace(requests[1], steps=9)) is None
    blobs.put_all({next(iter(blobs.walk(""))).path: b"broken"})
    assert sum(clips.get(request) is not None for request in requests) == 1
    assert len(list(blobs.walk(""))) == 1
