"""The compose file: valid, and its services fit each other, the server's settings and the image."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from server.drain import _LAST_S as LAST_S  # pyright: ignore[reportPrivateUsage]
from server.settings import Settings
from tests.deploy.manifests import SCHEMAS
from tests.deploy.tools import ROOT, compose_config

FILE = ROOT / "deploy/compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = {
    name: each for name, each in SERVICES.items() if "PALIMPSEST_ROLE" in each["environment"]
}
VARIABLE = re.compile(r"\$\{(\w+)(:[-?][^}]*)?\}")


def test_it_is_valid() -> None:
    schema = json.loads((SCHEMAS / "compose-spec.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    wrong = {**COMPOSE, "services": {"api": {"image": "a", "read_onyl": True}}}
    assert list(validator.iter_errors(wrong))


def test_there_are_an_api_two_workers_a_database_and_a_store() -> None:
    roles = {name: each["environment"]["PALIMPSEST_ROLE"] for name, each in SERVERS.items()}
    assert roles == {name: name for name in ("api", "videos", "encoders")}
    assert SERVICES.keys() - SERVERS.keys() == {"postgres", "s3"}
    published = [name for name, each in SERVICES.items() if "ports" in each]
    assert published == ["api"], "the database and the store are reached from inside only"
    assert SERVICES["api"]["ports"][0].startswith("127.0.0.1:")


def test_servers_have_settings_that_exist_and_one_another_s_values() -> None:
    known = {f"PALIMPSEST_{name.upper()}" for name in Settings.model_fields}
    shared: list[dict[str, str]] = []
    for each in SERVERS.values():
        ours = {name for name in each["environment"] if name.startswith("PALIMPSEST_")}
        assert len(ours) > 4
        assert ours <= known
        shared.append({**each["environment"], "PALIMPSEST_ROLE": ""})
    assert all(each == shared[0] for each in shared)


def test_servers_have_no_more_rights_than_they_need_and_time_to_drain() -> None:
    for each in SERVERS.values():
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert each["tmpfs"][0].startswith("/tmp:")
        times = (float(each["environment"][f"PALIMPSEST_{n}_SECONDS"]) for n in ("DRAIN", "STOP"))
        assert int(each["stop_grace_period"].removesuffix("s")) > sum(times) + max(2, LAST_S)


def test_references_are_there() -> None:
    for name, each in SERVICES.items():
        for other, how in each.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other], other
        for secret in each.get("secrets", ()):
            source = secret["source"] if isinstance(secret, dict) else secret
            assert source in COMPOSE["secrets"], name
        for volume in each.get("volumes", ()):
            assert volume.split(":")[0] in COMPOSE["volumes"], name
        assert set(each["networks"]) <= COMPOSE["networks"].keys()
    for each in SERVERS.values():
        hosts = re.findall(r"@(\w+)/|http://(\w+):", " ".join(each["environment"].values()))
        assert {name for pair in hosts for name in pair if name} == {"postgres", "s3"}
        assert {"postgres", "s3"} == each["depends_on"].keys()
        assert each["environment"]["PALIMPSEST_KEYS_FILE"] == "/run/secrets/keys.json"


def test_passwords_are_no_part_of_it() -> None:
    found = dict(VARIABLE.findall(FILE.read_text()))
    needed = {name for name, rest in found.items() if rest.startswith(":?")}
    assert needed == {"POSTGRES_PASSWORD", "S3_PASSWORD"}
    example = (ROOT / "deploy/example.env").read_text()
    given = dict(re.findall(r"^(?:# )?(\w+)=(.*)$", example, re.MULTILINE))
    assert given.keys() == found.keys()
    assert {name for name, value in given.items() if not value} == needed
    assert COMPOSE["secrets"]["postgres_password"] == {"environment": "POSTGRES_PASSWORD"}


@pytest.mark.slow
def test_a_compose_program_reads_it_and_asks_for_passwords() -> None:
    done = compose_config(FILE, {"POSTGRES_PASSWORD": "first", "S3_PASSWORD": "second"})
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    assert read.keys() == SERVICES.keys()
    for name in SERVERS:
        given = read[name]["environment"]
        assert given["PALIMPSEST_DATABASE"].startswith("postgresql+psycopg://palimpsest:first@")
        assert given["AWS_SECRET_ACCESS_KEY"] == "second"
    refused = compose_config(FILE, {"S3_PASSWORD": "second"})
    assert refused.returncode != 0
    assert "POSTGRES_PASSWORD" in refused.stderr


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"^HEALTHCHECK ", "compose waits for it"),
        (r"^USER 10001:10001$", "the chart's runAsUser"),
        (r'^ENTRYPOINT \["tini", "--", "palimpsest"\]$', "signals arrive"),
        (r"^ARG BASE=python:3\.11-slim$", "a base that everybody can have"),
        (r"PALIMPSEST_DATA_DIR=/var/lib/palimpsest$", "where the chart mounts it"),
    ],
)
def test_the_dockerfile_has(pattern: str, why: str) -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    assert re.search(pattern, text, re.MULTILINE), why
