"""Traces over two replicas: one takes the request, the other makes the video."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.storage.records import VideoRecord
from tests.object_server import ObjectServer
from tests.otlp_collector import collector, named
from tests.server.help import wait_for
from tests.server.replicas import started

LONG = {"prompt": "pogo in a meadow", "steps": 30, "frames": 8, "seed": 5}
JOBS = 6


def test_a_trace_crosses_replicas(
    quick_backbone_dir: Path, tmp_path: Path, postgres_url: str, object_server: ObjectServer
) -> None:
    places = {"database": postgres_url, "store": object_server.bucket(), "videos_in_flight": 1}
    with collector() as collected, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collected.endpoint}/v1/traces")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        patch.setenv("OTEL_SERVICE_NAME", "clips")
        with started(quick_backbone_dir, tmp_path, **places) as replicas:
            asked, other = replicas.both
            traces: dict[str, str] = {}
            for _ in range(JOBS):  # more than one replica takes at a time
                answer = asked.client.post("/v1/videos", json=LONG)
                traces[answer.json()["id"]] = answer.headers["traceparent"].split("-")[1]
            for video in traces:
                assert wait_for(other.client, f"/v1/videos/{video}")["status"] == "completed"
            made_by = {video: replicas.row(VideoRecord, video).replica for video in traces}
            crossed = next(
                video for video, name in made_by.items() if replicas.by_id(name) is other
            )
            spans = collected.trace(traces[crossed], until="video")
    request, job = named(spans, "POST /v1/videos"), named(spans, "video")
    assert job.parent == request.id
    assert job.instance == made_by[crossed] != request.instance
    assert {span.instance for span in spans if span.name == "store"} == {job.instance}
    assert {span.resource["service.name"] for span in spans} == {"clips"}
    assert named(spans, "queue").ended - named(spans, "queue").began > 0
