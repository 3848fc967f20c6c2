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
from tempfile import TemporaryDirectory

import httpx

PORT = os.environ.get("PALIMPSEST_PORT", "3100")
STEPS = int(os.environ.get("STEPS", "180"))  # of the optimisation


def main() -> None:
    """Make two encoders, and let the operator choose which of them the tenant gets."""
    with TemporaryDirectory() as folder:
        settings = {"PALIMPSEST_DATA_DIR": f"{folder}/data"}
        operator = new_key(f"{folder}/data", "operator", "--role", "admin")
        tenant = new_key(f"{folder}/data", "acme", "--encoder", "acme-policy")
        serve = [sys.executable, "-m", "cli", "serve", "--port", PORT]
        server = subprocess.Popen(serve, env={**os.environ, **settings}, stdout=sys.stderr)
        try:
            wait_ready(server, client(operator))
            switch(client(operator), client(tenant))
        finally:
            server.terminate()
            server.wait()


def new_key(data: str, *options: str) -> str:
    """Make a key in a server's database, which keeps its hash only, and return its secret."""
    command = [sys.executable, "-m", "cli", "keys", "create", "--data-dir", data, "--json"]
    return json.loads(subprocess.check_output([*command, *options], text=True))["secret"]


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
