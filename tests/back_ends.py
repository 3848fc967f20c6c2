"""Files of `tests/server` that `pytest --database postgresql --store s3` leaves out, and why.

`make test-back-ends` runs the others so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

DEFAULTS: Mapping[str, str] = {"database": "sqlite", "store": "directory"}
"""Option → its value without which some files are left out."""

_OF_SQLITE = (
    *("backup", "broken_storage", "database_damaged", "database_health", "full_disk"),
    *("migrations", "outages", "upgrades"),
)
_OF_DIRECTORY = (
    *("backup", "broken_storage", "database_damaged", "folders_away", "full_disk", "outages"),
    "upgrades",
)
_CHOOSE = (
    *("alias_table", "base_clips", "bucket", "bucket_away", "bucket_kills", "key_limits"),
    *("leases", "ledger_table", "main_paths_on_replicas", "no_local_data", "notices"),
    *("one_server", "postgres", "postgres_database", "postgres_kills", "postgres_writers"),
    *("recovery", "replicas", "rolling_upgrades", "signing_keys", "stored_files"),
)
_STORE_NOTHING = (
    *("additive_revisions", "crashes", "followers", "front", "garbage", "giving_way", "guard"),
    *("keyring", "local_requests", "lock", "phase_times", "stages", "tracking", "turns"),
)
_OF_THE_MODEL = ("composed_clips", "device_memory", "families", "forgetting", "methods")

_LEFT_OUT: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("it is about SQLite and its file", ("database",), _OF_SQLITE),
    ("it is about a data directory", ("store",), _OF_DIRECTORY),
    ("it chooses its back ends itself", ("database", "store"), _CHOOSE),
    ("it stores nothing", ("database", "store"), _STORE_NOTHING),
    ("its time goes into the model", ("database", "store"), _OF_THE_MODEL),
)


def left_out(chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the files that a run leaves out, below `tests/`, and why.

    Args:
        chosen: The values of the options.
    """
    for why, options, names in _LEFT_OUT:
        if any(chosen[option] != DEFAULTS[option] for option in options):
            yield from ((f"server/test_{name}.py", why) for name in names)
