"""Keys of the fault benchmark: the secret of the key `acme` is `secret-acme`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any


def write_keys(path: Path, **keys: Mapping[str, Any]) -> Path:
    """Write a keys file, and return its path.

    A key may use everything, and ask as often as it likes, unless it says otherwise.
    """
    entries = [
        {
            "id": name,
            "sha256": sha256(f"secret-{name}".encode()).hexdigest(),
            "role": "user",
            **({} if entry.get("role") == "admin" else {"encoders": ["*"]}),
            **entry,
            "limits": {"requests_per_minute": 1_000_000, **entry.get("limits", {})},
        }
        for name, entry in keys.items()
    ]
    path.write_text(json.dumps({"keys": entries}))
    path.chmod(0o600)
    return path
