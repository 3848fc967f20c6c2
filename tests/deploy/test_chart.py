"""The chart: what it renders is valid, refers to what exists, and says what the server does."""

from __future__ import annotations

import copy
import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.drain import _LAST_S as LAST_S  # pyright: ignore[reportPrivateUsage]
from tests.deploy.manifests import (
    Manifest,
    container,
    custom_resource_faults,
    faults,
    of_kind,
    unknown_settings,
)
from tests.deploy.tools import CHART, KUBERNETES, ROOT, kubernetes_faults, render

pytestmark = pytest.mark.slow

OFF = {"enabled": False}
SINGLE: dict[str, Any] = {
    "roles": {"api": OFF, "videos": OFF, "encoders": OFF, "all": {"enabled": True}},
    "keys": {"existingSecret": "keys"},
}
"""Values of a single server: what runs without a database."""
SCALED: dict[str, Any] = {
    "database": {"existingSecret": "database"},
    "store": {"url": "s3://bucket/videos", "existingSecret": "store"},
    "keys": {"existingSecret": "keys"},
}
"""Values of replicas."""
EVERYTHING: dict[str, Any] = SCALED | {
    "signing": {"existingSecret": "signing"},
    "settings": {"BACKBONE": "owner/model", "TRUSTED_PROXIES": "10.0.0.0/8"},
    "image": {"pullSecrets": [{"name": "registry"}]},
    "roles": {
        role: {
            "autoscaling": {"enabled": True},
            "nodeSelector": {"gpu": "yes"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "runtimeClassName": "nvidia",
            "priorityClassName": "high",
        }
        for role in ("api", "videos", "encoders")
    },
    "ingress": {"enabled": True, "tlsSecret": "certificate"},
    "monitoring": {"enabled": True, "keySecret": "monitoring", "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "apiFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}],
    },
    "extraEnv": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
    "extraEnvFrom": [{"secretRef": {"name": "hub"}}],
    "podLabels": {"team": "video"},
    "podAnnotations": {"example.org/owner": "video"},
}
SECRETS = {"database", "store", "keys", "signing", "certificate", "monitoring", "hub"}
CUSTOM = ("ScaledObject", "ServiceMonitor", "PrometheusRule")
CASES = {"single": SINGLE, "scaled": SCALED, "everything": EVERYTHING}


@pytest.fixture(scope="module", params=CASES)
def release(request: pytest.FixtureRequest) -> list[Manifest]:
    """Return the manifests of each case."""
    return render(values=CASES[request.param])


@pytest.fixture(scope="module")
def whole() -> list[Manifest]:
    """Return the manifests of the case in which everything is on."""
    return render(values=EVERYTHING)


@pytest.mark.parametrize("version", KUBERNETES)
def test_it_is_valid_for_kubernetes(release: list[Manifest], version: str, tmp_path: Path) -> None:
    own = [each for each in release if each["kind"] not in CUSTOM]
    assert {"Deployment", "Service", "NetworkPolicy"} <= {each["kind"] for each in own}
    assert kubernetes_faults(own, tmp_path, version) == ""


def test_a_wrong_field_is_found(whole: list[Manifest], tmp_path: Path) -> None:
    [first, *_] = copy.deepcopy(of_kind(whole, "Deployment"))
    first["spec"]["template"]["spec"]["terminationGracePeriod"] = 5
    assert "terminationGracePeriod" in kubernetes_faults([first], tmp_path, KUBERNETES[-1])


def test_custom_resources_are_valid(whole: list[Manifest]) -> None:
    found = [each for each in whole if each["kind"] in CUSTOM]
    assert {each["kind"] for each in found} == set(CUSTOM)
    assert [fault for each in found for fault in custom_resource_faults(each)] == []
    broken = copy.deepcopy(found)
    for each in broken:
        each["spec"]["nonsense"] = 1
    assert all(custom_resource_faults(each) for each in broken)


def test_references_selectors_ports_and_rights_hold(release: list[Manifest]) -> None:
    assert len(release) >= 9
    assert faults(release, SECRETS) == []
    assert unknown_settings(release) == set()


