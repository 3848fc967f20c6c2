"""Many requests at once: each gets the result that it gets alone."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from encoders import EncoderRef
from encoders.composition import set_identity
from encoders.store import EncoderStore
from tests.video.help import WAIT, Flaky, make_engine, publish, request
from video import Engine, GenerationRequest
from video.models.backbone import Backbone

ENCODERS, THREADS, SETS = 6, 16, 50
PROMPTS = ("pogo bouncing", "otto by the sea", "a cactus", "mira in a meadow")


class Latents(Flaky):
    """A backbone that returns latents in place of frames: rounding would hide small differences."""

    def begin(self, *arguments: Any) -> Any:
        state = self._backbone.begin(*arguments)
        state.decode = lambda: state.latents.numpy()
        return state


def crowd(count: int, encoders: list[EncoderRef]) -> list[GenerationRequest]:
    """Draw random requests that have only their number of frames in common."""
    rng = np.random.default_rng(0)
    return [
        request(
            prompt=str(rng.choice(PROMPTS)),
            encoder=[None, *encoders][rng.integers(len(encoders) + 1)],
            seed=int(rng.integers(2**31)),
            steps=int(rng.integers(2, 5)),
            guidance=float(rng.choice([1.0, 2.5, 7.0])),
        )
        for _ in range(count)
    ]


def together(engine: Engine, asked: list[GenerationRequest]) -> list[np.ndarray]:
    """Submit requests from many threads at once."""
    found: dict[int, Any] = {}

    def ask(first: int) -> None:
        mine = range(first, len(asked), THREADS)
        tickets = [engine.submit(asked[i]) for i in mine]
        found.update(zip(mine, (ticket.result(10 * WAIT) for ticket in tickets), strict=True))

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10 * WAIT)
    return [found[i] for i in range(len(asked))]


@pytest.mark.parametrize("count", [80, pytest.param(1000, marks=pytest.mark.slow)])
def test_each_of_a_crowd_gets_what_it_gets_alone(
    backbone: Backbone, store: EncoderStore, count: int
) -> None:
    encoders = [publish(store, backbone, f"crowd-{count}-{i}", i) for i in range(ENCODERS)]
    asked = crowd(count, encoders)
    watched = Latents(backbone)
    engine = make_engine(watched, store, at_most=8)  # type: ignore[arg-type]
    engine.start()
    crowded = together(engine, asked)
    assert max(watched.samples) > 8, "they were stepped together"
    for one, latents in zip(asked, crowded, strict=True):
        alone = engine.submit(one).result(WAIT)
        np.testing.assert_allclose(latents, alone, atol=1e-3, rtol=0)
    assert engine.stats().in_flight == 0
    engine.stop(WAIT)


def sets(count: int, members: list[EncoderRef]) -> list[EncoderRef]:
    """Draw random sets of encoders, as requests put them together."""
    rng = np.random.default_rng(1)
    found: list[EncoderRef] = []
    for _ in range(count):
        size = int(rng.integers(2, len(members) + 1))
        chosen = tuple(members[i] for i in rng.permutation(len(members))[:size])
        identity = set_identity([one.identity for one in chosen])
        assert identity is not None
        found.append(EncoderRef("+".join(one.id for one in chosen), identity, chosen))
    return found


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", [80, pytest.param(1000, marks=pytest.mark.slow)])
def test_each_of_a_crowd_gets_its_own_set_and_its_own_decisions(
    backbone: Backbone, store: EncoderStore, count: int
) -> None:
    members = [
        publish(store, backbone, f"set-{count}-{i}", i, opens=PROMPTS[i % len(PROMPTS)])
        for i in range(ENCODERS)
    ]
    drawn = sets(SETS, members)
    rng = np.random.default_rng(2)
    asked = [
        replace(one, encoder=drawn[rng.integers(len(drawn))], negative_prompt=str(negative))
        for one, negative in zip(
            crowd(count, members), rng.choice(["", *PROMPTS], count), strict=True
        )
    ]
    watched = Latents(backbone)
    engine = make_engine(watched, store, at_most=8)  # type: ignore[arg-type]
    engine.start()
    tickets = [engine.submit(one) for one in asked]
    crowded = [ticket.result(10 * WAIT) for ticket in tickets]
    assert max(watched.samples) > 8, "they were stepped together"
    opened = Counter[bool]()
    alone_engine = make_engine(Latents(backbone), store)  # type: ignore[arg-type]
    alone_engine.start()
    for one, ticket, latents in zip(asked, tickets, crowded, strict=True):
        assert one.encoder is not None
        mine = sorted(member.identity for member in one.encoder.members)
        for text in ticket.decisions:
            assert [decision.identity for decision in text] == mine
            opened.update(decision.is_open for decision in text)
        alone = alone_engine.submit(one)
        np.testing.assert_allclose(latents, alone.result(WAIT), atol=1e-3, rtol=0)
        assert ticket.decisions == alone.decisions
    assert min(opened[True], opened[False]) > count, "members were open for some and not for others"
    for one in (engine, alone_engine):
        assert one.stats().in_flight == 0
        one.stop(WAIT)
