"""Replicas for tests: processes that share one PostgreSQL database and one bucket.

`python -m tests.server.replicas <port> <settings>` serves one, with arguments of `settings_for`
as JSON. There is no parent process, so a signal reaches all of the replica.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from server.storage.backends import open_database
from server.storage.database import Database
from server.storage.records import Job
from server.storage.replica_rows import ReplicaRow
from tests.server.help import (
    ROOT,
    Client,
    free_port,
    settings_for,
    wait_ready,
)

ONE: Mapping[str, Mapping[str, Any]] = {"one": {}}
TWO: Mapping[str, Mapping[str, Any]] = {**ONE, "two": {}}
"""Names of replicas without settings of their own."""


class Replica:
    """A replica's process, and a client of it.

    Args:
        settings: Arguments of `settings_for`.
        log: File for what it says.
        code: Folder of the code that it runs.
    """

    def __init__(self, settings: dict[str, Any], log: Path, code: Path = ROOT) -> None:
        self._settings = settings
        self.log = log
        self._code = code
        self.port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self.process: subprocess.Popen[bytes]

    def launch(self) -> None:
        """Start the process, and return at once."""
        said = json.dumps(self._settings)
        command = [sys.executable, "-m", "tests.server.replicas", str(self.port), said]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(self._code)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self._code, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def wait_ready(self) -> None:
        """Wait until it takes requests."""
        try:
            wait_ready(self.client)
        except AssertionError as error:
            raise AssertionError(self.log.read_text()[-4000:]) from error

    def stop(self) -> None:
        """End the process as an operator does, if it runs."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()


class Replicas:
    """Some replicas, and a look into their database."""

    def __init__(self, named: Mapping[str, Replica], database: Database) -> None:
        self.named = named
        self.each = list(named.values())
        self.database = database

    @property
    def both(self) -> list[Replica]:
        """The replicas, of which there are two."""
        assert len(self.each) == 2
        return self.each

    def rows(self, table: type[Job]) -> list[Any]:
        """Return all rows of a kind of job."""
        with self.database.reading() as session:
            return list(session.scalars(select(table).order_by(table.sequence)))

    def row(self, table: type[Job], name: str) -> Any:
        """Return the row of the job with this id."""
        with self.database.reading() as session:
            return session.scalars(select(table).where(table.id == name)).one()

    def by_id(self, replica: str) -> Replica:
        """Return the replica whose row has this id."""
        with self.database.reading() as session:
            process = session.scalars(
                select(ReplicaRow.process).where(ReplicaRow.id == replica)
            ).one()
        return next(one for one in self.each if one.process.pid == process)

    def besides(self, one: Replica) -> Replica:
        """Return another replica."""
        return next(other for other in self.each if other is not one)


@contextmanager
def started(
    backbone: Path, home: Path, *, each: Mapping[str, Mapping[str, Any]] = TWO, **settings: Any
) -> Generator[Replicas]:
    """Start replicas, yield them once all are ready, and stop them at the end.

    Args:
        backbone: Their model.
        home: A folder for their data and logs.
        each: Name → settings of one.
        settings: Those of all.
    """
    named = {
        name: Replica(
            {"backbone": str(backbone), "data": str(home / name), **settings, **own},
            home / f"{name}.log",
        )
        for name, own in each.items()
    }
    try:
        for replica in named.values():
            replica.launch()
        for replica in named.values():
            replica.wait_ready()
        database = open_database(settings_for(backbone, home / "looker", **settings))
        try:
            yield Replicas(named, database)
        finally:
            database.close()
    finally:
        for replica in named.values():
            replica.stop()


def until(condition: Any, what: str, seconds: float) -> float:
    """Wait until the condition holds, and return the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.05)
    return time.monotonic() - began


def _serve(port: int, said: str) -> None:
    import uvicorn

    app = Client(settings_for(**json.loads(said))).app
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="info")


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2])
