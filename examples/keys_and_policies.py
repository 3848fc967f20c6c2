"""Bind a tenant's key to an alias, then switch the alias: a server with keys.

    python examples/keys_and_policies.py

It makes the keys, starts a server on port 3100, and stops it at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

PORT = os.environ.get("PALIMPSEST_PORT", "3100")
STEPS = int(os.environ.get("STEPS", "180"))  # of the optimisation


def main() -> None:
    """Make two encoders, and let the operator choose which of them the tenant gets."""
    with TemporaryDirectory() as folder:
        operator, its_entry = new_key("operator", "--role", "admin")
        tenant, their_entry = new_key("acme", "--encoder", "acme-policy")
        keys = Path(folder, "keys.json")
        keys.write_text(json.dumps({"keys": [its_entry, their_entry]}))
        settings = {"PALIMPSEST_KEYS_FILE": str(keys), "PALIMPSEST_DATA_DIR": f"{folder}/data"}
        serve = [sys.executable, "-m", "cli", "serve", "--port", PORT]
        server = subprocess.Popen(serve, env={**os.environ, **settings}, stdout=sys.stderr)
        try:
            wait_ready(server, client(operator))
            switch(client(operator), client(tenant))
        finally:
            server.terminate()
            server.wait()


def new_key(name: str, *options: str) -> tuple[str, object]:
    """Make a key: its secret, and its entry for the keys file, which has the secret's hash only."""
    command = [sys.executable, "-m", "server.auth.keys", name, *options]
    lines = subprocess.check_output(command, text=True).splitlines()
    secret, entry = (line.partition(": ")[2] for line in lines)
    return secret, json.loads(entry)


def client(key: str) -> httpx.Client:
    """Return a client that sends this key."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{PORT}", headers=headers)


def wait_ready(server: subprocess.Popen[bytes], admin: httpx.Client) -> None:
    """Wait until the models are loaded; exit if the server ends first."""
    while server.poll() is None:
        with suppress(httpx.TransportError):
            if admin.get("/readyz").is_success:
                return
        time.sleep(0.5)
    sys.exit("The server did not start; its log above says why.")


def switch(admin: httpx.Client, acme: httpx.Client) -> None:
    """Point the alias to one encoder and then to another; the tenant's requests do not change."""
    for name in ("pogo", "blip"):
        body = {"id": f"no-{name}", "concept": name, "kind": "character"}
        admin.post("/v1/encoders", json={**body, "settings": {"steps": STEPS}}).raise_for_status()
    for name in ("no-pogo", "no-blip"):
        while (job := admin.get(f"/v1/encoders/{name}").json())["status"] != "published":
            if job["status"] == "failed":
                sys.exit(f"{name}: {job['error']['message']}")
            time.sleep(0.5)
        admin.put("/v1/aliases/acme-policy", json={"encoder": name}).raise_for_status()
        video = acme.post("/v1/videos", json={"prompt": "pogo and blip"}).raise_for_status().json()
        print(f"acme-policy is {name}: the tenant's video is made by {video['model']}")
    refused = acme.post("/v1/videos", json={"prompt": "pogo", "encoder": "base"})
    print(f"the base for the tenant: {refused.status_code}, {refused.json()['error']['message']}")


if __name__ == "__main__":
    main()
