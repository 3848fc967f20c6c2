"""A rolling upgrade: a server of this release beside one of the next, and alone after it."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from encoders.version import VERSION
from server.storage.job_version import JOB_VERSION
from server.storage.records import IN_PROGRESS, PENDING, EncoderRecord, VideoRecord
from server.storage.replica_rows import ReplicaRow
from tests.object_server import ObjectServer
from tests.server import next_release
from tests.server.help import SERVER_TIMEOUT_S, assert_error, wait_for
from tests.server.next_release import NEXT_JOB_VERSION, NEXT_REVISION, NEXT_VERSION
from tests.server.replicas import ONE, Replica, Replicas, started, until

pytestmark = pytest.mark.slow

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
LONG = {"prompt": "pogo in a meadow", "steps": 40, "frames": 16, "seed": 5}
ENCODER = {"concept": "pogo", "kind": "character"}
JUDGING = {"min_base_rate": 0, "max_probes": 1, "judged_videos": 1}


class Upgrade:
    """A replica of this release, and one of the next that has started beside it."""

    def __init__(self, replicas: Replicas, new: Replica, settings: dict[str, Any]) -> None:
        self.replicas = replicas
        self.old = replicas.each[0]
        self.new = new
        self.settings = settings
        """Those of both, as arguments of `settings_for`."""

    def makers(self, videos: list[str]) -> list[Replica]:
        """Return the replica that made each video, once all are completed."""
        for video in videos:
            ended = wait_for(self.new.client, f"/v1/videos/{video}")
            assert ended["status"] == "completed", ended
        rows = [self.replicas.row(VideoRecord, video) for video in videos]
        return [self.replicas.by_id(row.replica) for row in rows]


def posted(replica: Replica, path: str, body: dict[str, Any]) -> str:
    answer = replica.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def encoder(replica: Replica, name: str, **settings: Any) -> None:
    posted(replica, "/v1/encoders", {**ENCODER, "id": name, "settings": {"steps": 1, **settings}})


@pytest.fixture(scope="module")
def upgrade(
    quick_backbone_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,
    object_server: ObjectServer,
) -> Generator[Upgrade]:
    """Start a replica of this release, have it work, and start one of the next beside it."""
    home = tmp_path_factory.mktemp("upgrade")
    settings = {
        "database": postgres_url,
        "store": f"{object_server.bucket()}/prefix",
        "videos_in_flight": 1,
        **JUDGING,
    }
    code = next_release.make(home / "code")
    with started(quick_backbone_dir, home, each=ONE, **settings) as replicas:
        settings["backbone"] = str(quick_backbone_dir)
        data = str(home / "new")
        new = Replica({**settings, "data": data}, home / "new.log", code)
        encoder(replicas.each[0], "before")
        made = wait_for(replicas.each[0].client, "/v1/encoders/before")
        assert made["status"] == "published", made
        try:
            new.launch()
            new.wait_ready()
            replicas.each.append(new)
            yield Upgrade(replicas, new, settings)
        finally:
            new.stop()


def test_both_work_on_the_schema_of_the_next(upgrade: Upgrade) -> None:
    old, new = upgrade.old, upgrade.new
    with upgrade.replicas.database.reading() as session:
        revision = session.scalar(text("SELECT version_num FROM alembic_version"))
        versions = {row.version for row in session.query(ReplicaRow)}
    assert (revision, versions) == (NEXT_REVISION, {VERSION, NEXT_VERSION})
    videos = [posted(old, "/v1/videos", {**QUICK, "encoder": "before"}) for _ in range(6)]
    assert set(upgrade.makers(videos)) <= {old, new}
    for video in videos:
        contents = [one.client.get(f"/v1/videos/{video}/content") for one in (old, new)]
        assert {answer.status_code for answer in contents} == {200}
        assert contents[0].content == contents[1].content
    assert old.client.delete(f"/v1/videos/{videos[0]}").status_code == 200
    assert_error(new.client.get(f"/v1/videos/{videos[0]}"), 404)
    for one, other in ((old, new), (new, old)):
        put = one.client.put("/v1/aliases/policy", json={"encoder": "before"})
        assert put.status_code == 200, put.text
        assert other.client.delete("/v1/aliases/policy").status_code == 200


def test_what_the_next_accepts_the_old_one_does_not_make(upgrade: Upgrade) -> None:
    videos = [posted(upgrade.new, "/v1/videos", LONG) for _ in range(4)]
    assert set(upgrade.makers(videos)) == {upgrade.new}
    rows = [upgrade.replicas.row(VideoRecord, video) for video in videos]
    assert {row.job_version for row in rows} == {NEXT_JOB_VERSION}
    assert NEXT_JOB_VERSION > JOB_VERSION
    for video in videos:  # it shows and sends them all the same
        assert upgrade.old.client.get(f"/v1/videos/{video}").json()["status"] == "completed"
        assert upgrade.old.client.get(f"/v1/videos/{video}/content").status_code == 200


def test_an_encoder_of_the_next_is_refused_by_the_old_one_in_plain_words(upgrade: Upgrade) -> None:
    old, new = upgrade.old, upgrade.new
    encoder(new, "after", seed=2)
    assert wait_for(new.client, "/v1/encoders/after")["status"] == "published"
    for answer in (
        old.client.get("/v1/encoders/after"),
        old.client.post("/v1/videos", json={**QUICK, "encoder": "after"}),
    ):
        assert_error(answer, 503, code="encoder_newer", says="published by a newer version")
    used = [
        posted(new, "/v1/videos", {**QUICK, "encoder": name}) for name in ("after", "before") * 2
    ]
    assert set(upgrade.makers(used)) == {new}
    listed = [one["id"] for one in old.client.get("/v1/encoders").json()["data"]]
    assert "before" in listed


def test_an_old_one_that_starts_now_says_why_it_cannot(upgrade: Upgrade, tmp_path: Path) -> None:
    late = Replica({**upgrade.settings, "data": str(tmp_path / "data")}, tmp_path / "late.log")
    says = f"was written by a newer version of Palimpsest (revision '{NEXT_REVISION}')"
    try:
        late.launch()
        until(lambda: says in late.log.read_text(), "it says nothing", SERVER_TIMEOUT_S)
        assert_error(late.client.get("/health"), 503, code="load_failed")
    finally:
        late.stop()
    assert upgrade.old.client.get("/health").status_code == 200


def test_the_next_ends_what_the_old_one_leaves(upgrade: Upgrade) -> None:
    old, new = upgrade.old, upgrade.new
    encoder(old, "left", steps=100)
    row = upgrade.replicas.row
    until(lambda: row(EncoderRecord, "left").phase == "optimising", "not begun", 60)
    videos = [posted(old, "/v1/videos", LONG) for _ in range(4)]
    until(lambda: row(VideoRecord, videos[0]).status == IN_PROGRESS, "no video is begun", 60)
    accepted = time.monotonic()
    old.stop()
    assert row(EncoderRecord, "left").status in PENDING
    # The old one ends what it has begun. Its own row is gone then, so only the others have one.
    handed_back = [one for one in videos if row(VideoRecord, one).status in PENDING]
    assert set(upgrade.makers(handed_back)) <= {new}
    for video in videos:
        assert row(VideoRecord, video).status == "completed", video
    made = wait_for(new.client, "/v1/encoders/left")
    assert made["status"] == "published", made
    print(f"all was done {time.monotonic() - accepted:.1f} s after the old one was told to stop")
    rows = [*upgrade.replicas.rows(VideoRecord), row(EncoderRecord, "left")]
    assert {one.interruptions for one in rows} == {0}
