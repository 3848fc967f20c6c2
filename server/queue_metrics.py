"""Metrics of the queues, for autoscalers and for whoever watches several servers.

`SHARED` names the gauges that are read from the database. Every replica on it reports the same
value, so they are combined by max. All other metrics are a replica's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.storage.database import Database
from server.storage.queue_state import TABLES, queue_state, replicas_by_role
from server.storage.records import EncoderRecord, VideoRecord

SHARED = frozenset(
    {
        "palimpsest_jobs",
        "palimpsest_key_jobs",
        "palimpsest_key_in_flight",
        "palimpsest_queue_depth",
        "palimpsest_queue_running",
        "palimpsest_queue_oldest_seconds",
        "palimpsest_replicas",
    }
)
"""Gauges that say the same on every replica: take max, never sum."""
OF_ALL = "(of all replicas: max, not sum)"
"""Part of the help of each of them."""


class QueueCollector(Collector):
    """Gauges of the queues, read when they are asked for.

    Args:
        database: The database, which all replicas share.
        running: Returns the number of jobs of a kind that this replica works on.
    """

    def __init__(
        self,
        database: Database,
        running: Callable[[type[VideoRecord] | type[EncoderRecord]], int],
    ) -> None:
        self._database = database
        self._running = running

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        depth, running, oldest, own, replicas = (
            GaugeMetricFamily(f"palimpsest_{name}", text, labels=[label])
            for name, text, label in (
                ("queue_depth", f"Jobs that no replica works on yet {OF_ALL}", "queue"),
                ("queue_running", f"Jobs that replicas work on {OF_ALL}", "queue"),
                ("queue_oldest_seconds", f"Age of the oldest job that waits {OF_ALL}", "queue"),
                ("running", "Jobs that this replica works on", "queue"),
                ("replicas", f"Replicas that are alive {OF_ALL}", "role"),
            )
        )
        now = time.time()
        for queue, table in TABLES.items():
            state = queue_state(self._database, table)
            depth.add_metric([queue], state.waiting)
            running.add_metric([queue], state.running)
            since = now if state.oldest is None else state.oldest
            oldest.add_metric([queue], max(0.0, now - since))
            own.add_metric([queue], self._running(table))
        for role, count in replicas_by_role(self._database).items():
            replicas.add_metric([role], count)
        yield from (depth, running, oldest, own, replicas)
