"""A cluster: replicas on one PostgreSQL and one bucket, started, killed and started again."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from obstore.store import S3Store

from benchmarks.faults.served import Served
from encoders import Encoder
from encoders.composite import composite_card
from encoders.store import EncoderStore
from tests.object_server import Gate, ObjectServer, start_object_server
from tests.postgres_server import PostgresServer, create_database, maintenance

SERVICE = "benchmarks.replicas.waiting:Palimpsest"
_DATABASE = _PREFIX = "replicas"


class Cluster:
    """Servers that share a database and a bucket, each with a data directory of its own.

    Args:
        work: Folder of the data directories and logs.
        count: Number of replicas.
        step_s: Seconds that a denoising step waits.
        settings: Settings of every replica, by their names in lower case.
    """

    def __init__(self, work: Path, count: int, step_s: float, **settings: object) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.postgres = PostgresServer()
        self.postgres.start()
        self.objects: ObjectServer = start_object_server(work)
        self.store = Gate(self.objects.endpoint)
        """The address by which the replicas reach the bucket."""
        self._bucket = self.objects.bucket()
        places = {
            "database": create_database(self.postgres.port, _DATABASE),
            "store": f"{self._bucket}/{_PREFIX}",
        }
        self.replicas: list[Served] = []
        for number in range(count):
            home = work / f"replica-{number}"
            home.mkdir(parents=True)
            replica = Served(home / "data", home, descriptors=None, **places, **settings)
            replica.service = SERVICE
            replica.variables |= self.objects.environment(self.store.endpoint)
            replica.variables["WAITING_STEP_S"] = str(step_s)
            self.replicas.append(replica)

    def start(self) -> None:
        """Start every replica, one after the other, and wait until each is ready."""
        for replica in self.replicas:
            replica.start()
        for replica in self.replicas:
            replica.wait_ready()

    def publish_set(self, encoders: Iterable[Encoder], set_id: str) -> dict[str, str]:
        """Put encoders, and a composite of all but the last, into the bucket.

        Return the identity of each by its id.
        """
        with patch.dict("os.environ", self.objects.environment()):
            store = EncoderStore(f"{self._bucket}/{_PREFIX}/encoders")
            cards = [store.publish(encoder) for encoder in encoders]
            cards.append(store.publish(Encoder(composite_card(set_id, cards[:-1]), {})))
        return {card.id: card.identity for card in cards}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the replicas' database."""
        with maintenance(self.postgres.port, _DATABASE) as connection:
            return connection.execute(query.encode()).fetchall()

    def stored(self) -> list[str]:
        """Return the keys of all objects in the bucket."""
        variables = self.objects.environment()
        store = S3Store(
            self._bucket.removeprefix("s3://"),
            endpoint=variables["AWS_ENDPOINT_URL"],
            access_key_id=variables["AWS_ACCESS_KEY_ID"],
            secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region=variables["AWS_REGION"],
            client_options={"allow_http": True},
        )
        return [found["path"] for page in store.list() for found in page]

    def stop(self) -> None:
        """Stop the replicas and PostgreSQL, and remove PostgreSQL's data."""
        for replica in self.replicas:  # all at a time: each may have work to hand back
            with contextlib.suppress(psutil.NoSuchProcess, RuntimeError):
                replica.parent.terminate()
        for replica in self.replicas:
            with contextlib.suppress(RuntimeError):  # it was never started
                replica.stop()
        self.store.close()
        self.postgres.remove()


@contextmanager
def cluster(work: Path, count: int, step_s: float, **settings: object) -> Generator[Cluster]:
    """Yield a cluster of replicas that are ready; stop it when the block ends."""
    made = Cluster(work, count, step_s, **settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()
