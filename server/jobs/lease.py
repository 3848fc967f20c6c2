"""Lease: the right of this process to work on jobs, renewed by heartbeats in the database.

Whoever has not been seen for `LEASE_S` counts as dead, and others take up its jobs. A process that
was stopped for a while, or whose database was away, sees by its own clock that its lease is over.
What others then do with its jobs needs no trust: each of them begins a later attempt, and an
earlier one changes nothing any more.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from threading import Event, Thread

from encoders.version import VERSION
from server.outage import brief, is_outage
from server.parent_watchdog import announced_url
from server.roles import TAKES
from server.settings import Settings
from server.storage.model_table import ModelTable
from server.storage.replica_rows import ReplicaRow
from server.storage.replica_table import (
    LEASE_S,
    OtherModel,
    ReplicaTable,
    Standing,
    UsedByAnother,
)

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0


class Lease:
    """The lease of this process, from `take` to `end`.

    Args:
        table: The replicas.
        replica: The row of this one.
    """

    def __init__(self, table: ReplicaTable, replica: ReplicaRow) -> None:
        self._table = table
        self._replica = replica
        self.id: str = replica.id
        """Id of the replica."""
        self._standing = Standing(leads=False, slots=replica.slots, workers=0, audits=False)
        self.on_drain: Callable[[], None] = lambda: None
        """Is called when an operator has told this replica to take no more jobs."""
        self._since = self._renewed = -LEASE_S
        self._ended, self._due = Event(), Event()
        self._thread = Thread(target=self._beat, name="palimpsest-lease", daemon=True)

    @property
    def is_held(self) -> bool:
        """True while no other replica can have taken this one for dead."""
        return not self._table.is_shared or time.monotonic() < self._renewed + LEASE_S

    @property
    def leads(self) -> bool:
        """True if this replica does what one has to do for all, such as sweeps."""
        return self.is_held and self._standing.leads

    @property
    def audits(self) -> bool:
        """True if this replica, of those that make encoders, audits them."""
        return self.is_held and self._standing.audits

    @property
    def slots(self) -> int:
        """Number of videos that all living replicas work on at a time."""
        return self._standing.slots

    @property
    def workers(self) -> int:
        """Number of living replicas that take videos, this one perhaps among them."""
        return self._standing.workers

    @property
    def knows_silence(self) -> bool:
        """True if a replica that is not seen is dead.

        After an outage of the database no replica has been seen for a while. So each waits as long
        as a lease before it takes another for dead.
        """
        return self.is_held and time.monotonic() >= self._since + LEASE_S

    def take(self, before: str = "") -> None:
        """Take the lease.

        Args:
            before: Id of the replica that used the data directory before, and so is dead;
                "" if there is none.

        Raises:
            UsedByAnother: A living replica has its files where this one would not find them.
            StorageAway: The database cannot be reached.
        """
        self._since = asked = time.monotonic()
        self._standing = self._table.join(self._replica, before=before)
        self._renewed = asked  # a heartbeat counts from when it was asked for, not from the answer

    def start(self) -> None:
        """Renew the lease from now on, where it can end, and follow what operators say of it."""
        self._thread.start()

    def renew_soon(self) -> None:
        """Renew it now, and so learn of a change. Returns at once."""
        self._due.set()

    def publish(self, models: ModelTable, model: str, document: str) -> None:
        """Publish the model that this replica has, and keep to it.

        Args:
            models: The table.
            model: The model's identity.
            document: What servers without it read.

        Raises:
            OtherModel: A living replica has another one.
            Exception: The database cannot be used.
        """
        models.publish(self.id, model, document)
        self._replica.model = model
        self.renew_soon()  # places and audits are those of servers that have their model

    def drain(self) -> None:
        """Say in the list of replicas that this one takes no more jobs.

        Raises:
            Exception: The database cannot be used.
        """
        self._replica.draining = True
        self._table.drain(self.id)

    def end(self) -> None:
        """Let others take at once what this replica has not given back."""
        self._ended.set()
        self._due.set()
        if self._thread.ident is not None:
            self._thread.join(HEARTBEAT_S)
        try:
            self._table.leave(self.id)
        except Exception as error:
            log.warning("the lease ends by itself: %s", brief(error))

    def _beat(self) -> None:
        interval = HEARTBEAT_S if self._table.is_shared else None
        while True:
            self._due.wait(interval)
            self._due.clear()
            if self._ended.is_set():
                return
            refused = self._table.refused
            try:
                self._renew()
            except (UsedByAnother, OtherModel) as error:
                if refused is None:
                    log.error("%s", error)
            except Exception as error:
                # The dispatcher says that the database is away.
                if not is_outage(error):
                    log.exception("the lease could not be renewed")

    def _renew(self) -> None:
        asked, was_held = time.monotonic(), self.is_held
        standing = self._table.renew(self.id) if was_held else None
        if standing is None:
            silent = asked - self._renewed
            self.take()
            log.warning("not seen for %.1f s, so others may have taken up its jobs", silent)
        else:
            self._standing, self._renewed = standing, asked
        if self._standing.draining and not self._replica.draining:
            self._replica.draining = True
            self.on_drain()


def replica_of(settings: Settings, replica_id: str) -> ReplicaRow:
    """Return the row of this process; its times are not set yet."""
    return ReplicaRow(
        id=replica_id,
        started_at=0.0,
        seen_at=0.0,
        host=socket.gethostname(),
        url=announced_url(),
        process=os.getpid(),
        version=VERSION,
        store=settings.store.rstrip("/"),
        slots=settings.videos_in_flight if "video" in TAKES[settings.role] else 0,
        role=settings.role,
        model=None,
        draining=False,
    )
