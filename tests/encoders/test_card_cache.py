"""Cards kept in memory: nothing stale is ever returned, and a thousand cost little."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from encoders import EncoderNotFound
from encoders.store import EncoderStore

from .conftest import MakeEncoder

COUNT = 1000


def test_changes_by_another_process_are_seen_at_once(
    tmp_path: Path, make_encoder: MakeEncoder
) -> None:
    ours, others = EncoderStore(tmp_path), EncoderStore(tmp_path)
    for seed in range(5):
        encoder = make_encoder("a", seed=seed)
        others.publish(encoder)
        assert [card.digest for card in ours.cards()] == [encoder.card.digest]
        assert ours.card("a") == ours.card("a") == encoder.card
        assert ours.load("a").card == encoder.card
        others.delete("a")
        assert ours.cards() == []
        with pytest.raises(EncoderNotFound):
            ours.card("a")


def test_a_card_that_is_damaged_later_is_not_hidden(
    tmp_path: Path, make_encoder: MakeEncoder
) -> None:
    store = EncoderStore(tmp_path)
    store.publish(make_encoder("a"))
    store.publish(make_encoder("b"))
    assert len(store.cards()) == 2
    (tmp_path / "encoders/a/card.json").write_bytes(b"{}")
    assert [card.id for card in store.cards()] == ["b"]


def test_a_thousand_cards_are_listed_in_little_time(
    tmp_path: Path, make_encoder: MakeEncoder
) -> None:
    store = EncoderStore(tmp_path)
    text = make_encoder("first").card.to_json().decode()
    for number in range(COUNT):
        folder = tmp_path / f"encoders/n{number}"
        folder.mkdir(parents=True)
        (folder / "card.json").write_text(text.replace('"first"', f'"n{number}"'))
    assert len(store.cards()) == COUNT

    def seconds(listed: EncoderStore) -> float:
        began = time.process_time()
        assert len(listed.cards()) == COUNT
        return time.process_time() - began

    # In turn: what else the machine does slows both.
    pairs = [(seconds(store), seconds(EncoderStore(tmp_path))) for _ in range(5)]
    known, read = (min(costs) for costs in zip(*pairs, strict=True))
    assert known < read / 4, pairs
