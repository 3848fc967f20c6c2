"""Write `deploy/grafana/dashboard.json`, the dashboard for Grafana: `python -m deploy.dashboard`.

Every panel is a line of `ROWS`. docs/SERVING.md says what the metrics mean.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).resolve().parent / "grafana" / "dashboard.json"
_WIDTH, _HEIGHT = 24, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_IN = 'namespace=~"$namespace"'
_ON = f'{_IN}, instance=~"$instance"'
_OURS = "and on (namespace, instance) palimpsest_ready"


def _quantiles(metric: str, by: str = "") -> dict[str, str]:
    """Return queries for the median and the 95th percentile of a histogram, by its labels."""
    named = "".join(f"{{{{{label}}}}} " for label in by.split())
    labels = ", ".join(["le", *by.split()])
    return {
        f"{named}{name}": f"histogram_quantile({share}, "
        f"sum by ({labels}) (rate({metric}_bucket{{{_ON}}}[$__rate_interval])))"
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }


def _rate(metric: str, by: str) -> str:
    """Return the query for a counter's rate a second, summed by labels."""
    labels = ", ".join(by.split())
    return f"sum by ({labels}) (rate({metric}{{{_ON}}}[$__rate_interval]))"


def _of_all(metric: str, by: str) -> str:
    """Return the query for a gauge that every replica reports alike, by labels."""
    return f"max by ({', '.join(by.split())}) ({metric}{{{_ON}}})"


@dataclass(frozen=True)
class Panel:
    """A graph: its title, Grafana's name of its unit, its queries by legend, and its meaning."""

    title: str
    unit: str
    queries: dict[str, str]
    text: str = ""


_BUSY = "palimpsest_loop_busy_seconds_total"
_SHARE = f"{_rate('palimpsest_denoise_seconds_total', 'instance')} / {_rate(_BUSY, 'instance')}"

