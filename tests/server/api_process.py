"""A server of the role `api`, in a process that imports nothing of the tests' models.

`python -m tests.server.api_process <settings>` starts the app, makes requests of it, and prints
their answers and the large libraries that the process has imported, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from starlette.testclient import TestClient

from server.api.app import create_app
from server.auth.guard import Guard
from server.auth.live_keys import LiveKeys
from server.settings import Settings
from server.storage.backends import keys_of

LARGE = ("torch", "diffusers", "transformers", "accelerate", "safetensors")
READY_S = 60.0
REQUESTS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "health": ("GET", "/health", None),
    "models": ("GET", "/v1/models", None),
    "video": ("POST", "/v1/videos", {"prompt": "pogo in a meadow", "frames": 1, "steps": 1}),
    "too_long": ("POST", "/v1/videos", {"prompt": "pogo " * 200}),
    "videos": ("GET", "/v1/videos", None),
    "encoder": ("POST", "/v1/encoders", {"id": "no-pogo", "concept": "pogo", "kind": "character"}),
    "unknown": ("POST", "/v1/encoders", {"concept": "nobody", "kind": "character"}),
    "encoders": ("GET", "/v1/encoders", None),
    "replicas": ("GET", "/v1/admin/replicas", None),
    "ways": ("POST", "/v1/encoders/ways", {"concept": "pogo", "kind": "character"}),
    "metrics": ("GET", "/metrics", None),
}


def _answers(settings: Settings) -> dict[str, Any]:
    keys = LiveKeys(settings.keys_file, keys_of(settings))
    app = create_app(settings, keys)
    observe = app.state.runtime.metrics.observe
    guarded = Guard(app, keys=keys, max_body_bytes=1 << 20, observe=observe)
    client = TestClient(guarded, base_url="http://127.0.0.1", client=("127.0.0.1", 50000))
    with client:
        until = time.monotonic() + READY_S
        while client.get("/health").status_code != 200 and time.monotonic() < until:
            time.sleep(0.05)
        found: dict[str, Any] = {}
        for name, (method, path, body) in REQUESTS.items():
            answer = client.request(method, path, json=body)
            content = answer.text if name == "metrics" else answer.json()
            found[name] = {"status": answer.status_code, "body": content}
    return found


if __name__ == "__main__":
    answers = _answers(Settings.model_validate(json.loads(sys.argv[1])))
    imported = [name for name in LARGE if name in sys.modules]
    print(json.dumps({"answers": answers, "imported": imported}))
