"""The list of what a run on other back ends leaves out names files that there are, once each."""

from __future__ import annotations

from tests.back_ends import DEFAULTS, left_out
from tests.conftest import TESTS

OTHER = {"database": "postgresql", "store": "s3"}


def test_each_file_is_there_and_nothing_is_left_out_by_default() -> None:
    found = [name for name, _ in left_out(OTHER)]
    assert [name for name in found if not (TESTS / name).is_file()] == []
    assert list(left_out(DEFAULTS)) == []
    for option in OTHER:
        names = [name for name, _ in left_out({**DEFAULTS, option: OTHER[option]})]
        assert len(names) == len(set(names))
        assert set(names) < set(found)
