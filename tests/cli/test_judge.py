"""`palimpsest encoders judge`."""

from __future__ import annotations

from tests.cli.help import RunningServer, palimpsest
from tests.server.help import publish

EASY = ("--min-forget-rate", 0, "--max-retain-drop", 1, "--min-base-rate", 0, "--max-probes", 1)


def test_a_published_encoder_is_judged_once(served: RunningServer) -> None:
    publish(served.runtime, "imported")
    shown = palimpsest("encoders", "show", "imported", server=served.url).out
    assert "`palimpsest encoders judge imported`" in shown
    done = palimpsest("encoders", "judge", "imported", *EASY, server=served.url)
    assert (done.status, done.err) == (0, "")
    assert "pogo: gone" in done.out
    assert "imported is judged, and passed." in done.out
    again = palimpsest("encoders", "judge", "imported", *EASY, server=served.url)
    again.assert_failed("judged already")
    shown = palimpsest("encoders", "show", "imported", server=served.url).out
    assert "pogo: gone" in shown
    assert "not been judged" not in shown


def test_the_exit_status_says_if_it_passed(served: RunningServer) -> None:
    publish(served.runtime, "strict", seed=2)
    options = ("--min-forget-rate", 1, "--min-base-rate", 1, "--max-probes", 1, "--json")
    done = palimpsest("encoders", "judge", "strict", *options, server=served.url)
    assert done.json["judged"]
    assert done.json["status"] == "published"
    shown = done.json["measures"]["base_rate"]
    gone = done.json["measures"]["forget_rate"]
    assert done.status == (0 if shown == gone == 1 else 1)
    assert done.status == 0 or "strict did not pass" in done.err


def test_what_is_not_there_cannot_be_judged(served: RunningServer) -> None:
    palimpsest("encoders", "judge", "nobody", server=served.url).assert_failed("nobody")
    assert palimpsest("encoders", "judge", "No/Id", server=served.url).status == 1
