"""Faults of rendered manifests that no schema finds: references, selectors, ports, rights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema

from server.auth.guard import PROBES
from server.settings import Settings

SCHEMAS = Path(__file__).parent / "schemas"
Manifest = dict[str, Any]


def custom_resource_faults(manifest: Manifest) -> list[str]:
    """Return what the vendored schema of a custom resource does not allow, unknown fields too.

    Raises:
        FileNotFoundError: There is no schema of its kind.
    """
    group_version = manifest["apiVersion"].replace("/", "_")
    name = f"{group_version}_{manifest['kind'].lower()}.json"
    schema = _closed(json.loads((SCHEMAS / name).read_text()))
    found = jsonschema.Draft7Validator(schema).iter_errors(manifest)
    return [f"{manifest['kind']} {error.json_path}: {error.message}" for error in found]


def faults(manifests: list[Manifest], secrets: set[str]) -> list[str]:
    """Return the faults of a release's manifests, a sentence each.

    Args:
        manifests: All that `helm template` printed.
        secrets: Names of the Secrets that the values say exist.
    """
    pods = map(_pod_faults, of_kind(manifests, "Deployment"))
    return [*chain(_reference_faults(manifests, secrets), _selector_faults(manifests), *pods)]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Return the manifests of a kind."""
    return [each for each in manifests if each["kind"] == kind]


def container(deployment: Manifest) -> Manifest:
    """Return the one container of a Deployment."""
    [only] = deployment["spec"]["template"]["spec"]["containers"]
    return only


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _labels(deployment: Manifest) -> Mapping[str, str]:
    return deployment["spec"]["template"]["metadata"]["labels"]


