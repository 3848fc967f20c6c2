"""Following several jobs in one stream."""

from __future__ import annotations

from server.api.job_events import MOST_JOBS
from tests.server.help import Client, assert_error, device_held
from tests.server.test_following import follow

QUICK = {"prompt": "pogo in a meadow", "steps": 4, "frames": 4, "seed": 1}


def test_one_stream_tells_of_videos_and_encoders_until_all_have_ended(client: Client) -> None:
    with device_held(client.runtime):
        videos = [client.post("/v1/videos", json=QUICK).json()["id"] for _ in range(3)]
        body = {"id": "no-pogo", "concept": "pogo", "kind": "character"}
        gate = {"max_probes": 2, "min_base_rate": 0}
        made = client.post("/v1/encoders", json={**body, "settings": {"steps": 2}, "gate": gate})
        assert made.status_code == 200, made.text
    query = "&".join([*(f"video={name}" for name in videos), "encoder=no-pogo"])
    told = follow(client, f"/v1/events?{query}")
    last = {data["id"]: (name, data["object"]) for name, data in told}
    assert last == {
        **dict.fromkeys(videos, ("completed", "video")),
        "no-pogo": ("published", "encoder"),
    }


def test_a_job_that_is_deleted_is_named_and_the_others_go_on(client: Client) -> None:
    video = client.post("/v1/videos", json=QUICK).json()["id"]
    gone = "video_" + 32 * "0"
    told = follow(client, f"/v1/events?video={gone}&video={video}")
    assert ("deleted", {"id": gone}) in told
    assert told[-1][1]["id"] == video
    assert told[-1][0] == "completed"


def test_a_stream_follows_some_jobs_and_not_too_many(client: Client) -> None:
    assert_error(client.get("/v1/events"), 400, says="Name 1 to")
    many = "&".join(f"video=v{number}" for number in range(MOST_JOBS))
    assert_error(client.get(f"/v1/events?{many}&encoder=one"), 400, says="Name 1 to")
