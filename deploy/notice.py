"""Write `deploy/NOTICE`: the licences of what an image holds, from the installed wheels.

    python -m deploy.notice

Run it in the project's environment whenever a dependency is added or its version changes.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

from deploy.bundled_libraries import LICENCES, library_name

ROOT = Path(__file__).resolve().parent.parent
NOTICE = ROOT / "deploy" / "NOTICE"
_HEAD = """\
Palimpsest is licensed under the Apache License 2.0 (LICENSE). An image of it holds the packages
below too, each under its own licence. Their texts are in the image, in each package's `.dist-info`
below /opt/palimpsest/lib. What comes from Debian has its own in /usr/share/doc.

This file is made from the installed wheels by `python -m deploy.notice`.

The mp4 encoder. PyAV's wheel bundles FFmpeg with x264 and x265. Both are under the GNU General
Public License, version 2 or later, so whoever passes an image on passes them on under that licence,
and owes their source: https://github.com/PyAV-Org/pyav-ffmpeg has the versions and the build of
each wheel. x264 and x265 are offered under commercial licences too. H.264 and H.265 are covered by
patents in some countries.

CUDA. An image with a torch for CUDA holds NVIDIA's libraries, under NVIDIA's own terms:
https://docs.nvidia.com/cuda/eula/. They are not listed here.
"""
_COMPILED_IN = (
    "Compiled into single files, with the licences beside them in the wheel: those of torch",
    "(third_party), and the crates of c2pa-python, cryptography, hf-xet, obstore, pydantic-core,",
    "rfc3161-client, safetensors and tokenizers.",
)


def runtime_distributions() -> dict[str, Distribution]:
    """Return the project's installed dependencies by name, those of dependencies too."""
    installed = {_normal(found.metadata["Name"]): found for found in distributions()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [(_normal(Requirement(line).name), "") for line in project["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) in seen or name not in installed:
            continue
        seen.add((name, extra))
        for line in installed[name].requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": extra}):
                needed = _normal(requirement.name)
                wanted += [(needed, ""), *((needed, more) for more in requirement.extras)]
    return {name: installed[name] for name in sorted({name for name, _ in seen})}


def bundled_libraries(distribution: Distribution) -> set[str]:
    """Return the names of the libraries in a wheel's `….libs` folder."""
    files = distribution.files or ()
    return {library_name(file.name) for file in files if file.parts[0].endswith(".libs")}


def licence(distribution: Distribution) -> str:
    """Return a package's licence as it states it; a line."""
    metadata = distribution.metadata
    [stated] = metadata.get_all("License-Expression") or [""]
    [text] = metadata.get_all("License") or [""]
    classified = [
        line.split(" :: ")[-1]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and line.count(" :: ") > 1
    ]
    lines = text.strip().splitlines()
    return stated or "; ".join(classified) or (lines[0] if lines else "see its licence file")


def notice() -> str:
    """Return the text of the notice.

    Raises:
        KeyError: A wheel bundles a library that `bundled_libraries.LICENCES` does not have.
    """
    found = runtime_distributions()
    lines = [_HEAD, "Packages", "--------", ""]
    lines += [
        f"{name} {each.version.split('+')[0]}: {licence(each)}" for name, each in found.items()
    ]
    bundled: defaultdict[str, list[str]] = defaultdict(list)
    for name, each in found.items():
        for library in bundled_libraries(each):
            bundled[library].append(name)
    lines += ["", "Libraries that these wheels bundle", "----------------------------------", ""]
    for library, wheels in sorted(bundled.items()):
        lines.append(f"lib{library} (in {', '.join(wheels)}): {LICENCES[library]}")
    lines += ["", *_COMPILED_IN]
    return "\n".join(lines) + "\n"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    NOTICE.write_text(notice())
