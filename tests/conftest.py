"""Fixtures for the whole suite: small random models of the stock classes, built once a session."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import postgres_server, tiny
from tests.back_ends import DEFAULTS, left_out
from tests.model_zoo import ModelZoo
from tests.object_server import ObjectServer, shared_object_server

TESTS = Path(__file__).parent
MARKED = {
    "slow": (
        "cli/test_servers.py",
        "examples",
        *(f"readme/test_{name}.py" for name in ("contributing", "readme")),
        *(
            f"server/test_{name}.py"
            for name in (
                "audit",
                "forgetting",
                "full_disk",
                "idle_connections",
                "kills",
                "load",
                "no_local_data",
                "one_server",
                "replica_traces",
                "replicas",
                "stop",
            )
        ),
    ),
    "server": (
        "server",
        "cli",
        "examples",
        "readme",
        "packaging/test_bento.py",
        *(f"studio/test_{name}.py" for name in ("views", "keys", "making", "outages", "gallery")),
    ),
    "training": (
        "benchmarks",
        "starter/test_training.py",
        "unlearn/test_optimise.py",
        "video/families/test_pipelines.py",
        "video/families/test_stock.py",
        "video/families/test_unlearning.py",
    ),
}
"""Marker → the folders and files below `tests/` whose tests it marks (see pyproject.toml)."""
SLOW_TIMEOUT_S = 900
"""Time limit of a slow test that sets none: several take minutes, and longer on a busy machine."""

# No deadline: a busy machine must not fail a test.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run choose where all servers store that the tests in `tests/server` start."""
    parser.addoption(
        "--database", choices=("sqlite", "postgresql"), default="sqlite", help="servers' database"
    )
    parser.addoption(
        "--store", choices=("directory", "s3"), default="directory", help="servers' files"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by their path, so that authors need not do it test by test."""
    chosen = {option: config.getoption(option) for option in DEFAULTS}
    skipped = {TESTS / path: why for path, why in left_out(chosen)}
    for item in items:
        for marker, paths in MARKED.items():
            if any(item.path.is_relative_to(TESTS / path) for path in paths):
                item.add_marker(marker)
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))
        if item.path in skipped:
            item.add_marker(pytest.mark.skip(skipped[item.path]))


@pytest.fixture(scope="session")
def tiny_backbone_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a model directory laid out as `starter/weights`: v-prediction, zero terminal SNR."""
    return tiny.build(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[ObjectServer]:
    """Yield an S3 server that obstore finds by the environment, here and in processes started."""
    server = shared_object_server(tmp_path_factory)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(params=["directory", "bucket"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return a directory, and then the URL of a prefix in a bucket."""
    if request.param == "directory":
        return tmp_path / "store"
    server: ObjectServer = request.getfixturevalue("object_server")
    return f"{server.bucket()}/prefix"


@pytest.fixture(scope="session")
def tiny_epsilon_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build one that predicts the noise, on a schedule with non-zero terminal SNR."""
    return tiny.build(
        tmp_path_factory.mktemp("tiny") / "tiny-epsilon", prediction_type="epsilon", seed=1
    )


@pytest.fixture(scope="session")
def tiny_clip_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a CLIP with random weights."""
    return tiny.build_clip(tmp_path_factory.mktemp("tiny") / "clip")


@pytest.fixture(scope="session")
def model_zoo(tmp_path_factory: pytest.TempPathFactory) -> ModelZoo:
    """Return a zoo of models: one of every family and one of each twin, each built when needed."""
    return ModelZoo(tmp_path_factory.mktemp("families"))


@pytest.fixture(scope="session")
def postgres_port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """Yield the port of a PostgreSQL server that the run's processes share."""
    base = tmp_path_factory.getbasetemp()
    # xdist gives each process a folder inside the run's.
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with postgres_server.shared(folder) as port:
        yield port


@pytest.fixture(scope="module")
def postgres_url(postgres_port: int, request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty PostgreSQL database of the module's own."""
    return postgres_server.create_database(postgres_port, request.module.__name__.split(".")[-1])
