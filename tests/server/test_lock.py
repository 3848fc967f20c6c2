"""One server for one data directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.storage.lock import DataInUse, DataLock, Holder

HOLD = """
import sys, pathlib
sys.path.insert(0, {root!r})
from server.storage.lock import DataLock
lock = DataLock(pathlib.Path({data!r}))
lock.take()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_server_is_refused_until_the_first_has_ended(
    tmp_path: Path,
) -> None:
    code = HOLD.format(root=str(Path(__file__).parents[2]), data=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lock = DataLock(tmp_path)
        with pytest.raises(DataInUse, match=rf"process {holder.pid}.*PALIMPSEST_DATA_DIR"):
            lock.take(timeout_s=0.2)
        holder.kill()
        lock.take()
        lock.release()
    again = DataLock(tmp_path)
    again.take(timeout_s=0)
    again.release()
    again.release()


def test_a_server_that_was_told_to_stop_while_it_started_says_so(tmp_path: Path) -> None:
    (tmp_path / "server.lock").write_text('{"pid": 7}')
    lock, reader = DataLock(tmp_path), DataLock(tmp_path)
    lock.mark_stopping()
    assert reader.holder() == Holder(7)
    lock.take(Holder(8, "http://127.0.0.1:3000"))
    assert reader.holder() == Holder(8, "http://127.0.0.1:3000", stopping=True)
    lock.release()
    lock.mark_stopping()
    assert reader.holder().pid == 8
