"""Dashboard and alerts. That their metrics exist is a test of `tests/server/test_metrics.py`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from deploy.dashboard import DASHBOARD, ROWS, dashboard
from server.queue_metrics import SHARED
from tests.deploy.queries import ALERTS, asked, grouped, queries, rules
from tests.deploy.tools import promtool

TESTS = ALERTS.with_name("alerts_test.yaml")


def test_the_dashboard_is_the_one_that_its_script_writes() -> None:
    assert json.loads(DASHBOARD.read_text()) == dashboard()


def test_panels_are_apart_and_legends_name_labels_that_are_left() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    cells = [
        (panel["gridPos"]["x"] + right, panel["gridPos"]["y"] + down)
        for panel in panels
        for right in range(panel["gridPos"]["w"])
        for down in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    for row in ROWS.values():
        for panel in row:
            for legend, query in panel.queries.items():
                shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
                is_summed = re.search(r"\b(sum|max)\b", query) is not None
                assert shown <= (grouped(query) if is_summed else {"instance"}), panel.title


def test_what_every_replica_reports_alike_is_never_summed_over_them() -> None:
    found = {
        (title, metric): query
        for title, query in queries().items()
        for metric in asked(query).keys() & SHARED
    }
    assert {metric for _, metric in found} >= SHARED - {"palimpsest_key_in_flight"}
    for (title, metric), query in found.items():
        alone = re.sub(rf"max by \([^)]*\) \({metric}\b", "", query)
        assert metric not in asked(alone), title


def test_every_alert_says_what_is_wrong_and_is_tested() -> None:
    found = rules()
    assert len(found) >= 8
    tested = TESTS.read_text()
    for rule in found:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
        healthy, faulty = f"alertname: {rule['alert']}", f'alertname="{rule["alert"]}", alertstate'
        assert healthy in tested
        assert faulty in tested or "exp_alerts" in tested.split(healthy)[-1]


@pytest.mark.slow
def test_alerts_fire_when_they_should_and_only_then() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", ALERTS)
    assert "SUCCESS" in promtool("test", "rules", TESTS)


@pytest.mark.slow
def test_every_query_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    times = {"$__rate_interval": "5m", "$namespace": ".*", "$instance": ".*"}
    found = []
    for number, query in enumerate(queries().values()):
        for variable, value in times.items():
            query = query.replace(variable, value)
        found.append({"record": f"panel:{number}", "expr": query})
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": found}]}))
    assert len(found) > 30
    assert f"{len(found)} rules found" in promtool("check", "rules", file)