def _matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def _walk(node: Any, key: str) -> Iterator[Any]:
    """Yield the values of a key, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from _walk(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value, key)


def _reference_faults(manifests: list[Manifest], secrets: set[str]) -> Iterator[str]:
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    if len(names) != len(manifests):
        yield "two manifests have one kind and name"
    known = names | {("Secret", name) for name in secrets}
    for each in manifests:
        wanted = [("ConfigMap", found["name"]) for found in _walk(each, "configMapRef")]
        for key in ("secretRef", "secretKeyRef", "credentials"):
            wanted += [("Secret", found["name"]) for found in _walk(each, key)]
        wanted += [("Secret", found) for found in _walk(each, "secretName")]
        wanted += [("ServiceAccount", found) for found in _walk(each, "serviceAccountName")]
        wanted += [("PersistentVolumeClaim", found) for found in _walk(each, "claimName")]
        wanted += [(found["kind"], found["name"]) for found in _walk(each, "scaleTargetRef")]
        if each["kind"] == "Ingress":
            wanted += [("Service", found["name"]) for found in _walk(each, "service")]
        for kind, name in wanted:
            if (kind, name) not in known:
                yield f"{_name(each)} names {kind} {name}, which is not there"


def _selector_faults(manifests: list[Manifest]) -> Iterator[str]:
    deployments = of_kind(manifests, "Deployment")
    ports = {
        id(each): {port["name"]: port["containerPort"] for port in container(each)["ports"]}
        for each in deployments
    }

    def chosen(selector: Mapping[str, str]) -> list[Manifest]:
        return [each for each in deployments if _matches(selector, _labels(each))]

    for each in deployments:
        found = chosen(each["spec"]["selector"]["matchLabels"])
        if found != [each]:
            yield f"{_name(each)} selects {[_name(other) for other in found]}"
    for each in of_kind(manifests, "Service"):
        found = chosen(each["spec"]["selector"])
        if not found:
            yield f"{_name(each)} selects no pod"
        for port in each["spec"]["ports"]:
            if any(port["targetPort"] not in ports[id(pod)] for pod in found):
                yield f"{_name(each)}: no port {port['targetPort']} in what it selects"
    for each in of_kind(manifests, "PodDisruptionBudget"):
        if len(chosen(each["spec"]["selector"]["matchLabels"])) != 1:
            yield f"{_name(each)} does not select the pods of one Deployment"
    for each in of_kind(manifests, "NetworkPolicy"):
        found = chosen(each["spec"]["podSelector"]["matchLabels"])
        if not found:
            yield f"{_name(each)} selects no pod"
        opened = {port["port"] for rule in each["spec"]["ingress"] for port in rule["ports"]}
        if any(not opened <= ports[id(pod)].keys() for pod in found):
            yield f"{_name(each)} opens a port that a pod does not have"
    services = {each["metadata"]["name"]: each for each in of_kind(manifests, "Service")}
    for each in of_kind(manifests, "ServiceMonitor"):
        wanted = each["spec"]["selector"]["matchLabels"]
        found = [one for one in services.values() if _matches(wanted, one["metadata"]["labels"])]
        named = {port["name"] for one in found for port in one["spec"]["ports"]}
        if len(found) != 1 or any(
            point["port"] not in named for point in each["spec"]["endpoints"]
        ):
            yield f"{_name(each)} finds {len(found)} services, with the ports {sorted(named)}"
    for each in of_kind(manifests, "Ingress"):
        for backend in _walk(each, "service"):
            offered = services.get(backend["name"], {"spec": {"ports": []}})["spec"]["ports"]
            if backend["port"]["name"] not in {port["name"] for port in offered}:
                yield f"{_name(each)}: the service has no port {backend['port']['name']}"


def _pod_faults(deployment: Manifest) -> Iterator[str]:
    pod, name = deployment["spec"]["template"]["spec"], _name(deployment)
    inner = container(deployment)
    ports = {port["name"]: port["containerPort"] for port in inner["ports"]}
    values = {each["name"]: each.get("value") for each in inner["env"]}
    if str(ports.get("http")) != values["PALIMPSEST_PORT"]:
        yield f"{name}: the server listens on {values['PALIMPSEST_PORT']}, the ports are {ports}"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = inner[probe]["httpGet"]
        if asked["port"] not in ports or asked["path"] not in PROBES:
            yield f"{name}: {probe} asks {asked}"
    if inner["livenessProbe"]["httpGet"]["path"] != "/livez":
        yield f"{name}: a server that is not ready would be restarted"
    mounted = {each["name"] for each in inner["volumeMounts"]}
    volumes = {each["name"] for each in pod["volumes"]}
    if mounted != volumes:
        yield f"{name}: mounts {sorted(mounted)} and has {sorted(volumes)}"
    paths = {each["mountPath"] for each in inner["volumeMounts"]}
    if not {"/tmp", "/var/cache/palimpsest", values["PALIMPSEST_DATA_DIR"]} <= paths:
        yield f"{name}: a folder that the server writes to is read-only"
    rights = {**pod["securityContext"], **inner["securityContext"]}
    if not (
        rights.get("runAsNonRoot")
        and rights.get("runAsUser")
        and rights.get("readOnlyRootFilesystem")
        and rights.get("allowPrivilegeEscalation") is False
        and rights.get("capabilities") == {"drop": ["ALL"]}
        and rights.get("seccompProfile") == {"type": "RuntimeDefault"}
        and pod.get("automountServiceAccountToken") is False
    ):
        yield f"{name}: it has more rights than it needs"


def unknown_settings(manifests: list[Manifest]) -> set[str]:
    """Return the variables of the manifests that look like settings and are none."""
    known = {f"PALIMPSEST_{name.upper()}" for name in Settings.model_fields}
    given = {name for each in of_kind(manifests, "ConfigMap") for name in each["data"]}
    for deployment in of_kind(manifests, "Deployment"):
        given |= {each["name"] for each in container(deployment)["env"]}
    return {name for name in given if name.startswith("PALIMPSEST_")} - known


def _closed(schema: Any) -> Any:
    """Return a schema in which objects with named fields have no others."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
