"""Roles of servers: which jobs each takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Role = Literal["all", "api", "videos", "encoders"]
Kind = Literal["video", "encoder"]

TAKES: Mapping[Role, frozenset[Kind]] = {
    "all": frozenset({"video", "encoder"}),
    "api": frozenset(),
    "videos": frozenset({"video"}),
    "encoders": frozenset({"encoder"}),
}
"""Role → kinds of jobs that a server takes. One that takes none computes nothing."""
