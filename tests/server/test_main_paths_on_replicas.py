"""The main paths of the API, through a load balancer that sends each request to another replica."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml
import httpx
import openai
import pytest

from benchmarks.replicas.round_robin import round_robin
from encoders.object_blobs import ObjectBlobs
from encoders.store import EncoderStore
from server.storage.backends import open_database
from server.storage.records import IN_PROGRESS, VideoRecord
from tests.cli.help import CommandResult, palimpsest
from tests.object_server import ObjectServer
from tests.server.help import (
    Server,
    assert_error,
    bearer,
    settings_for,
    wait_for,
    wait_ready,
)
from tests.server.noisy_encoders import encoder_of
from tests.server.replicas import Replicas, until
from tests.server.test_following import follow
from video import clip, load_backbone

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The Sora API")]

REPLICAS = 3
PROMPT = "pogo in a meadow"
QUICK = {"prompt": PROMPT, "steps": 1, "frames": 2, "seed": 1}
LONG = {"prompt": PROMPT, "steps": 50, "frames": 16, "seed": 5}
JUDGING = {"min_base_rate": 0, "max_probes": 1, "judged_videos": 1}
OPEN, CLOSED = 1e-9, 1e9
"""Thresholds of members of a set that are open for every prompt, and for none."""


@dataclass
class Balanced:
    """The replicas behind their load balancer."""

    url: str
    rows: Replicas
    """A look into their database."""
    database: str
    admin: str
    """Secret of an admin's key."""
    client: httpx.Client

    def posted(self, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        """Return the answer to a request that is accepted."""
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def video(self, **fields: Any) -> str:
        """Have a video made, and return its id."""
        video: str = self.posted("/v1/videos", {**QUICK, **fields})["id"]
        assert wait_for(self.client, f"/v1/videos/{video}")["status"] == "completed"
        return video

    def of_each(self, path: str, **request: Any) -> list[httpx.Response]:
        """Return each replica's answer to a request."""
        return [self.client.get(path, **request) for _ in range(REPLICAS)]


def keys(database: str, *arguments: str) -> CommandResult:
    """Run `palimpsest keys` on the database, as on any machine that reaches it."""
    done = palimpsest("keys", *arguments, "--json", PALIMPSEST_DATABASE=database)
    assert done.status == 0, done
    return done


@contextmanager
def served(backbone: Path, home: Path, **settings: Any) -> Generator[list[str]]:
    """Serve replicas as `palimpsest serve` does, and yield their addresses."""
    with ExitStack() as stack:
        servers: list[Server] = []
        for number in range(REPLICAS):
            (home / str(number)).mkdir()
            servers.append(Server(backbone, home / str(number), **settings))
            stack.callback(servers[-1].stop)
            servers[-1].launch()
        for server in servers:
            wait_ready(server.client)
        yield [server.url for server in servers]


@pytest.fixture(scope="module")
def balanced(
    quick_backbone_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,
    object_server: ObjectServer,
) -> Generator[Balanced]:
    """Yield three replicas with an admin's key and two encoders that can be in a set."""
    store, home = f"{object_server.bucket()}/prefix", tmp_path_factory.mktemp("replicas")
    admin = keys(postgres_url, "create", "admin", "--role", "admin").json["secret"]
    places = {"database": postgres_url, "store": store}
    with served(quick_backbone_dir, home, **places, **JUDGING) as urls:
        base = load_backbone(quick_backbone_dir, device="cpu").text_encoder
        published = EncoderStore(ObjectBlobs(f"{store}/encoders"))
        for name, concept, threshold in (("open", "pogo", OPEN), ("closed", "blip", CLOSED)):
            published.publish(encoder_of(base, name, concept=concept, threshold=threshold))
        with (
            closing(open_database(settings_for(quick_backbone_dir, home, **places))) as database,
            round_robin(urls) as url,
            httpx.Client(base_url=url, timeout=60, headers=bearer(admin)) as client,
        ):
            yield Balanced(url, Replicas({}, database), postgres_url, admin, client)


def encoder_in(data: bytes) -> str | None:
    """Return the identity of the encoder that a clip says it was made with."""
    identity = clip.read_provenance(data)["encoder_identity"]
    assert identity is None or isinstance(identity, str)
    return identity


def test_openais_client_does_all_it_can(balanced: Balanced) -> None:
    with openai.OpenAI(base_url=f"{balanced.url}/v1", api_key=balanced.admin) as client:
        created = client.videos.create(prompt=PROMPT, model="tiny", extra_body={"steps": 2})
        assert created.status == "queued"
        assert client.videos.poll(created.id).status == "completed"
        video: Any = client.videos.create_and_poll(prompt=PROMPT, model="tiny:open", seconds="0.5")
        assert (video.status, video.model) == ("completed", "tiny:open")
        for _ in range(REPLICAS):
            assert client.videos.retrieve(video.id).progress == 100
            data = client.videos.download_content(video.id).content
            assert clip.decode_mp4(data).shape[0] == 4
        thumbnail = client.videos.download_content(video.id, variant="thumbnail").content
        assert thumbnail[8:12] == b"WEBP"
        made = [client.videos.create(prompt=PROMPT, extra_body=QUICK).id for _ in range(5)]
        listed = [video.id for video in client.videos.list(limit=2)]  # page after page
        assert listed == [*made[::-1], video.id, created.id]
        assert client.videos.delete(video.id).deleted
        for _ in range(REPLICAS):
            with pytest.raises(openai.NotFoundError):
                client.videos.retrieve(video.id)
        assert {model.id for model in client.models.list()} == {
            "tiny",
            "tiny:open",
            "tiny:closed",
        }


def test_a_job_is_followed_on_replicas_that_do_not_make_it(balanced: Balanced) -> None:
    video = balanced.posted("/v1/videos", LONG)["id"]
    with ThreadPoolExecutor(REPLICAS) as pool:
        path = f"/v1/videos/{video}/events"
        followed = list(pool.map(lambda _: follow(balanced.client, path), range(REPLICAS)))
    for told in followed:
        progress = [event["progress"] for _, event in told]
        assert progress == sorted(progress)
        assert len(set(progress)) > 3
        assert told[-1] == ("completed", balanced.client.get(f"/v1/videos/{video}").json())


def test_content_is_one_file_on_whichever_replica(balanced: Balanced) -> None:
    path = f"/v1/videos/{balanced.video()}/content"
    whole = balanced.of_each(path)
    assert {(one.headers["etag"], one.content) for one in whole} == {
        (whole[0].headers["etag"], whole[0].content)
    }
    tag, data = whole[0].headers["etag"], whole[0].content
    for part in balanced.of_each(path, headers={"Range": "bytes=10-19", "If-Range": tag}):
        assert (part.status_code, part.content) == (206, data[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
    for same in balanced.of_each(path, headers={"If-None-Match": tag}):
        assert same.status_code == 304
    for late in balanced.of_each(path, headers={"Range": f"bytes={len(data)}-"}):
        assert_error(late, 416)


def test_a_cancelled_video_ends_wherever_it_is_made(balanced: Balanced) -> None:
    rows = balanced.rows
    for _ in range(REPLICAS):
        video = balanced.posted("/v1/videos", {**LONG, "seed": 6})["id"]
        until(lambda video=video: rows.row(VideoRecord, video).status == IN_PROGRESS, video, 30)
        assert balanced.client.delete(f"/v1/videos/{video}").status_code == 200
        for answer in balanced.of_each(f"/v1/videos/{video}"):
            assert_error(answer, 404, code="not_found")
    began = time.monotonic()
    balanced.video()  # nothing of the others is in its way
    assert time.monotonic() - began < 20


def test_an_encoder_is_made_read_about_used_and_deleted(balanced: Balanced) -> None:
    body = {"id": "made", "concept": "pogo", "kind": "character", "settings": {"steps": 1}}
    assert balanced.posted("/v1/encoders", body)["status"] == "queued"
    assert follow(balanced.client, "/v1/encoders/made/events")[-1][0] == "published"
    for answer in balanced.of_each("/v1/encoders/made"):
        assert answer.json()["status"] == "published"
    reports = balanced.of_each("/v1/encoders/made/report")
    assert {(one.status_code, one.headers["etag"]) for one in reports} == {
        (200, reports[0].headers["etag"])
    }
    told = balanced.client.get("/v1/encoders/made/report", params={"format": "json"}).json()
    assert told["card"]["id"] == "made"
    [identity] = {one.json()["identity"] for one in balanced.of_each("/v1/encoders/made")}
    for _ in range(REPLICAS):
        video = balanced.video(encoder="made")
        content = balanced.client.get(f"/v1/videos/{video}/content").content
        assert encoder_in(content) == identity
    assert balanced.client.delete("/v1/encoders/made").status_code == 200
    for _ in range(REPLICAS):
        refused = balanced.client.post("/v1/videos", json={**QUICK, "encoder": "made"})
        assert_error(refused, 404, code="encoder_not_found")


def test_a_composed_encoder_is_made_and_used(balanced: Balanced) -> None:
    body = {"id": "both", "compose": ["open", "closed"], "gate": {"min_base_rate": 0}}
    balanced.posted("/v1/encoders", body)
    made = wait_for(balanced.client, "/v1/encoders/both")
    assert made["status"] == "published", made
    for _ in range(REPLICAS):
        video = balanced.video(encoder="both")
        content = balanced.client.get(f"/v1/videos/{video}/content").content
        assert encoder_in(content) == made["identity"]


def test_an_alias_that_is_switched_counts_on_the_next_request(balanced: Balanced) -> None:
    for name in ("open", "closed", "open"):
        set_to = balanced.client.put("/v1/aliases/policy", json={"encoder": name})
        assert set_to.status_code == 200, set_to.text
        for _ in range(REPLICAS):
            made = balanced.posted("/v1/videos", {**QUICK, "encoder": "policy"})
            assert made["model"] == f"tiny:{name}"


def test_a_repeated_request_is_one_job(balanced: Balanced) -> None:
    repeats = [
        balanced.posted("/v1/videos", QUICK, **{"Idempotency-Key": "one"})["id"]
        for _ in range(REPLICAS + 1)
    ]
    assert len(set(repeats)) == 1
    other = {**QUICK, "seed": 2}
    refused = balanced.client.post("/v1/videos", json=other, headers={"Idempotency-Key": "one"})
    assert_error(refused, 422, code="idempotency_key_reused")


def test_keys_and_their_limits_hold_over_all(balanced: Balanced) -> None:
    made = keys(
        balanced.database, "create", "acme", "--encoder", "*", "--limit", "requests_per_minute=4"
    ).json
    own = bearer(made["secret"])

    def send() -> int:
        return balanced.client.post("/v1/videos", json=QUICK, headers=own).status_code

    until(lambda: balanced.client.get("/v1/models", headers=own).status_code == 200, "no key", 1)
    if time.time() % 60 > 50:  # all in one minute of the clock
        time.sleep(61 - time.time() % 60)
    assert [send() for _ in range(6)] == [200] * 4 + [429] * 2
    assert {one.status_code for one in balanced.of_each("/v1/usage", headers=own)} == {200}
    keys(balanced.database, "revoke", "acme")

    def is_refused() -> bool:
        answers = balanced.of_each("/v1/videos", headers=own)
        return {answer.status_code for answer in answers} == {401}

    until(is_refused, "it is not revoked everywhere", 1)


def test_each_replica_knows_what_another_signed(balanced: Balanced) -> None:
    video = balanced.video(encoder="open")
    data = balanced.client.get(f"/v1/videos/{video}/content").content
    for _ in range(REPLICAS):
        answer = balanced.client.post("/v1/verify", files={"file": ("clip.mp4", data)})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["state"], found["signature"]["is_ours"]) == ("as_signed", True)
        assert (found["record"]["video"], found["record"]["unchanged"]) == (video, True)


def test_the_command_line_and_bentomls_client_make_a_video(
    balanced: Balanced, tmp_path: Path
) -> None:
    file = tmp_path / "clip.mp4"
    asked = ("generate", PROMPT, "--steps", 1, "--encoder", "open", "--output", file)
    environment = {"PALIMPSEST_SERVER": balanced.url, "PALIMPSEST_API_KEY": balanced.admin}
    done = palimpsest(*asked, "--json", **environment)
    assert done.status == 0, done
    assert encoder_in(file.read_bytes()) is not None
    with bentoml.SyncHTTPClient(balanced.url, token=balanced.admin) as client:
        path = client.generate(prompt=PROMPT, steps=1)
    assert encoder_in(Path(path).read_bytes()) is None
