"""The backup of a running server, by the commands of docs/OPERATIONS.md, restored elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
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


def commands() -> str:
    """Return the shell commands of the page's section on backups."""
    section = PAGE.split("\n## Backup and restore\n")[1].split("\n## ")[0]
    [block] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return block


def test_a_running_server_is_backed_up_and_restored(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    data, backup = tmp_path / "data", tmp_path / "backups" / "today"
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
            subprocess.run(
                ["bash", "-euc", commands()],
                env={**os.environ, "DATA": str(data), "BACKUP": str(backup)},
                timeout=60,
                check=True,
            )
            assert client.post("/v1/videos", json=VIDEO).status_code == 200  # too late for it
    shutil.rmtree(data)
    restored = shutil.copytree(backup, tmp_path / "restored")
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
