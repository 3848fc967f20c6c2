"""`palimpsest replicas`: a server in the list, and told to take no more jobs."""

from __future__ import annotations

import time

from tests.cli.help import RunningServer, palimpsest
from tests.server.help import SERVER_TIMEOUT_S


def test_a_server_is_listed_and_drained(served: RunningServer) -> None:
    [one] = palimpsest("replicas", "list", "--json", server=served.url).json
    assert (one["alive"], one["leads"], one["draining"], one["role"]) == (True, True, False, "all")
    shown = palimpsest("replicas", "list", server=served.url)
    assert (shown.status, shown.err) == (0, "")
    assert "alive, leads" in shown.out
    palimpsest("replicas", "drain", "nobody", server=served.url).assert_failed("nobody")
    palimpsest("replicas", "list", server=served.locked).assert_failed("key")

    said = palimpsest("replicas", "drain", one["id"], server=served.url)
    assert said.out == f"{one['id']} takes no more jobs; it had 0 videos and 0 encoders.\n", said
    until = time.monotonic() + SERVER_TIMEOUT_S
    while not served.runtime.jobs.is_draining and time.monotonic() < until:
        time.sleep(0.05)
    [drained] = palimpsest("replicas", "list", "--json", server=served.url).json
    assert (drained["draining"], drained["id"]) == (True, one["id"])
    assert "draining" in palimpsest("replicas", "list", server=served.url).out
