"""Runtime: the parts of one server, put together.

The models load in a thread of their own, so that the process answers probes at once. Until they are
loaded, requests that need them are refused with `NotReady`.
"""

from __future__ import annotations

import logging
from threading import Event, Thread

from fastapi import Request

from encoders import PalimpsestError
from server.errors import NotReady
from server.jobs.context import JobContext, ServerStopping
from server.jobs.jobs import Jobs
from server.jobs.storage_wait import StorageWait
from server.jobs.tracking import JobTracker
from server.loaded import Loaded
from server.metrics import Metrics, StateCollector
from server.settings import Settings
from server.storage.database import Database
from server.storage.job_queue import JobQueue
from server.storage.lock import DataLock
from server.storage.record_store import RecordStore
from server.storage.video_files import VideoFiles

log = logging.getLogger(__name__)


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
        self._load_thread = Thread(target=self._load, name="palimpsest-load", daemon=True)

    def start(self) -> None:
        """Lock the data directory, open the databases, load the models, take up unfinished jobs.

        Returns while the models are still loading.

        Raises:
            DataInUse: Another server uses the data directory.
        """
        data = self.settings.data_dir
        data.mkdir(parents=True, exist_ok=True)
        self._lock.take()
        self.database = Database(data / "records.sqlite")
        self.records = RecordStore(self.database)
        self.files = VideoFiles(data / "videos")
        self.metrics.registry.register(StateCollector(self.records, self.loaded_or_none))
        self._load_thread.start()
        storage = StorageWait(self.stopping, data)
        context = JobContext(
            settings=self.settings,
            records=self.records,
            files=self.files,
            tracker=JobTracker(self.records, self.metrics, storage),
            storage=storage,
            stopping=self.stopping,
            loaded=self.loaded_or_none,
            wait_loaded=self.wait_loaded,
        )
        self.jobs = Jobs(context, JobQueue(self.database))
        self.jobs.start()

    def stop(self) -> None:
        """Stop computing. The next start continues the pending jobs."""
        self.stopping.set()
        self._load_thread.join()
        if self._loaded is not None:
            self._loaded.engine.stop()
        self.jobs.stop()
        self.database.close()
        self._lock.release()

    @property
    def ready(self) -> bool:
        """True while the models are loaded and the engine runs."""
        return self.loaded_or_none() is not None

    @property
    def loaded(self) -> Loaded:
        """The models and what goes with them.

        Raises:
            NotReady: They are still loading, could not be loaded, or the engine has stopped.
        """
        loaded = self.loaded_or_none()
        if loaded is not None:
            return loaded
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

            self._loaded = load(self.settings, self.metrics.engine)
        except PalimpsestError as error:  # the message says what to do; a traceback would bury it
            log.error("the model could not be loaded: %s", error)
            self.load_error = error
        except Exception as error:
            log.exception("the model could not be loaded")
            self.load_error = error


def runtime_of(request: Request) -> Runtime:
    """Return the runtime of the app that answers this request."""
    return request.app.state.runtime
