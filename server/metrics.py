"""Metrics of `/metrics`. Names and labels are fixed here; no label holds a path or a job's id.

Labels hold the ids of keys: an operator makes keys, so there are not many. A request without a key
that is known here is counted under none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from server.loaded import Loaded
from server.queue_metrics import OF_ALL
from server.storage.record_store import RecordStore
from server.storage.records import IN_PROGRESS, QUEUED, EncoderRecord, VideoRecord
from video.engine.observer import Observer

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "palimpsest_http_requests",
            "HTTP requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "palimpsest_http_request_seconds",
            "Seconds from request to the answer's last byte",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.jobs_ended = Counter(
            "palimpsest_jobs_ended",
            "Videos and encoders that ended, by how, and why if not as they should",
            ["kind", "status", "reason"],
            registry=self.registry,
        )
        self.job_seconds = Histogram(
            "palimpsest_job_seconds",
            "Seconds from acceptance to the end of a job",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.key_jobs_ended = Counter(
            "palimpsest_key_jobs_ended",
            "Videos and encoders that ended, by their key",
            ["key", "kind", "status"],
            registry=self.registry,
        )
        self.key_device_seconds = Counter(
            "palimpsest_key_device_seconds",
            "Seconds of the device for jobs that ended or were deleted, by their key",
            ["key", "kind"],
            registry=self.registry,
        )
        self.key_refused = Counter(
            "palimpsest_key_refused",
            "Requests that a limit refused, by key",
            ["key", "limit"],
            registry=self.registry,
        )
        self.audit_probes = Counter(
            "palimpsest_audit_probes",
            "Probes of audits: forgotten or missed, kept or lost, or unshown by the base",
            ["outcome"],
            registry=self.registry,
        )
        self.served_clips_judged = Counter(
            "palimpsest_served_clips_judged",
            "Served clips that the judge looked at: does one show what its encoder forgets",
            ["shown"],
            registry=self.registry,
        )
        self.engine = EngineMetrics(self.registry)
        ProcessCollector(registry=self.registry)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answered request, under the template of its route."""
        route = getattr(scope.get("route"), "path", None) or _native_route(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.requests.labels(method, route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)


class EngineMetrics(Observer):
    """Times that the engine reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def seconds(name: str, text: str) -> Histogram:
            return Histogram(
                f"palimpsest_{name}_seconds", text, buckets=_SECONDS, registry=registry
            )

        self._wait = seconds("wait", "Seconds from the loop's taking a request to its first step")
        self._encode = seconds("encode", "Seconds a request's prompts took to embed")
        self._step = seconds("step", "Seconds of a denoising step, of a request or a batch")
        self._decode = seconds("decode", "Seconds a request's frames took to decode")
        self._unlearning = seconds("unlearning_step", "Seconds of a step of unlearning")
        self._decisions = Counter(
            "palimpsest_trigger_decisions",
            "Decisions of an encoder about a text: open, or closed and the base's embedding kept",
            ["decision"],
            registry=registry,
        )
        self._batch = Histogram(
            "palimpsest_batch_size",
            "Requests that shared a denoising step",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )

    def waited(self, seconds: float) -> None:
        """Record the wait of a request that begins."""
        self._wait.observe(seconds)

    def embedded(self, seconds: float) -> None:
        """Record the time to embed a request's prompts."""
        self._encode.observe(seconds)

    def decided(self, opened: int, closed: int) -> None:
        """Count the encoders' decisions about a request's texts."""
        self._decisions.labels("open").inc(opened)
        self._decisions.labels("closed").inc(closed)

    def stepped(self, seconds: float, batch: int) -> None:
        """Record a denoising step and its batch size."""
        self._step.observe(seconds)
        self._batch.observe(batch)

    def decoded(self, seconds: float) -> None:
        """Record the time to decode a request's frames."""
        self._decode.observe(seconds)

    def iterated(self, seconds: float) -> None:
        """Record a step of unlearning."""
        self._unlearning.observe(seconds)


class StateCollector(Collector):
    """Gauges and counters that are read when they are asked for.

    Args:
        records: The jobs.
        loaded: Returns the models, or None if they are not ready.
        in_flight: Returns the number of jobs of a kind that are worked on, by key.
        is_ready: Returns True while the server takes requests.
    """

    def __init__(
        self,
        records: RecordStore,
        loaded: Callable[[], Loaded | None],
        in_flight: Callable[[type[VideoRecord] | type[EncoderRecord]], Mapping[str, int]],
        is_ready: Callable[[], bool],
    ) -> None:
        self._records = records
        self._loaded = loaded
        self._in_flight = in_flight
        self._is_ready = is_ready

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        jobs, by_key, flying = (
            GaugeMetricFamily(f"palimpsest_{name}", f"{text} {OF_ALL}", labels=labels)
            for name, text, labels in (
                ("jobs", "Jobs pending now", ["kind", "status"]),
                ("key_jobs", "Jobs pending now, by key", ["key", "kind", "status"]),
                ("key_in_flight", "Jobs worked on now, by key", ["key", "kind"]),
            )
        )
        for kind, table in (("video", VideoRecord), ("encoder", EncoderRecord)):
            totals: dict[str, int] = {QUEUED: 0, IN_PROGRESS: 0}
            for owner, status, count in self._records.pending_by_owner(table):
                totals[status] += count
                by_key.add_metric([owner, kind, status], count)
            for status, count in totals.items():
                jobs.add_metric([kind, status], count)
            for owner, count in self._in_flight(table).items():
                flying.add_metric([owner, kind], count)
        yield from (jobs, by_key, flying)
        loaded = self._loaded()
        ready = float(self._is_ready())
        yield GaugeMetricFamily("palimpsest_ready", "1 while requests are taken", ready)
        if loaded is not None:
            stats = loaded.residency.stats()
            for name, text, value in (
                ("resident_encoders", "Encoders on the device", stats.resident),
                ("resident_bytes", "Bytes of overrides on the device", stats.resident_bytes),
            ):
                yield GaugeMetricFamily(f"palimpsest_{name}", text, float(value))
            engine = loaded.engine.stats()
            for name, text, value in (
                ("encoder_hits", "Uses of an encoder that was resident", stats.hits),
                ("encoder_misses", "Uses of an encoder that had to be loaded", stats.misses),
                ("encoder_evictions", "Encoders evicted", stats.evictions),
                ("loop_busy_seconds", "Seconds of the loop's turns", engine.busy_seconds),
                ("denoise_seconds", "Of those, seconds in the denoiser", engine.denoise_seconds),
                ("denoise_steps", "Steps of requests, in batches or not", engine.steps),
            ):
                yield CounterMetricFamily(f"palimpsest_{name}", text, float(value))


def _native_route(scope: Scope) -> str:
    """Return the path of one of BentoML's routes, which have no template, or else "unmatched"."""
    known = ("/generate", "/livez", "/readyz", "/healthz", "/docs.json", "/schema.json")
    return scope["path"] if scope["path"] in known else "unmatched"