def _set(kind: str, path: str, value: object) -> Callable[[list[Manifest]], None]:
    def change(release: list[Manifest]) -> None:
        node: Any = of_kind(release, kind)[0]
        *way, last = path.split(".")
        for step in way:
            node = node[int(step) if step.isdigit() else step]
        node[last] = value

    return change


POD = "spec.template.spec"
INNER = f"{POD}.containers.0"
BREAKS = {
    "a service that selects nothing": _set("Service", "spec.selector", {"a": "b"}),
    "a service's port": _set("Service", "spec.ports.0.targetPort", "web"),
    "a service's name": _set("Service", "metadata.name", "other"),
    "labels of pods": _set("Deployment", "spec.template.metadata.labels", {"a": "b"}),
    "a deployment that selects all": _set(
        "Deployment", "spec.selector.matchLabels", {"app.kubernetes.io/name": "palimpsest"}
    ),
    "a budget": _set("PodDisruptionBudget", "spec.selector.matchLabels", {"a": "b"}),
    "a policy's pods": _set("NetworkPolicy", "spec.podSelector.matchLabels", {"a": "b"}),
    "a policy's port": _set("NetworkPolicy", "spec.ingress.0.ports.0.port", "web"),
    "a monitor's labels": _set("ServiceMonitor", "spec.selector.matchLabels", {"a": "b"}),
    "a monitor's port": _set("ServiceMonitor", "spec.endpoints.0.port", "metrics"),
    "a scaled object": _set("ScaledObject", "spec.scaleTargetRef.name", "other"),
    "a settings' name": _set("ConfigMap", "metadata.name", "other"),
    "an account": _set("ServiceAccount", "metadata.name", "other"),
    "a claim": _set("PersistentVolumeClaim", "metadata.name", "other"),
    "a secret": _set("Deployment", f"{INNER}.envFrom.1.secretRef.name", "other"),
    "a container's port": _set("Deployment", f"{INNER}.ports.0.containerPort", 8080),
    "a probe's path": _set("Deployment", f"{INNER}.readinessProbe.httpGet.path", "/ready"),
    "a probe's port": _set("Deployment", f"{INNER}.startupProbe.httpGet.port", "web"),
    "a probe that restarts": _set("Deployment", f"{INNER}.livenessProbe.httpGet.path", "/readyz"),
    "a mount": _set("Deployment", f"{INNER}.volumeMounts.0.name", "other"),
    "a writable root": _set(
        "Deployment", f"{INNER}.securityContext.readOnlyRootFilesystem", False
    ),
    "root": _set("Deployment", f"{POD}.securityContext.runAsNonRoot", False),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_found(whole: list[Manifest], name: str) -> None:
    broken = copy.deepcopy(whole)
    BREAKS[name](broken)
    assert faults(broken, SECRETS)


@pytest.mark.parametrize(("drain", "stop"), [(10, 20), (0, 0.5), (2.5, 6.5), (300, 3600)])
def test_a_pod_is_killed_only_after_its_drain(drain: float, stop: float) -> None:
    release = render(values=SCALED | {"drainSeconds": drain, "stopSeconds": stop})
    [settings] = of_kind(release, "ConfigMap")
    assert float(settings["data"]["PALIMPSEST_DRAIN_SECONDS"]) == drain
    assert float(settings["data"]["PALIMPSEST_STOP_SECONDS"]) == stop
    deployments = of_kind(release, "Deployment")
    assert len(deployments) == 3
    for each in deployments:
        pod = each["spec"]["template"]["spec"]
        # docs/OPERATIONS.md: more than the sum of both and 2.
        assert pod["terminationGracePeriodSeconds"] > drain + stop + max(2, LAST_S)
        probe = container(each)["readinessProbe"]
        assert math.isclose(probe["periodSeconds"] * probe["failureThreshold"], 5)


def test_roles_are_told_to_the_servers_that_share_a_database(whole: list[Manifest]) -> None:
    for each in of_kind(whole, "Deployment"):
        given = {one["name"]: one for one in container(each)["env"]}
        role = given["PALIMPSEST_ROLE"]["value"]
        assert each["metadata"]["name"] == f"demo-palimpsest-{role}"
        assert given["PALIMPSEST_DATABASE"]["valueFrom"]["secretKeyRef"]["key"] == "url"
        has_gpu = "nvidia.com/gpu" in container(each)["resources"]["limits"]
        assert has_gpu is (role != "api")
    [single] = of_kind(render(values=SINGLE), "Deployment")
    names = {one["name"] for one in container(single)["env"]}
    assert not names & {"PALIMPSEST_ROLE", "PALIMPSEST_DATABASE"}
    assert single["spec"]["strategy"] == {"type": "Recreate"}, "one server a data directory"


def test_workers_scale_by_the_jobs_that_the_server_counts(whole: list[Manifest]) -> None:
    services = {each["metadata"]["name"] for each in of_kind(whole, "Service")}
    scaled = of_kind(whole, "ScaledObject")
    queries = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"]["triggers"][0]["metadata"]["query"]
        for each in scaled
    }
    queues = {}
    for target, query in queries.items():
        found = re.findall(
            r"max by \(queue\) \((palimpsest_queue_\w+)\{"
            r'namespace="(.*?)",service="(.*?)",queue=~"(.*?)"\}\)',
            query,
        )
        metrics, namespaces, named, [queues[target], same] = zip(*found, strict=True)
        assert metrics == ("palimpsest_queue_depth", "palimpsest_queue_running")
        assert {*namespaces} == {"video"}
        assert {*named} <= services
        assert same == queues[target]
    assert queues == {"demo-palimpsest-videos": "videos", "demo-palimpsest-encoders": "encoders"}
    [by_cpu] = of_kind(whole, "HorizontalPodAutoscaler")
    assert by_cpu["spec"]["scaleTargetRef"]["name"] == "demo-palimpsest-api"
    for each in of_kind(whole, "Deployment"):
        assert "replicas" not in each["spec"], "an upgrade would undo the autoscaler's number"


