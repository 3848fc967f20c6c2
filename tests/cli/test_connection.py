"""The server that a command talks to, and the message if that fails."""

from __future__ import annotations

import http.server
import socket
import threading
from pathlib import Path

import pytest

from cli import client
from tests.cli.help import RunningServer, palimpsest
from tests.server.help import free_port, publish

LIST = ("encoders", "list", "--json")


def test_a_key_is_sent_and_without_the_right_one_nothing_works(served: RunningServer) -> None:
    publish(served.runtime, "behind-the-door", seed=5)
    done = palimpsest(*LIST, server=served.locked, PALIMPSEST_API_KEY="secret-boss")
    assert "behind-the-door" in [one["id"] for one in done.json]
    for key, says in (
        ("secret-wrong", "This key is not known here. Set PALIMPSEST_API_KEY"),
        ("", "Send your key"),
        ("sécret", "PALIMPSEST_API_KEY holds characters that no key has"),
        ("two\nlines", "PALIMPSEST_API_KEY holds characters"),
    ):
        done = palimpsest(*LIST, server=served.locked, PALIMPSEST_API_KEY=key)
        done.assert_failed(says)
        assert not key or key not in done.err


def test_an_option_is_before_the_environment(served: RunningServer) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert palimpsest(*LIST, "--server", served.url + "/", server=nowhere).status == 0


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "//"])
def test_the_address_may_be_the_servers_or_the_apis(served: RunningServer, end: str) -> None:
    done = palimpsest(*LIST, "--server", served.url + end)
    assert (done.status, done.err) == (0, "")


def test_a_variable_that_is_no_setting_is_named_beside_the_one_that_was_meant(
    served: RunningServer,
) -> None:
    port = served.url.rpartition(":")[2]
    done = palimpsest(*LIST, PALIMPSEST_PORT=port, PALIMPSEST_BACKBON="secret-value")
    assert done.status == 0
    assert done.err == (
        "PALIMPSEST_BACKBON is no setting and is ignored: did you mean PALIMPSEST_BACKBONE?\n"
    )


def test_where_nobody_answers_nothing_is_started(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    words = ("generate", "x", "--server", url)
    palimpsest(*words).assert_failed(f"No server answers at {url}", "`palimpsest serve`")
    assert not list(tmp_path.iterdir())


class Page(http.server.SimpleHTTPRequestHandler):
    """A web site that is not Palimpsest."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the test looks at stderr."""


def test_somebody_else_s_server_is_told_from_ours() -> None:
    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=page.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{page.server_port}"
        palimpsest(*LIST, server=url).assert_failed("is that a Palimpsest server's address?")
    finally:
        page.shutdown()
        thread.join()
        page.server_close()


def test_the_settings_say_where_to_look(served: RunningServer) -> None:
    port = served.url.rpartition(":")[2]
    done = palimpsest(*LIST, PALIMPSEST_PORT=port, PALIMPSEST_HOST="0.0.0.0")
    assert (done.status, done.err) == (0, "")
    nobody = {"HTTP_PROXY": f"http://127.0.0.1:{free_port()}", "NO_PROXY": ""}
    assert palimpsest(*LIST, PALIMPSEST_PORT=port, **nobody).status == 0
    palimpsest(*LIST, PALIMPSEST_PORT="0").assert_failed("PALIMPSEST_PORT cannot be used")


def test_a_server_that_is_too_busy_gets_no_second_one_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(client, "_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        palimpsest(*LIST, PALIMPSEST_PORT=str(port)).assert_failed("No server answers", "timed out")
    assert not list(tmp_path.iterdir())


def test_a_server_that_goes_away_leaves_the_job_and_says_so(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def gone(self: client.Client, path: str) -> dict[str, object]:
        asked.append(path)
        raise client.Unreachable("No server answers.", timed_out=False)

    monkeypatch.setattr(client.Client, "get", gone)
    done = palimpsest("generate", "a meadow", server=served.url)
    video = asked[0].removeprefix("/v1/videos/")
    done.assert_failed(f"No server answers. {video} is not cancelled.")


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://there", "http://"])
def test_what_is_no_address_is_exit_2(url: str) -> None:
    done = palimpsest(*LIST, "--server", url)
    assert done.status == 2
    assert "is not an address" in " ".join(done.err.replace("│", " ").split())
