"""Panels of the dashboard, as Grafana reads them from its file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboard.json"
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class PanelQuery:
    """One query of a panel."""

    expression: str
    legend: str

    def name(self, labels: Mapping[str, str]) -> str:
        """Return the legend of a series: each `{{label}}` is its value."""
        return " ".join(_LABEL.sub(lambda found: labels.get(found[1], ""), self.legend).split())


@dataclass(frozen=True)
class DrawnPanel:
    """A panel: its row and title, Grafana's name of its unit, and its queries."""

    row: str
    title: str
    unit: str
    targets: tuple[PanelQuery, ...]


def read_panels(interval: str, file: Path = DASHBOARD) -> list[DrawnPanel]:
    """Return the panels of a dashboard, whose queries Prometheus can be asked.

    Args:
        interval: What `$__rate_interval` becomes, such as "15s". Every other variable becomes ".*",
            which is Grafana's "All".
        file: The dashboard.

    Raises:
        ValueError: A panel has no title, no unit or no query.
    """
    panels: list[DrawnPanel] = []
    row = ""
    for panel in json.loads(file.read_text())["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        else:
            panels.append(_panel(row, panel, interval))
    return panels


def _panel(row: str, panel: Mapping[str, Any], interval: str) -> DrawnPanel:
    def filled(expression: str) -> str:
        return _VARIABLE.sub(
            lambda found: interval if found[1] == "__rate_interval" else ".*", expression
        )

    targets = tuple(
        PanelQuery(filled(target["expr"]), target["legendFormat"]) for target in panel["targets"]
    )
    title, unit = panel.get("title", ""), panel["fieldConfig"]["defaults"].get("unit", "")
    if not (title and unit and targets):
        raise ValueError(f"panel {panel.get('id')} has no title, no unit or no query")
    return DrawnPanel(row, title, unit, targets)
