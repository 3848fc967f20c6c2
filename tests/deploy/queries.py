"""Queries of the dashboard and the alerts, and the metrics and labels that they ask for."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from deploy.dashboard import ROWS

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy/grafana/alerts.yaml"
_METRIC = re.compile(r"\b((?:palimpsest|process)_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def rules() -> list[dict[str, str]]:
    """Return the alert rules."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> dict[str, str]:
    """Return every query, by where it stands."""
    panels = [panel for row in ROWS.values() for panel in row]
    found = {
        f"{panel.title}: {legend}": query
        for panel in panels
        for legend, query in panel.queries.items()
    }
    return found | {rule["alert"]: rule["expr"] for rule in rules()}


def asked(query: str) -> dict[str, set[str]]:
    """Return the metrics of a query with the labels by which it selects them."""
    found: dict[str, set[str]] = {}
    for metric, selector in _METRIC.findall(query):
        found.setdefault(metric, set()).update(_LABEL.findall(selector))
    return found


def grouped(query: str) -> set[str]:
    """Return the labels by which a query sums or joins."""
    return {label.strip() for group in _GROUPING.findall(query) for label in group.split(",")}
