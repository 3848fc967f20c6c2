"""The backup of a running server, by the commands of docs/OPERATIONS.md, restored elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.server.help import (
    ROOT,
    Client,
    device_held,
    download,
    publish,
    settings_for,
    wait_for,
    wait_ready,
)

PAGE = (ROOT / "docs" / "OPERATIONS.md").read_text()
VIDEO = {"prompt": "pogo"}


def commands() -> list[str]:
    """Return the shell commands of the page's section on backups, a line each."""
    section = PAGE.split("\n## Backup and restore\n")[1].split("\n## ")[0]
    [block] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return block.splitlines()


def run(line: str, **environment: Path) -> None:
    """Run a line of the page in a shell."""
    subprocess.run(
        ["bash", "-euc", line],
        env={
            **{name: value for name, value in os.environ.items() if "PALIMPSEST" not in name},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            **{name: str(path) for name, path in environment.items()},
        },
        timeout=60,
        check=True,
    )


def test_a_running_server_is_backed_up_and_restored(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    data, backup, restored = (tmp_path / name for name in ("data", "today.tar", "restored"))
    with Client(settings_for(quick_backbone_dir, data)) as client:
        wait_ready(client)
        publish(client.runtime, "no-pogo", report={"report.html": b"<p>page</p>"})
        alias = client.put("/v1/aliases/policy", json={"encoder": "no-pogo"})
        assert alias.status_code == 200
        headers = {"Idempotency-Key": "one"}
        done = client.post("/v1/videos", json=VIDEO, headers=headers).json()["id"]
        assert wait_for(client, f"/v1/videos/{done}")["status"] == "completed"
        content = download(client, done)
        with device_held(client.runtime):
            pending = client.post("/v1/videos", json={**VIDEO, "encoder": "policy"}).json()["id"]
            backs_up, restores = commands()
            run(backs_up, PALIMPSEST_DATA_DIR=data, BACKUP=backup)
            assert client.post("/v1/videos", json=VIDEO).status_code == 200  # too late for it
    shutil.rmtree(data)
    run(restores, NEW=restored, BACKUP=backup)
    with Client(settings_for(quick_backbone_dir, restored)) as client:
        wait_ready(client)
        listed = {video["id"] for video in client.get("/v1/videos").json()["data"]}
        assert listed == {done, pending}
        assert download(client, done) == content
        again = client.post("/v1/videos", json=VIDEO, headers=headers)
        assert again.json()["id"] == done
        assert client.get("/v1/aliases/policy").json()["encoder"] == "no-pogo"
        assert client.get("/v1/encoders/no-pogo/report").text == "<p>page</p>"
        assert wait_for(client, f"/v1/videos/{pending}")["status"] == "completed"
