"""The image: its notice names all that it holds, and its context has all that the server needs."""

from __future__ import annotations

import re

import pytest

from deploy.bundled_libraries import LICENCES, library_name
from deploy.notice import NOTICE, bundled_libraries, licence, runtime_distributions
from tests.packaging.help import ROOT, runtime_files


def test_the_notice_names_every_package_and_library() -> None:
    found = runtime_distributions()
    assert {"torch", "av", "bentoml", "cryptography", "psycopg"} <= found.keys()
    text = NOTICE.read_text()
    remedy = "run `python -m deploy.notice`"
    assert [name for name in found if f"\n{name} " not in text] == [], remedy
    libraries = {each for one in found.values() for each in bundled_libraries(one)}
    assert {"x264", "avcodec", "pq"} <= libraries
    assert libraries <= LICENCES.keys(), "add their licences to deploy/bundled_libraries.py"
    assert [name for name in libraries if f"\nlib{name} (" not in text] == [], remedy


def test_a_licence_is_one_line() -> None:
    lines = {name: licence(each) for name, each in runtime_distributions().items()}
    assert lines["av"] == "BSD-3-Clause"
    assert [name for name, line in lines.items() if not line or "\n" in line] == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("libx264-d6533a8d.so.165", "x264"),
        ("libgfortran-040039e1-0352e75f.so.5.0.0", "gfortran"),
        ("libscipy_openblas64_-32a4b2a6.so", "scipy_openblas64_"),
        ("libxcb-shape-7716c890.so.0.0.0", "xcb-shape"),
        ("libopencore-amrnb-d72c52e2.so.0.0.5", "opencore-amrnb"),
    ],
)
def test_the_name_of_a_library(file: str, name: str) -> None:
    assert library_name(file) == name


def test_the_context_of_the_image_holds_what_the_server_needs() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    needed = runtime_files("service.py", "demo.py", "cli") | {"pyproject.toml", "constraints.txt"}
    copied = re.findall(
        r"^COPY (?!--from)(.*) \S+$", (ROOT / "deploy/Dockerfile").read_text(), re.M
    )
    needed |= {name for line in copied for name in line.split() if name != "."}
    assert [name for name in needed if name not in kept and name.split("/")[0] not in kept] == []
    assert not kept & {"tests", "docs", ".git", "data", "benchmarks"}
