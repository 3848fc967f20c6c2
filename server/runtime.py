"""Runtime: the parts of one server, put together.

The models load in a thread of their own. Until then, requests that need them get `NotReady`.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from itertools import chain, repeat
from threading import Event, Lock, Thread

from fastapi import Request

from encoders import PalimpsestError
from encoders.store import EncoderStore
from server.auth.key_policy import KeyPolicy
from server.auth.live_keys import LiveKeys
from server.jobs.context import JobContext
from server.jobs.jobs import Jobs
from server.jobs.lease import Lease, replica_of
from server.jobs.storage_wait import StorageWait
from server.jobs.tracking import JobTracker
from server.loaded import Loaded
from server.metrics import Metrics, StateCollector
from server.model_source import ModelSource
from server.role_check import check_role
from server.served_model import ServedModel
from server.settings import Settings
from server.storage import owned_names, private_files
from server.storage.alias_table import AliasTable
from server.storage.data_directory import DataDirectory
from server.storage.database import Database
from server.storage.followers import Followers
from server.storage.lock import DataInUse, DataLock, Holder
from server.storage.record_store import RecordStore
from server.storage.storage_errors import explained
from server.storage.video_files import VideoFiles
from server.storage_refusals import refusal
from server.unknown_variables import unknown_variables

log = logging.getLogger(__name__)

_REOPEN_INTERVAL_S = 3.0
"""Time between two attempts to open storage that could not be used."""
_OPEN_JOIN_S = 6.0


class Runtime:
    """One server between its start and its stop."""

    def __init__(self, settings: Settings, keys: LiveKeys | None = None) -> None:
        self.settings = settings
        self.key_policy = KeyPolicy(keys, settings)
        self.metrics = Metrics()
        self._open_error: Exception | None = None
        self.stopping = Event()
        self.followers = Followers(
            lambda: self.records.notifier,
            most=settings.max_event_streams,
            most_per_key=settings.max_event_streams_per_key,
        )
        self._source = ModelSource(settings, self.metrics.engine, self.stopping)
        self._jobs_stopping = Event()  # set later than `stopping` if jobs may end first
        self._lock, self._is_locked = DataLock(settings.data_dir), False
        self.holder = Holder.here()  # each start of a process is a replica of its own
        self._storage: DataDirectory | None = None
        self._jobs: Jobs | None = None
        self._open_thread = Thread(target=self._keep_opening, name="palimpsest-open", daemon=True)
        self._stop_lock = Lock()
        self._work_stopped = False

    def start(self) -> None:
        """Lock the data directory, open the databases, load the models, take up unfinished jobs.

        Returns while the models are still loading. If the storage cannot be used, `storage_error`
        says why, and a thread tries again: the server answers, and is not ready.

        Raises:
            DataInUse, ForeignDirectory: The data directory is another server's, or none's.
            RoleRefused: The settings do not allow the server's role.
        """
        check_role(self.settings)
        with suppress(OSError):  # it may be away just now
            owned_names.check_own(self.settings.data_dir)
        self._umask = os.umask(private_files.UMASK)
        for sentence in unknown_variables(os.environ):
            log.warning(sentence)
        if not self._open():
            self._open_thread.start()

    def end_waits(self) -> None:
        """Begin to stop: end event streams and waiting requests, and say that the server stops.

        Jobs that others can take up are drained; a single server's end after the step under way.
        """
        self.stopping.set()
        self._lock.mark_stopping()
        if self._jobs is not None and self.database.is_shared:
            self._jobs.drain()
        else:
            self._jobs_stopping.set()
        if self._storage is not None:
            self._storage.records.notifier.close()

    def stop_work(self) -> None:
        """Stop computing after the step under way, or once drained.

        The next start continues the pending jobs, or another server does. Records and files can
        still be read. A second call does nothing.
        """
        with self._stop_lock:
            if self._work_stopped:
                return
            self.end_waits()
            if self._open_thread.ident is not None:
                self._open_thread.join(_OPEN_JOIN_S)
            if self._jobs is not None:
                self._jobs.wait_drained()
            self._jobs_stopping.set()
            self._source.stop()
            if self._jobs is not None:
                self._jobs.stop()
            self._work_stopped = True

    def stop(self) -> None:
        """Stop computing, close the databases and unlock the data directory."""
        self.stop_work()
        if self._storage is not None:
            self._storage.close()
        self._lock.release()
        os.umask(self._umask)

    @property
    def storage(self) -> DataDirectory:
        """Everything that is stored.

        Raises:
            NotReady: It cannot be used, or not yet.
        """
        if self._storage is None:
            raise refusal(self.storage_error)
        return self._storage

    @property
    def database(self) -> Database:
        """The database; raises NotReady like `storage`."""
        return self.storage.database

    @property
    def records(self) -> RecordStore:
        """The rows of jobs; raises NotReady like `storage`."""
        return self.storage.records

    @property
    def aliases(self) -> AliasTable:
        """The aliases; raises NotReady like `storage`."""
        return self.storage.aliases

    @property
    def files(self) -> VideoFiles:
        """The files of videos; raises NotReady like `storage`."""
        return self.storage.files

    @property
    def jobs(self) -> Jobs:
        """The jobs; raises NotReady like `storage`."""
        if self._jobs is None:
            raise refusal(self.storage_error)
        return self._jobs

    @property
    def encoders(self) -> EncoderStore:
        """The published encoders; raises NotReady like `storage`."""
        return self.storage.encoders

    @property
    def ready(self) -> bool:
        """True while requests and jobs are taken, and nobody has told it to stop or to drain."""
        is_taking = self._jobs is not None and not (self.draining or self.stopping.is_set())
        return is_taking and self._source.is_ready and self.storage_error is None

    @property
    def draining(self) -> bool:
        """True once it takes no more jobs, on an operator's word or since it stops."""
        return self._jobs is not None and self._jobs.is_draining

    @property
    def storage_error(self) -> Exception | None:
        """The reason why the storage cannot be used: what is wrong with it, and what to do."""
        opened = self._storage
        return self._open_error if opened is None else opened.error

    @property
    def load_error(self) -> Exception | None:
        """The error with which loading the model failed."""
        return self._source.error

    @property
    def computes(self) -> bool:
        """False if the server takes requests only: it has no model, and `loaded` is never there."""
        return self._source.computes

    @property
    def model(self) -> ServedModel:
        """The model, as far as taking requests needs it.

        Raises:
            NotReady: It is not loaded, or no server has published it yet.
        """
        if self._source.computes:
            return self.loaded.served
        if self._storage is None:
            raise refusal(self.storage_error)
        return self._source.required_published()

    @property
    def loaded(self) -> Loaded:
        """The models and what goes with them.

        Raises:
            NotReady: They are still loading, could not be loaded, or the engine has stopped.
        """
        if self._source.last is None and (self._storage is None or self.storage_error is not None):
            raise refusal(self.storage_error)
        return self._source.required()

    def _keep_opening(self) -> None:
        """Open the storage as soon as it can be used, and start what works on it."""
        for pause in chain((0.5, 1.0, 2.0), repeat(_REOPEN_INTERVAL_S)):
            if self.stopping.wait(pause) or self._open():
                return

    def _open(self) -> bool:
        """Open the storage and start what works on it; return False if it cannot be used now."""
        try:
            with explained(self.settings.data_dir):
                self.settings.data_dir.mkdir(parents=True, exist_ok=True)
                if not self._is_locked:
                    self._lock.take(self.holder, cancelled=self.stopping)
                    self._is_locked = True
            storage = DataDirectory(self.settings)
            self._source.load(storage)
            try:
                self.key_policy.guard(storage.database)
                self._start_jobs(storage)
            except Exception:
                storage.close()
                raise
        except DataInUse:
            raise
        except Exception as error:
            if str(error) != str(self._open_error):
                trace = None if isinstance(error, PalimpsestError) else error  # it buries the text
                log.error("%s", error, exc_info=trace)
            self._open_error = error
            return False
        self._open_error = None
        return True

    def _start_jobs(self, storage: DataDirectory) -> None:
        wait = StorageWait(self._jobs_stopping, self.settings.data_dir, storage.store.is_there)
        lease = Lease(storage.replicas, replica_of(self.settings, self.holder.replica))
        lease.take(self._lock.before)
        self.key_policy.slots = lambda: lease.slots
        context = JobContext.over(
            storage,
            settings=self.settings,
            tracker=JobTracker(storage.records, self.metrics, wait),
            storage=wait,
            lease=lease,
            stopping=self._jobs_stopping,
            loaded=self._source.ready,
            wait_loaded=self._source.wait,
            metrics=self.metrics,
            limits_of=self.key_policy.of_owner,
        )
        jobs = Jobs(context, storage.database)
        try:
            with storage.jobs.explained():
                jobs.start()
        except Exception:
            with suppress(Exception):
                jobs.stop()
            raise
        self._jobs, self._storage = jobs, storage
        storage.start_looks()
        self._source.open(storage, lease)
        ready = self._source.ready
        state = StateCollector(storage.records, ready, jobs.in_flight, lambda: self.ready)
        self.metrics.registry.register(state)


def runtime_of(request: Request) -> Runtime:
    """Return the runtime of the app that answers this request."""
    return request.app.state.runtime
