"""`palimpsest erase`: all that a server stores about a tenant."""

from __future__ import annotations

from tests.cli.help import RunningServer, palimpsest
from tests.server.help import wait_for


def test_a_tenant_is_erased_and_nobody_without_being_asked(served: RunningServer) -> None:
    body = {"prompt": "a meadow", "steps": 1, "frames": 1}
    made = served.client.post("/v1/videos", json=body).raise_for_status().json()
    wait_for(served.client, f"/v1/videos/{made['id']}")
    palimpsest("erase", "local", server=served.url).assert_failed("--yes")
    assert len(served.get("/v1/videos")["data"]) == 1
    done = palimpsest("erase", "local", "--yes", server=served.url)
    assert (done.status, done.err) == (0, "")
    assert done.out == (
        "local is erased: 1 videos, 0 records of encoders, 0 records of deleted videos; "
        "1 entries of the ledger do not name it any more; the database has no key of this id.\n"
    )
    assert served.get("/v1/videos")["data"] == []
    told = palimpsest("erase", "nobody", "--yes", "--json", server=served.url).json
    assert (told["id"], told["videos"]) == ("nobody", 0)
    palimpsest("erase", "../x", "--yes", server=served.url).assert_failed("id")
