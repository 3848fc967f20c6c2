"""Metrics that an operator watches."""

from __future__ import annotations

import re

from prometheus_client.metrics import MetricWrapperBase

from tests.deploy.queries import asked, grouped, queries
from tests.server.help import ROOT, Client, device_held, publish, wait_for

OF_PROMETHEUS = {"namespace", "instance", "le"}
"""Labels that Prometheus adds, and those of a histogram's buckets."""
QUICK = {"prompt": "pogo in a meadow", "steps": 2, "frames": 2, "seed": 1}


def test_the_times_of_a_video_and_the_reason_of_a_failure_are_counted(client: Client) -> None:
    def count(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    publish(client.runtime, "counted", seed=8)
    failures = (
        'palimpsest_jobs_ended_total{kind="video",reason="encoder_not_found",status="failed"}'
    )
    names = (
        "palimpsest_wait_seconds_count",
        "palimpsest_encode_seconds_count",
        "palimpsest_decode_seconds_count",
        "palimpsest_step_seconds_count",
        "palimpsest_batch_size_sum",
        "palimpsest_denoise_steps_total",
        "palimpsest_encoder_misses_total",
        failures,
    )
    before = {name: count(name) for name in names}
    body = {**QUICK, "steps": 3, "encoder": "counted"}
    wait_for(client, f"/v1/videos/{client.post('/v1/videos', json=body).json()['id']}")
    with device_held(client.runtime):
        gone = client.post("/v1/videos", json=body).json()["id"]
        client.delete("/v1/encoders/counted")
    wait_for(client, f"/v1/videos/{gone}")
    rise = [count(name) - before[name] for name in names]
    assert rise == [1, 1, 1, 3, 3, 3, 1, 1]
    assert 0 < count("palimpsest_denoise_seconds_total") < count("palimpsest_loop_busy_seconds")


def test_every_documented_metric_exists(client: Client) -> None:
    page = (ROOT / "docs" / "SERVING.md").read_text()
    rows = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"(?:palimpsest|process)_\w+", row)}
    assert len(named) > 20
    shown = client.get("/metrics").text
    # A metric that nothing was counted for yet has its help only.
    pattern = r"^(# HELP )?{}(_count)?[ {{]"
    assert not [name for name in named if not re.search(pattern.format(name), shown, re.M)]


def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_exist(client: Client) -> None:
    metrics = client.runtime.metrics
    labels = {
        each._name: set(each._labelnames)  # pyright: ignore[reportPrivateUsage]
        for each in (*vars(metrics).values(), *vars(metrics.engine).values())
        if isinstance(each, MetricWrapperBase)
    }
    exported: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        of_family = labels.get(family.name) or set(getattr(family, "_labelnames", ()))
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        for suffix in suffixes.get(family.type, ("",)):
            exported[family.name + suffix] = of_family
    for title, query in queries().items():
        asked_for = asked(query)
        assert asked_for, title
        assert asked_for.keys() <= exported.keys(), title
        for metric, selected in asked_for.items():
            assert selected <= exported[metric] | OF_PROMETHEUS, title
        known = set[str]().union(*(exported[metric] for metric in asked_for))
        assert grouped(query) <= known | OF_PROMETHEUS, title