def test_events_are_not_buffered_on_their_way(whole: list[Manifest]) -> None:
    [ingress] = of_kind(whole, "Ingress")
    given = ingress["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io"
    assert given[f"{prefix}/proxy-buffering"] == "off"
    assert int(given[f"{prefix}/proxy-read-timeout"]) >= 3600


def test_the_rules_of_the_chart_are_the_tested_ones(whole: list[Manifest]) -> None:
    [rules] = of_kind(whole, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((ROOT / "deploy/grafana/alerts.yaml").read_text())
    assert (CHART / "alerts.yaml").resolve() == ROOT / "deploy/grafana/alerts.yaml"


REFUSED = {
    "share a database": {},
    "is one pod": {**SINGLE, "roles": {**SINGLE["roles"], "all": {"enabled": True, "replicas": 2}}},
    "needs a database": {**SINGLE, "store": {"url": "s3://bucket"}},
    "share a store": {"database": {"existingSecret": "database"}},
    "nothing takes requests": {**SCALED, "roles": {"api": OFF}},
    "additional properties 'replicaCount'": {**SCALED, "replicaCount": 2},
    "invalid propertyName 'PORT'": {**SCALED, "settings": {"PORT": "3001"}},
    "got number, want string": {**SCALED, "settings": {"MAX_STORED_BYTES": 21474836480}},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_values_that_make_no_server_are_refused(reason: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render(values=REFUSED[reason])
    assert reason in refused.value.stderr


def test_replaced_settings_replace_the_pods() -> None:
    key = "checksum/settings"
    sums = {
        container_template["metadata"]["annotations"][key]
        for steps in ("100", "50")
        for each in of_kind(
            render(values={**SCALED, "settings": {"MAX_STEPS": steps}}), "Deployment"
        )
        for container_template in [each["spec"]["template"]]
    }
    assert len(sums) == 2
