"""Counters of `/metrics` in memory, instead of the mapped files that BentoML asks for."""

from __future__ import annotations

import os
from collections.abc import MutableMapping


def keep_counters_in_memory(environment: MutableMapping[str, str] = os.environ) -> None:
    """Keep prometheus_client from mapping files. Call it before that package is imported.

    The files are for several workers, whose counters are added up; this server has one. On a full
    disk the first use of a new page of such a file ends the process (SIGBUS).
    """
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
