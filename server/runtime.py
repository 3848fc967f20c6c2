"""Everything one server is made of, put together: what it remembers, what computes, what it may do.

Models load in the engine's thread, so that the process answers probes at once; what needs them is
refused with :class:`NotReady` until they are there.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request

from encoders import PalimpsestError
from server.errors import NotReady
from server.jobs.housekeeping import Housekeeping
from server.jobs.workflows import Jobs, Stopped
from server.metrics import Metrics, StateCollector
from server.settings import Settings
from server.storage.lock import DataLock
from server.storage.records import Records
from server.storage.video_files import VideoFiles

if TYPE_CHECKING:
    from encoders import EncoderStore, Residency
    from server.storage.staging import StagingStore
    from unlearn.judges.base import Judge
    from video import Engine
    from video.models.backbone import Backbone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """What is there once the models are loaded."""

    engine: Engine
    backbone: Backbone
    store: EncoderStore
    """Published encoders."""
    drafts: StagingStore
    """Encoders that are being judged."""
    residency: Residency
    judge: Judge | None
    """What tells whether a frame shows a concept, if the model came with one."""


class Runtime:
    """One server between its start and its stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.metrics.registry.register(StateCollector(self))
        self.load_error: Exception | None = None
        """Why the models could not be loaded."""
        self.stopping = threading.Event()
        self._loaded: Loaded | None = None
        self._lock = DataLock(settings.data_dir)
        self._housekeeping = Housekeeping(self)
        self._boot = threading.Thread(target=self._load, name="palimpsest-load", daemon=True)

    def start(self) -> None:
        """Take the data directory, open the databases, begin to load the models, take up what was
        left unfinished. Raises DataInUse.
        """
        data = self.settings.data_dir
        data.mkdir(parents=True, exist_ok=True)
        self._lock.take()
        self.records = Records(data / "records.sqlite")
        self.files = VideoFiles(data / "videos")
        self._boot.start()
        self.jobs = Jobs(self)
        self.jobs.start()
        self._housekeeping.start()

    def stop(self) -> None:
        """Stop computing. Jobs that are under way go on at the next start."""
        self.stopping.set()
        self._boot.join()
        self._housekeeping.stop()
        if self._loaded is not None:
            self._loaded.engine.stop()
        self.jobs.stop()
        self.records.close()
        self._lock.release()

    @property
    def work_dir(self) -> Path:
        """Where encoders being made keep what is done so far."""
        return self.settings.data_dir / "making"

    @property
    def ready(self) -> bool:
        """Whether the models are loaded and the engine runs."""
        return self._loaded is not None and self._loaded.engine.ready

    @property
    def loaded(self) -> Loaded:
        """The models and what goes with them. Raises NotReady."""
        if self._loaded is not None and self._loaded.engine.ready:
            return self._loaded
        if self.load_error is not None:
            raise NotReady(f"The model could not be loaded: {self.load_error}")
        if self._loaded is not None:
            raise NotReady(f"The engine has stopped: {self._loaded.engine.error}")
        raise NotReady("The model is still loading.", headers={"Retry-After": "2"})

    def wait_loaded(self) -> Loaded:
        """The same, for a job: waits as long as it takes. Raises Stopped when the server stops.

        Where the models cannot be loaded at all, accepted jobs wait for the restart that mends it.
        """
        while self._loaded is None:
            if self.stopping.wait(0.1):
                raise Stopped
        return self._loaded

    def _load(self) -> None:
        # The imports alone take seconds: they belong to this thread too.
        try:
            from server.loading import load

            loaded = load(self.settings, self.metrics.engine)
            self._loaded = loaded
        except PalimpsestError as error:  # it says what to do, and where it arose does not matter
            log.error("the model could not be loaded: %s", error)
            self.load_error = error
        except Exception as error:
            log.exception("the model could not be loaded")
            self.load_error = error


def runtime_of(request: Request) -> Runtime:
    """The runtime of the app that answers this request."""
    return request.app.state.runtime
