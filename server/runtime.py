"""Runtime: the parts of one server, put together.

The models load in a thread of their own, so that the process answers probes at once. Until they are
loaded, requests that need them are refused with `NotReady`.
"""

from __future__ import annotations

import logging
import os
from threading import Event, Lock, Thread

from fastapi import Request

from encoders import PalimpsestError
from server.errors import NotReady
from server.jobs.context import JobContext, ServerStopping
from server.jobs.housekeeping import Housekeeping
from server.jobs.tracking import JobTracker
from server.jobs.workflows import Jobs
from server.loaded import Loaded
from server.metrics import Metrics, StateCollector
from server.parent_watchdog import announced_parent, announced_url
from server.settings import Settings
from server.storage.alias_files import import_alias_files
from server.storage.alias_table import AliasTable
from server.storage.database import Database
from server.storage.lock import DataLock, Holder
from server.storage.record_store import RecordStore
from server.storage.video_files import VideoFiles
from server.unknown_variables import unknown_variables

log = logging.getLogger(__name__)

_LOAD_JOIN_S = 1.0


class Runtime:
    """One server between its start and its stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.load_error: Exception | None = None
        """The error with which loading the models failed."""
        self.stopping = Event()
        self._loaded: Loaded | None = None
        self._lock = DataLock(settings.data_dir)
        self._stop_lock = Lock()
        self._work_stopped = False
        self._load_thread = Thread(target=self._load, name="palimpsest-load", daemon=True)

    def start(self) -> None:
        """Lock the data directory, open the databases, load the models, take up unfinished jobs.

        Returns while the models are still loading.

        Raises:
            DataInUse: Another server uses the data directory.
        """
        data = self.settings.data_dir
        data.mkdir(parents=True, exist_ok=True)
        holder = Holder(announced_parent() or os.getpid(), announced_url())
        self._lock.take(holder, cancelled=self.stopping)
        for sentence in unknown_variables(os.environ):
            log.warning(sentence)
        self.database = Database(self.settings.database)
        self.records = RecordStore(self.database)
        self.aliases = AliasTable(self.database)
        import_alias_files(data / "encoders", self.aliases)
        self.files = VideoFiles(data / "videos")
        self.metrics.registry.register(StateCollector(self.records, self.loaded_or_none))
        self._load_thread.start()
        context = JobContext(
            settings=self.settings,
            records=self.records,
            aliases=self.aliases,
            files=self.files,
            tracker=JobTracker(self.records, self.metrics),
            stopping=self.stopping,
            loaded=self.loaded_or_none,
            wait_loaded=self.wait_loaded,
        )
        self.jobs = Jobs(context)
        self.jobs.start()
        self._housekeeping = Housekeeping(context)
        self._housekeeping.start()

    def stop_work(self) -> None:
        """Stop computing after the step under way. The next start continues the pending jobs.

        Records and files can still be read. A second call does nothing.
        """
        with self._stop_lock:
            if self._work_stopped:
                return
            self.stopping.set()
            self._lock.mark_stopping()
            self.records.notifier.close()
            # Loading a model can take minutes; then its thread ends with the process.
            self._load_thread.join(_LOAD_JOIN_S)
            self._housekeeping.stop()
            if self._loaded is not None:
                self._loaded.engine.stop()
            self.jobs.stop()
            self._work_stopped = True

    def stop(self) -> None:
        """Stop computing, close the databases and unlock the data directory."""
        self.stop_work()
        self.database.close()
        self._lock.release()

    @property
    def ready(self) -> bool:
        """True while the models are loaded, the engine runs, and nobody has told it to stop."""
        return self.loaded_or_none() is not None and not self.stopping.is_set()

    @property
    def loaded(self) -> Loaded:
        """The models and what goes with them.

        Raises:
            NotReady: They are still loading, could not be loaded, or the engine has stopped.
        """
        loaded = self.loaded_or_none()
        if loaded is not None:
            return loaded
        if self._loaded is not None and self.stopping.is_set():
            return self._loaded  # reads are answered to the end, and take no step
        if self.load_error is not None:
            raise NotReady(f"The model could not be loaded: {self.load_error}")
        if self._loaded is not None:
            raise NotReady(f"The engine has stopped: {self._loaded.engine.error}")
        raise NotReady("The model is still loading.", headers={"Retry-After": "2"})

    def loaded_or_none(self) -> Loaded | None:
        """Return the models, or None if they are not ready."""
        return self._loaded if self._loaded is not None and self._loaded.engine.ready else None

    def wait_loaded(self) -> Loaded:
        """Wait for the models, for as long as it takes.

        If they cannot be loaded, accepted jobs wait for the restart that repairs this.

        Raises:
            ServerStopping: The server stops first.
        """
        while self._loaded is None:
            if self.stopping.wait(0.1):
                raise ServerStopping
        return self._loaded

    def _load(self) -> None:
        # The import takes seconds too, so it belongs to this thread.
        try:
            from server.loading import load

            loaded = load(self.settings, self.metrics.engine)
            if self.stopping.is_set():
                loaded.engine.stop()
            self._loaded = loaded
        except PalimpsestError as error:  # the message says what to do; a traceback would bury it
            log.error("the model could not be loaded: %s", error)
            self.load_error = error
        except Exception as error:
            log.exception("the model could not be loaded")
            self.load_error = error


def runtime_of(request: Request) -> Runtime:
    """Return the runtime of the app that answers this request."""
    return request.app.state.runtime
