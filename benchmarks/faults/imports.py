"""Hostile checkpoints for `palimpsest encoders import`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from benchmarks.faults import hostile_files
from benchmarks.faults.refusals import Refusals
from benchmarks.harness import WEIGHTS
from benchmarks.serving.servers import ROOT
from encoders.exchange import export_directory
from video import load_text_encoder


def imports(work: Path, mark: Path, seed: int, count: int) -> tuple[Refusals, int]:
    """Import hostile checkpoints on the command line.

    Returns:
        How they were refused, and by how much the largest process was larger than one that was
        given nothing hostile, in MiB.
    """
    door = Refusals()
    text_encoder = load_text_encoder(WEIGHTS)
    source = work / "checkpoint"
    export_directory(text_encoder, None, source)
    content = (source / "model.safetensors").read_bytes()
    usual = _import(work, source)[2]
    largest = 0
    cases: list[tuple[str, str, bytes, bool]] = [
        (name, "model.safetensors", change(content), False)
        for name, change in hostile_files.overrides(mark, seed).items()
    ]
    pickled = [(name, data) for name, _, data, _ in cases if "pickle" in name or "zip" in name]
    pickled.append(("another model's", b""))
    cases += [(name, "pytorch_model.bin", data, True) for name, data in pickled]
    cases += [(name, "pytorch_model.bin", data, False) for name, data in pickled[:1]]
    index = json.dumps({"weight_map": {"a": "../outside.safetensors"}}).encode()
    cases.append(("an index that leads out", "model.safetensors.index.json", index, False))
    for number, (name, file, data, pickles) in enumerate(cases[-max(4, count) :]):
        folder = work / f"hostile-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "config.json").write_bytes((source / "config.json").read_bytes())
        (folder / file).write_bytes(data)
        if name == "another model's":
            (folder / file).unlink()
            tensors = load_file(source / "model.safetensors")
            save_file({n: t[:1].clone() for n, t in tensors.items()}, folder / "model.safetensors")
        status, said, peak = _import(work, folder, *(["--allow-pickle"] if pickles else []))
        shutil.rmtree(folder)
        door.how[f"exit {status}"] += 1
        largest = max(largest, peak - usual)
        if status != 1 or "Traceback" in said or not said.strip():
            door.wrong.append(f"{name} as {file}: exit {status}, {said[-300:]!r}")
    shutil.rmtree(source)
    return door, largest


def _import(work: Path, folder: Path, *options: str) -> tuple[int, str, int]:
    """Import a checkpoint; return exit status, output on stderr, and largest memory in MiB."""
    command = [sys.executable, "-m", "cli", "encoders", "import", str(folder), "--id", "hostile"]
    command += ["--concept", "pogo", "--kind", "character", *options]
    measured = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10); "
        "sys.exit(done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measured, *command],
        cwd=ROOT,
        env={**os.environ, "PALIMPSEST_DATA_DIR": str(work / "imported")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stderr, int(done.stdout.split()[-1])