ROWS: dict[str, list[Panel]] = {
    "Jobs": [
        Panel(
            "Pending jobs",
            "short",
            {"{{kind}} {{status}}": _of_all("palimpsest_jobs", "kind status")},
            "Replicas that share a database each report all of them, so the largest is shown.",
        ),
        Panel(
            "Ended jobs a second",
            "ops",
            {
                "{{kind}} {{status}} {{reason}}": _rate(
                    "palimpsest_jobs_ended_total", "kind status reason"
                )
            },
        ),
        Panel(
            "Seconds from acceptance to the end", "s", _quantiles("palimpsest_job_seconds", "kind")
        ),
    ],
    "Queues": [
        Panel(
            "Jobs that wait for a replica, and jobs that replicas work on",
            "short",
            {
                "{{queue}} wait": _of_all("palimpsest_queue_depth", "queue"),
                "{{queue}} are worked on": _of_all("palimpsest_queue_running", "queue"),
            },
            "The chart's autoscalers ask for their sum.",
        ),
        Panel(
            "Seconds that the oldest job has waited",
            "s",
            {"{{queue}}": _of_all("palimpsest_queue_oldest_seconds", "queue")},
        ),
        Panel(
            "Jobs that a replica works on",
            "short",
            {"{{instance}} {{queue}}": f"sum by (instance, queue) (palimpsest_running{{{_ON}}})"},
        ),
        Panel(
            "Living replicas",
            "short",
            {"{{role}}": _of_all("palimpsest_replicas", "role")},
            "As the database has them. If more live than are ready, Prometheus does not read some.",
        ),
    ],
    "Device": [
        Panel(
            "Seconds from the loop's queue to the first step",
            "s",
            _quantiles("palimpsest_wait_seconds"),
        ),
        Panel("Seconds of a denoising step", "s", _quantiles("palimpsest_step_seconds")),
        Panel("Requests that share a step", "short", _quantiles("palimpsest_batch_size")),
        Panel(
            "Denoising steps a second",
            "ops",
            {"{{instance}}": _rate("palimpsest_denoise_steps_total", "instance")},
        ),
        Panel(
            "The loop's share of the time, and the denoiser's share of the loop's",
            "percentunit",
            {"{{instance}} loop": _rate(_BUSY, "instance"), "{{instance}} denoiser": _SHARE},
            "Under load the denoiser's share should be above 0.9.",
        ),
        Panel(
            "Seconds to encode prompts, to decode frames, of a step of unlearning",
            "s",
            {
                f"{name} {legend}": query
                for name in ("encode", "decode", "unlearning_step")
                for legend, query in _quantiles(f"palimpsest_{name}_seconds").items()
            },
        ),
    ],
    "Encoders": [
        Panel(
            "Encoders on the device",
            "short",
            {"{{instance}}": f"palimpsest_resident_encoders{{{_ON}}}"},
        ),
        Panel(
            "Bytes of overrides on the device",
            "bytes",
            {"{{instance}}": f"palimpsest_resident_bytes{{{_ON}}}"},
        ),
        Panel(
            "Uses of encoders a second",
            "ops",
            {
                name: f"sum(rate(palimpsest_encoder_{name}_total{{{_ON}}}[$__rate_interval]))"
                for name in ("hits", "misses", "evictions")
            },
            "Evictions as many as misses: raise PALIMPSEST_ENCODER_CACHE_BYTES.",
        ),
        Panel(
            "Decisions of encoders a second",
            "ops",
            {"{{decision}}": _rate("palimpsest_trigger_decisions_total", "decision")},
        ),
        Panel(
            "Probes of audits a second",
            "ops",
            {"{{outcome}}": _rate("palimpsest_audit_probes_total", "outcome")},
        ),
        Panel(
            "Delivered clips that the judge looked at, a second",
            "ops",
            {
                "shows the concept: {{shown}}": _rate(
                    "palimpsest_served_clips_judged_total", "shown"
                )
            },
        ),
    ],
    "Keys": [
        Panel(
            "Seconds of the device a second",
            "short",
            {"{{key}} {{kind}}": _rate("palimpsest_key_device_seconds_total", "key kind")},
        ),
        Panel(
            "Pending jobs by key",
            "short",
            {"{{key}} {{kind}} {{status}}": _of_all("palimpsest_key_jobs", "key kind status")},
        ),
        Panel(
            "Requests that a limit refused, a second",
            "ops",
            {"{{key}} {{limit}}": _rate("palimpsest_key_refused_total", "key limit")},
        ),
    ],
    "Server": [
        Panel(
            "Ready",
            "short",
            {"{{instance}}": f"palimpsest_ready{{{_ON}}}"},
            "1 once the model is loaded.",
        ),
        Panel(
            "Answers a second",
            "reqps",
            {"{{status}}": _rate("palimpsest_http_requests_total", "status")},
        ),
        Panel(
            "Seconds of an answer, p95",
            "s",
            {"{{route}}": _quantiles("palimpsest_http_request_seconds", "route")["{{route}} p95"]},
        ),
        Panel(
            "Memory", "bytes", {"{{instance}}": f"process_resident_memory_bytes{{{_ON}}} {_OURS}"}
        ),
        Panel(
            "CPUs",
            "short",
            {"{{instance}}": f"rate(process_cpu_seconds_total{{{_ON}}}[$__rate_interval]) {_OURS}"},
        ),
    ],
}
"""Title of a row → its panels."""


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(_placed({"type": "row", "title": title}, len(panels), 0, top, _WIDTH, 1))
        top += 1
        for at, panel in enumerate(row):
            across = _WIDTH // 3
            left, down = at % 3 * across, at // 3 * _HEIGHT
            shown = _shown(panel)
            panels.append(_placed(shown, len(panels), left, top + down, across, _HEIGHT))
        top += -(-len(row) // 3) * _HEIGHT
    return {
        "title": "Palimpsest",
        "uid": "palimpsest",
        "schemaVersion": 39,
        "tags": ["palimpsest"],
        "timezone": "browser",
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source_variable(), _variable("namespace"), _variable("instance")]},
        "panels": panels,
    }


def _shown(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + at), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
        for at, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": targets,
    }


def _placed(
    panel: dict[str, Any], number: int, left: int, top: int, width: int, height: int
) -> dict[str, Any]:
    place = {"x": left, "y": top, "w": width, "h": height}
    return {"id": number + 1, **panel, "gridPos": place}


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "source"}


def _variable(label: str) -> dict[str, Any]:
    within = "" if label == "namespace" else f"{{{_IN}}}"
    return {
        "name": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": f"label_values(palimpsest_ready{within}, {label})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


if __name__ == "__main__":
    DASHBOARD.write_text(json.dumps(dashboard(), indent=1) + "\n")
