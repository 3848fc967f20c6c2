"""The table of aliases, and the move of earlier versions' alias files into it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from encoders import (
    AliasExists,
    AliasNotFound,
    Card,
    Concept,
    Encoder,
    EncoderExists,
    EncoderNotFound,
    InvalidId,
)
from encoders.digest import fingerprint
from encoders.store import EncoderStore
from server.storage.alias_files import import_alias_files
from server.storage.alias_table import AliasTable
from server.storage.database import Database
from server.storage.record_store import RecordStore
from server.storage.records import FAILED, PUBLISHED, EncoderRecord


@pytest.fixture
def aliases(database: Database) -> AliasTable:
    return AliasTable(database)


@pytest.fixture
def store(tmp_path: Path) -> EncoderStore:
    """Return a store with the encoders v1 and v2."""
    store = EncoderStore(tmp_path / "encoders")
    for name in ("v1", "v2"):
        overrides = {"weight": torch.full((2,), float(len(name)), dtype=torch.float16)}
        digest = fingerprint(overrides)
        card = Card(
            id=name,
            concepts=(Concept(name="pogo", kind="character"),),
            method="redirect",
            seed=1,
            base=digest,
            digest=digest,
            stored=digest,
            created_at=datetime.now(UTC),
        )
        store.publish(Encoder(card, overrides))
    return store


def job(encoder_id: str) -> EncoderRecord:
    return EncoderRecord(
        id=encoder_id,
        job_id=f"encoder_{encoder_id}",
        owner="local",
        request_hash="-",
        concepts=[],
        settings={},
        gate={},
    )


def test_an_alias_is_switched_and_resolved(aliases: AliasTable, store: EncoderStore) -> None:
    aliases.point("acme-policy", "v1", store)
    assert aliases.resolve("acme-policy", store) == "v1"
    aliases.point("acme-policy", "v2", store)
    aliases.point("another", "v1", store)
    assert aliases.resolve("acme-policy", store) == "v2"
    assert aliases.resolve("v1", store) == "v1"
    assert aliases.all() == {"acme-policy": "v2", "another": "v1"}
    assert aliases.targets({"another", "v1", "nobody"}) == {"another": "v1"}
    aliases.delete("acme-policy")
    assert aliases.all() == {"another": "v1"}
    with pytest.raises(EncoderNotFound):
        aliases.resolve("acme-policy", store)
    with pytest.raises(AliasNotFound):
        aliases.delete("acme-policy")


def test_an_alias_to_a_deleted_encoder_is_a_failure_and_never_the_base(
    aliases: AliasTable, store: EncoderStore
) -> None:
    aliases.point("acme-policy", "v1", store)
    store.delete("v1")
    assert aliases.all() == {"acme-policy": "v1"}
    with pytest.raises(EncoderNotFound, match="points to 'v1', which is no encoder"):
        aliases.resolve("acme-policy", store)


def test_a_name_is_an_alias_or_an_encoder_never_both(
    aliases: AliasTable, store: EncoderStore, database: Database
) -> None:
    records = RecordStore(database)
    with pytest.raises(EncoderExists):
        aliases.point("v1", "v1", store)
    with pytest.raises(EncoderNotFound):
        aliases.point("nowhere", "v9", store)
    aliases.point("acme-policy", "v1", store)
    with pytest.raises(EncoderNotFound):
        aliases.point("chain", "acme-policy", store)
    with pytest.raises(AliasExists):
        records.accept(job("acme-policy"), limit=9)
    made = records.accept(job("being-made"), limit=9)
    with pytest.raises(EncoderExists, match="being made"):
        aliases.point("being-made", "v1", store)
    records.change(made, status=FAILED)
    aliases.point("being-made", "v1", store)
    assert aliases.all() == {"acme-policy": "v1", "being-made": "v1"}


@pytest.mark.parametrize("name", ["", ".", "../../etc", "a/b", "a\x00", "A", "a" * 64])
def test_a_name_that_no_encoder_can_have_is_refused(
    aliases: AliasTable, store: EncoderStore, name: str
) -> None:
    with pytest.raises(InvalidId):
        aliases.point(name, "v1", store)
    with pytest.raises(InvalidId):
        aliases.resolve(name, store)


def test_an_alias_always_resolves_while_it_is_switched(
    aliases: AliasTable, store: EncoderStore
) -> None:
    aliases.point("acme", "v1", store)
    with ThreadPoolExecutor(4) as pool:
        switches = [
            pool.submit(aliases.point, "acme", f"v{step % 2 + 1}", store) for step in range(40)
        ]
        seen = {aliases.resolve("acme", store) for _ in range(40)}
        for done in switches:
            done.result()
    assert seen <= {"v1", "v2"}


def test_files_of_aliases_move_into_the_table_once(
    aliases: AliasTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "encoders" / "aliases"
    folder.mkdir(parents=True)
    (folder / "acme").write_text("v1")
    (folder / "dangling").write_text("gone")
    (folder / "pointed-since").write_text("v1")
    aliases.add_missing({"pointed-since": "v2"})
    damaged = {"up": b"../../etc", "empty": b"", "binary": b"\xff\xfe", "huge": b"x" * (2 << 20)}
    for name, content in damaged.items():
        (folder / name).write_bytes(content)
    for _ in range(2):
        import_alias_files(tmp_path / "encoders", aliases)
        assert aliases.all() == {"acme": "v1", "dangling": "gone", "pointed-since": "v2"}
    assert {path.name for path in folder.iterdir()} == set(damaged)
    assert all(f"{folder / name} is left out" in caplog.text for name in damaged)


def test_a_directory_without_files_of_aliases_is_left_alone(
    aliases: AliasTable, tmp_path: Path
) -> None:
    import_alias_files(tmp_path / "encoders", aliases)
    assert not (tmp_path / "encoders").exists()
    assert aliases.all() == {}


def test_an_encoder_that_is_published_while_an_alias_is_checked_keeps_its_name(
    database: Database, aliases: AliasTable, store: EncoderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = RecordStore(database)
    made, card = job("v2"), store.card
    records.accept(made, limit=9)
    looks = list[str]()

    def look(name: str) -> Card:
        looks.append(name)
        if looks == ["v1", "v2"]:  # the first look for the alias's name: just before the card
            records.change(made, status=PUBLISHED, completed_at=1)
            raise EncoderNotFound("There is no encoder 'v2'.")
        return card(name)

    monkeypatch.setattr(store, "card", look)
    with pytest.raises(EncoderExists, match="is an encoder's id"):
        aliases.point("v2", "v1", store)
    assert aliases.all() == {}
