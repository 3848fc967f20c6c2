"""Keys that end while their requests go on: what follows or waits for a job ends soon, too."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.auth.live_keys import REFRESH_INTERVAL_S
from server.storage.followers import CHECK_S
from server.storage.key_table import KeyTable
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, device_held, wait_for, write_keys
from tests.server.test_dispatcher import until
from tests.server.test_following import follow
from tests.server.test_live_keys import row

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
SOON_S = REFRESH_INTERVAL_S + CHECK_S + 2.0


@pytest.fixture(scope="module")
def client(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(tmp_path_factory.mktemp("keys") / "keys.json", boss={"role": "admin"})
    return make_client(keys_file=keys)


def ask(client: Client, key: str) -> str:
    video: str = client.post("/v1/videos", json=QUICK, headers=bearer(key)).json()["id"]
    return video


def test_what_a_revoked_or_expired_key_follows_or_waits_for_ends(client: Client) -> None:
    table = KeyTable(client.runtime.database)
    table.add(row("acme", encoders=["*"]))
    table.add(row("late", encoders=["*"], expires_at=int(time.time()) + 6))
    until(lambda: is_known(client, "secret-late"), "the keys are not known")
    with ThreadPoolExecutor(5) as pool:
        with device_held(client.runtime):
            followed = {key: ask(client, key) for key in ("secret-boss", "secret-acme")}
            followed["secret-late"] = ask(client, "secret-late")
            told = {
                key: pool.submit(follow, client, f"/v1/videos/{video}/events", key)
                for key, video in followed.items()
            }
            waiting = {
                key: pool.submit(client.post, "/v1/videos/sync", json=QUICK, headers=bearer(key))
                for key in ("secret-acme", "secret-late")
            }
            until(lambda: client.runtime.followers.groups == 5, "they do not all follow")
            table.revoke("acme")
            began = time.monotonic()
            for key in ("secret-acme", "secret-late"):
                answer = waiting[key].result(30)
                assert_error(answer, 401, code="invalid_api_key")
                assert answer.headers["x-video-id"] not in followed.values()
                assert answer.headers["x-should-retry"] == "false"
                assert told[key].result(30)[-1] == ("unauthorized", {"code": "invalid_api_key"})
                if key == "secret-acme":
                    assert time.monotonic() - began < SOON_S
            assert not told["secret-boss"].done()
        # Jobs that were accepted before are still done.
        assert told["secret-boss"].result(60)[-1][0] == "completed"
    wait_for(client, f"/v1/videos/{followed['secret-boss']}", key="secret-boss")


def is_known(client: Client, key: str) -> bool:
    return client.get("/v1/videos", headers=bearer(key)).status_code == 200
