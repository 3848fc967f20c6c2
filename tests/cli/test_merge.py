"""`palimpsest encoders merge`: no server, but a data directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoders import Card, Concept, Encoder
from encoders.composite import composite_card
from encoders.store import EncoderStore
from server.storage.alias_table import AliasTable
from server.storage.sqlite_database import SqliteDatabase
from tests.cli.help import CommandResult, palimpsest
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from video import load_backbone

CONCEPTS = (Concept(name="pogo", kind="character"), Concept(name="mira", kind="person"))


@pytest.fixture
def made(quick_backbone_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[Card]:
    """Publish two encoders in the store of the data directory, one of them with an alias."""
    monkeypatch.setenv("PALIMPSEST_BACKBONE", str(quick_backbone_dir))
    backbone = load_backbone(quick_backbone_dir)
    store = EncoderStore("data/encoders")
    cards: list[Card] = []
    for concept in CONCEPTS:
        run = unlearn(UnlearnTask((concept,), UnlearnSettings(steps=2)), backbone)
        list(run)
        cards.append(store.publish(run.encoder))
    database = SqliteDatabase(Path("data/records.sqlite"))
    AliasTable(database).point("live", "no-pogo", store)
    database.close()
    return cards


def merge(*arguments: object) -> CommandResult:
    return palimpsest("encoders", "merge", *arguments)


def test_one_plain_encoder_is_published_and_what_it_costs_is_said(made: list[Card]) -> None:
    done = merge("live", "no-mira", "--id", "both")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "both is published. It forgets pogo (character), mira (person)."
    assert lines[1].startswith("It has no trigger: it is used for every prompt")
    assert lines[2].startswith("The closed-form merge forgets what its members were trained to")
    assert lines[3].split() == ["concept", "encoder", "alone", "merged"]
    assert [line.split()[:2] for line in lines[5:7]] == [["pogo", "no-pogo"], ["mira", "no-mira"]]
    assert all(line.count("%") == 2 for line in lines[5:7])
    assert lines[-1].endswith("`palimpsest encoders judge both` does that.")
    card = EncoderStore("data/encoders").load("both").card
    assert all(member.trigger is not None for member in made)
    assert (card.method, card.trigger, card.concepts) == ("merge", None, CONCEPTS)
    assert card.settings["members"] == [
        {"id": member.id, "identity": member.identity} for member in made
    ]


def test_json_is_the_card(made: list[Card]) -> None:
    done = merge("no-mira", "no-pogo", "--id", "both", "--rank", 1, "--json")
    assert (done.status, done.err) == (0, "")
    card = EncoderStore("data/encoders").card("both")
    assert done.json == {**card.model_dump(mode="json"), "judged": False}
    assert (done.json["settings"]["rank"], len(done.json["settings"]["resistance"])) == (1, 2)


def test_what_cannot_be_merged_is_one_line(made: list[Card], tiny_epsilon_dir: Path) -> None:
    merge("no-pogo", "--id", "both").assert_failed("two encoders or more")
    merge("no-pogo", "live", "no-mira", "--id", "both").assert_failed("each named once")
    merge("no-pogo", "nobody", "--id", "both").assert_failed("There is no encoder 'nobody'")
    merge("no-pogo", "no-mira", "--id", "live").assert_failed("'live' is an alias")
    merge("no-pogo", "no-mira", "--id", "no-pogo").assert_failed("There is an encoder 'no-pogo'")
    other = ("--backbone", tiny_epsilon_dir)
    merge("no-pogo", "no-mira", "--id", "both", *other).assert_failed("another text encoder")
    for rank in (0, 1025, 10**20):
        refused = merge("no-pogo", "no-mira", "--id", "both", "--rank", rank)
        assert refused.status == 2
        assert "--rank" in refused.err
    assert not EncoderStore("data/encoders").has("both")


def test_a_set_is_merged_only_while_its_members_are_what_it_lists(made: list[Card]) -> None:
    store = EncoderStore("data/encoders")
    store.publish(Encoder(composite_card("policy", made), {}))
    assert merge("policy", "--id", "whole", "--json").json["settings"]["members"] == [
        {"id": member.id, "identity": member.identity} for member in store.card("policy").members
    ]
    mira = store.load("no-mira")
    store.delete("no-mira", force=True)
    says = "The set 'policy' lists encoder 'no-mira', which was deleted or replaced since: put the"
    merge("policy", "--id", "both").assert_failed(says)
    replacement = mira.card.model_copy(update={"trigger": made[0].trigger})
    store.publish(Encoder(replacement, mira.overrides))
    merge("policy", "--id", "both").assert_failed(says)
    assert not store.has("both")
