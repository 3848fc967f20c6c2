"""ByStage: what gives way to a new connection is found without a look at all."""

from __future__ import annotations

import asyncio

import pytest

from server.http.connections import ConnectionLimits, Connections
from server.http.stages import GRACE_S, ByStage, Stage

LOOKED_AT = [0]


class Open:
    """A connection of this machine that is in a stage, and counts how often it is looked at."""

    address, since, is_ended = "127.0.0.1", 0.0, False

    def __init__(self, stage: Stage) -> None:
        self.now = stage

    @property
    def stage(self) -> Stage:
        LOOKED_AT[0] += 1
        return self.now

    def check(self, now: float) -> None: ...

    def end(self) -> None:
        self.is_ended = True


@pytest.mark.parametrize("stage", [Stage.CLOSING, Stage.WAITING, Stage.READING, Stage.SLOW])
@pytest.mark.parametrize("others", [Stage.WAITING, Stage.READING, Stage.ANSWERING])
def test_a_flood_of_a_thousand_looks_at_few(stage: Stage, others: Stage) -> None:
    async def flood() -> None:
        register = Connections(ConnectionLimits(most=2000))
        for _ in range(1000):
            register.admit(Open(others))
        early = [Open(stage) for _ in range(1000)]
        for connection in early:
            register.admit(connection)
        LOOKED_AT[0] = 0
        late = [Open(stage) for _ in range(1000)]
        for connection in late:
            assert register.admit(connection)
        assert LOOKED_AT[0] < 10_000, LOOKED_AT
        assert len(register) == 2000
        if others > stage:
            assert all(connection.is_ended for connection in early)
            assert not any(connection.is_ended for connection in late)

    asyncio.run(flood())


def test_what_came_a_moment_ago_gives_way_last() -> None:
    now = 0.0
    stages = ByStage[Open](lambda: now)
    old, new = (Open(Stage.READING) for _ in range(2))
    waiting = Open(Stage.WAITING)
    stages.note(old)
    now = GRACE_S + 0.1
    stages.note(waiting)
    stages.note(new)
    assert list(stages.giving_way()) == [old, waiting, old, new]
    now += GRACE_S + 0.1
    assert next(stages.giving_way()) is waiting


def test_what_is_answered_already_gives_way_first() -> None:
    stages = ByStage[Open]()
    everything = [Open(stage) for stage in reversed(Stage)]
    for one in everything:
        stages.note(one)
    given = [one.now for one in stages.giving_way()]
    assert given == [Stage.CLOSING, Stage.WAITING, Stage.READING, Stage.SLOW]


def test_what_came_to_a_later_stage_gives_way_later() -> None:
    stages = ByStage[Open]()
    first, second, third = (Open(Stage.WAITING) for _ in range(3))
    for one in (first, second, third):
        stages.note(one)
    first.now, second.now = Stage.READING, Stage.ANSWERING
    assert list(stages.giving_way()) == [third, first]
    stages.remove(third)
    stages.remove(third)
    second.now = Stage.WAITING
    stages.note(second)
    assert list(stages.giving_way()) == [second, first]
