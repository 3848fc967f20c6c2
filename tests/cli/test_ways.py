"""`palimpsest encoders ways`, and the ways that other commands show."""

from __future__ import annotations

from cli.encoders import ways_of
from tests.cli.help import RunningServer, palimpsest


def test_ways_are_looked_for_and_shown(served: RunningServer) -> None:
    kept = served.runtime.settings
    served.runtime.settings = kept.model_copy(update={"ways_pictures": 8})
    options = ("--kind", "character", "--synonym", "red robot")
    try:
        found = palimpsest("encoders", "ways", "pogo", *options, "--json", server=served.url)
        shown = palimpsest("encoders", "ways", "pogo", *options, server=served.url)
    finally:
        served.runtime.settings = kept
    assert (found.status, found.json["object"], found.json["concept"]) == (0, "ways", "pogo")
    assert 0 < found.json["pictures"] <= 8
    assert (shown.status, shown.err) == (0, "")
    words = [way["phrase"] for way in found.json["ways"]] or ["Nothing else was found"]
    assert all(word in shown.out for word in words)


def test_a_server_without_a_search_says_so(served: RunningServer) -> None:
    refused = palimpsest("encoders", "ways", "pogo", "--kind", "character", server=served.url)
    refused.assert_failed("PALIMPSEST_WAYS_PICTURES")


def test_an_encoder_shows_what_else_reaches_its_concepts() -> None:
    ways = [{"phrase": "glasses", "forgotten": True}, {"phrase": "woman", "forgotten": False}]
    encoder = {"concepts": [{"name": "suri", "ways": ways}, {"name": "pogo"}]}
    assert ways_of(encoder) == "glasses, woman (not forgotten)"
