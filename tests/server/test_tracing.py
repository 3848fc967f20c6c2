"""Traces: a job's spans are below its request's, and say nothing private."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from itertools import pairwise

import pytest

from server import tracing
from tests.otlp_collector import Collector, collector, named, tree
from tests.server.conftest import MakeClient
from tests.server.help import ROOT, Client, bearer, device_held, publish, wait_for, write_keys

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACE, PARENT_ID = CALLER
SENT = {"traceparent": f"00-{TRACE}-{PARENT_ID}-01"}
SECRET_WORD = "zanzibar"
VIDEO = {"prompt": f"pogo in {SECRET_WORD}", "steps": 3, "frames": 2, "seed": 1}
PARTS = ["queue", "wait for the device", "load encoder", "encode prompt", "denoise", "decode"]


@pytest.fixture(scope="module")
def collected() -> Generator[Collector]:
    with collector() as collected, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.endpoint)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        yield collected


@pytest.fixture(scope="module")
def traced(
    make_client: MakeClient, collected: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Client:
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    write_keys(keys, acme={"role": "admin"})
    client = make_client(keys_file=keys, max_probes=1, min_base_rate=0, judged_videos=1)
    client.headers.update(bearer("secret-acme"))
    publish(client.runtime, "no-secrets", seed=3)
    return client


def test_a_video_is_one_tree_from_the_request_to_the_store(
    traced: Client, collected: Collector
) -> None:
    body = {**VIDEO, "encoder": "no-secrets"}
    answer = traced.post("/v1/videos", json=body, headers=SENT)
    video = answer.json()["id"]
    assert wait_for(traced, f"/v1/videos/{video}")["status"] == "completed"
    spans = collected.trace(TRACE, until="video")
    request, job = named(spans, "POST /v1/videos"), named(spans, "video")
    assert (request.parent, job.parent) == (PARENT_ID, request.id)
    assert (request.kind, job.kind) == ("server", "consumer")
    assert answer.headers["traceparent"] == f"00-{TRACE}-{request.id}-01"
    assert tree(spans, job) == {name: {} for name in [*PARTS, "compress", "mark", "store"]}
    parts = [span for span in spans if span.parent == job.id]
    assert all(job.began <= part.began <= part.ended <= job.ended for part in parts)
    # Each begins when the one before has ended: they are the time of the job, and no time is twice.
    assert all(a.ended <= b.began for a, b in pairwise(parts))
    assert request.began <= job.began
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["http.route"] == "/v1/videos"
    assert {request.attributes["palimpsest.key"], job.attributes["palimpsest.key"]} == {"acme"}
    assert job.attributes["palimpsest.job"] == video
    assert job.attributes["palimpsest.request"] == answer.headers["x-request-id"]
    assert job.attributes["palimpsest.outcome"] == "completed"
    assert named(spans, "denoise").attributes == {"palimpsest.steps": 3}
    assert not [span for span in spans if span.failed]
    assert job.resource["service.name"] == "palimpsest"
    assert job.resource["deployment.environment.name"] == "test"
    assert job.instance == traced.runtime.holder.replica


def test_an_encoder_has_a_span_for_each_phase(traced: Client, collected: Collector) -> None:
    trace = "1" * 32
    body = {"id": "no-pogo", "concept": "pogo", "kind": "character", "settings": {"steps": 3}}
    headers = {"traceparent": f"00-{trace}-{PARENT_ID}-01"}
    assert traced.post("/v1/encoders", json=body, headers=headers).status_code == 200
    assert wait_for(traced, "/v1/encoders/no-pogo")["status"] == "published"
    spans = collected.trace(trace, until="encoder")
    job = named(spans, "encoder")
    assert job.parent == named(spans, "POST /v1/encoders").id
    assert tree(spans, job) == {
        "queue": {},
        "naming": {},
        "ways": {},
        "images": {},
        "optimising": {},
        "judging": {"mark": {}, "store": {}},
    }
    assert named(spans, "optimising").attributes == {"palimpsest.steps": 3}
    assert named(spans, "judging").attributes["palimpsest.probes"] >= 2
    assert job.attributes["palimpsest.outcome"] == "published"


def test_errors_have_their_codes_and_no_words(traced: Client, collected: Collector) -> None:
    publish(traced.runtime, "no-mira", seed=4)
    trace = "2" * 32
    headers = {"traceparent": f"00-{trace}-{PARENT_ID}-01"}
    with device_held(traced.runtime):
        body = {**VIDEO, "encoder": "no-mira"}
        video = traced.post("/v1/videos", json=body, headers=headers).json()["id"]
        traced.delete("/v1/encoders/no-mira")
    assert wait_for(traced, f"/v1/videos/{video}")["status"] == "failed"
    job = named(collected.trace(trace, until="video"), "video")
    assert job.failed
    assert job.attributes["palimpsest.outcome"] == "failed"
    assert job.attributes["error.type"] == "encoder_not_found"


def test_a_refused_request_has_its_code(traced: Client, collected: Collector) -> None:
    trace, name = "3" * 32, "GET /v1/videos/{video_id}"
    headers = {"traceparent": f"00-{trace}-{PARENT_ID}-01"}
    assert traced.get("/v1/videos/none", headers=headers).status_code == 404
    refused = named(collected.trace(trace, until=name), name)
    assert not refused.failed  # the caller's fault
    assert refused.attributes["error.type"] == "not_found"


def test_spans_hold_no_prompt_no_secret_and_no_name_of_a_concept(
    traced: Client, collected: Collector
) -> None:
    sent = b"".join(collected.bodies)
    assert b"acme" in sent
    for private in (SECRET_WORD, "pogo", "mira", "no-secrets", "secret-acme", "sunset"):
        assert private.encode() not in sent, private


def test_what_the_caller_does_not_sample_is_not_sent(traced: Client, collected: Collector) -> None:
    trace = "4" * 32
    headers = {"traceparent": f"00-{trace}-{PARENT_ID}-00"}
    video = traced.post("/v1/videos", json=VIDEO, headers=headers).json()["id"]
    wait_for(traced, f"/v1/videos/{video}")
    later = traced.post(
        "/v1/videos", json=VIDEO, headers={"traceparent": f"00-{'5' * 32}-{PARENT_ID}-01"}
    )
    wait_for(traced, f"/v1/videos/{later.json()['id']}")
    collected.trace("5" * 32, until="video")
    assert not [span for span in collected.spans if span.trace == trace]


def test_probes_are_not_traced(traced: Client, collected: Collector) -> None:
    assert traced.get("/health").status_code == 200
    assert traced.get("/metrics").status_code == 200
    assert not [span for span in collected.spans if "health" in span.name or "metr" in span.name]


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from server import tracing; tracing.start('one', {'OTEL_SERVICE_NAME': 'x'});"
        "assert not tracing.is_on();"
        "assert tracing.begin('x') is tracing.request_trace() is None;"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')];"
        "import server.auth.guard, server.jobs.job_spans;"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')];"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.exporter')]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=120)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_it_stays_off(variables: dict[str, str]) -> None:
    assert not tracing.is_wanted(variables)
    assert tracing.is_wanted({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"})
