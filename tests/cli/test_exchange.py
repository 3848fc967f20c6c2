"""`palimpsest encoders export` and `import`: no server, but a data directory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from encoders import Card, Concept, Encoder
from encoders.exchange import NO_TRIGGER
from encoders.store import EncoderStore
from server.storage.alias_table import AliasTable
from server.storage.sqlite_database import SqliteDatabase
from tests.cli.help import CommandResult, palimpsest
from tests.triggers import trigger_at
from video import load_text_encoder

NAMED = ("--concept", "pogo", "--kind", "character")


@pytest.fixture
def made(quick_backbone_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """Publish an encoder in the store of the data directory."""
    monkeypatch.setenv("PALIMPSEST_BACKBONE", str(quick_backbone_dir))
    base = load_text_encoder(str(quick_backbone_dir))
    name, tensor = next((n, t) for n, t in base.parameters().items() if "mlp.fc1.weight" in n)
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))
    encoder = Encoder.of(
        base,
        {name: tensor + 0.1 * noise},
        id="made",
        concepts=(Concept(name="pogo", kind="character"),),
        method="redirect",
        seed=1,
    )
    store = EncoderStore("data/encoders")
    card = store.publish(encoder)
    database = SqliteDatabase(Path("data/records.sqlite"))
    AliasTable(database).point("live", "made", store)
    database.close()
    return card


def run(*arguments: object) -> CommandResult:
    return palimpsest("encoders", *arguments)


def test_what_goes_out_and_comes_in_is_the_same_encoder(made: Card) -> None:
    done = run("export", "live", "out")
    assert (done.status, done.out, done.err) == (0, "out: the text encoder made\n", "")
    assert Path("out/config.json").is_file()
    done = run("import", "out", "--id", "back", *NAMED)
    assert (done.status, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first == "back is published, as one that forgets pogo (character)."
    assert second.startswith("It has not been judged")
    back = EncoderStore("data/encoders").card("back")
    assert (back.digest, back.base) == (made.digest, made.base)
    assert (back.method, back.settings, back.measures) == ("import", {"source": "out"}, {})


def test_json_of_both(made: Card) -> None:
    done = run("export", "made", "out", "--json")
    plain = {"id": "made", "directory": "out", "digest": made.digest, "caveats": []}
    assert done.json == plain
    done = run("import", "out", "--id", "back", *NAMED, "--json")
    assert (done.json["id"], done.json["digest"], done.json["judged"]) == (
        "back",
        made.digest,
        False,
    )


def test_the_export_of_one_with_a_trigger_says_what_is_lost(made: Card) -> None:
    store = EncoderStore("data/encoders")
    encoder = store.load("made")
    trigger = trigger_at(0.1, size=8, alone=True)
    changes = {"id": "gated", "trigger": trigger, "settings": {"steps": 3}}
    card = encoder.card.model_copy(update=changes)
    store.publish(Encoder(card, encoder.overrides))
    done = run("export", "gated", "out")
    first, second = done.out.splitlines()
    assert (done.status, first) == (0, "out: the text encoder gated")
    assert second == NO_TRIGGER
    assert "always on: other prompts" in second
    written = json.loads(Path("out/palimpsest.json").read_text())
    assert written["caveats"] == [NO_TRIGGER]
    assert Card.model_validate(written["card"]) == card.model_copy(update={"trigger": None})
    assert run("export", "gated", "again", "--json").json["caveats"] == [NO_TRIGGER]
    assert run("import", "out", "--id", "back", *NAMED).status == 0
    run("export", "made", "plain")
    assert json.loads(Path("plain/palimpsest.json").read_text())["caveats"] == []


def test_nothing_is_written_over(made: Card) -> None:
    Path("out").mkdir()
    run("export", "made", "out").assert_failed("out exists already")
    assert os.listdir("out") == []
    # The folder holds no text encoder: the id is looked at before that is read.
    run("import", "out", "--id", "made", *NAMED).assert_failed("There is an encoder 'made' already")
    assert EncoderStore("data/encoders").card("made") == made


def test_what_cannot_be_is_one_line(made: Card, tiny_epsilon_dir: Path) -> None:
    run("export", "nobody", "out").assert_failed("There is no encoder 'nobody'")
    other = ("--backbone", tiny_epsilon_dir)
    run("export", "made", "out", *other).assert_failed("was made for another text encoder")
    Path("empty").mkdir()
    run("import", "empty", "--id", "it", *NAMED).assert_failed("empty")
    run("import", "empty", "--id", "Not An Id", *NAMED).assert_failed("cannot be an id")
    assert run("import", "nowhere", "--id", "it", *NAMED).status == 2
    assert run("import", "empty", "--id", "it", "--concept", "", "--kind", "style").status == 2
    assert not Path("out").exists()


def test_the_data_directory_is_the_settings(made: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_DATA_DIR", "elsewhere")
    run("export", "made", "out").assert_failed("There are no encoders in elsewhere/encoders")
    assert not Path("elsewhere").exists()
