"""The model of one server: loaded in a thread of its own, or what other servers have published."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from encoders import PalimpsestError
from server.errors import NotReady
from server.jobs.lease import Lease
from server.jobs.storage_wait import ServerStopping
from server.loaded import Loaded
from server.outage import brief, is_outage
from server.roles import TAKES
from server.served_model import PublishedModel, ServedModel
from server.settings import Settings
from server.storage.data_directory import DataDirectory
from server.storage.model_table import ModelTable
from server.storage.notices import Topic
from server.storage.replica_table import OtherModel
from video.engine.observer import Observer

log = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 30.0
"""Time between two looks for a published model of which no notice came."""
_REPEAT_S = 2.0
_JOIN_S = 1.0


class ModelSource:
    """The model of one server.

    Args:
        settings: The server's.
        observer: Is told what the engine does.
        stopping: Set when the server stops.
    """

    def __init__(self, settings: Settings, observer: Observer, stopping: Event) -> None:
        self._settings = settings
        self._observer = observer
        self._stopping = stopping
        self.computes = bool(TAKES[settings.role])
        """False if the server only takes requests, for a model that it has not."""
        self.error: Exception | None = None
        """The error with which loading the model failed."""
        self.last: Loaded | None = None
        """The loaded model, even if its engine has stopped."""
        self.published: ServedModel | None = None
        """The published model, for a server that computes nothing; None until there is one."""
        self._made: Loaded | None = None  # it may not be used before it is published
        self._opened = Event()
        self._place: tuple[ModelTable, Lease] | None = None
        self._changed = Event()
        self._thread: Thread | None = None

    def load(self, storage: DataDirectory) -> None:
        """Begin to load the model, unless that has begun. Returns at once."""
        if self.computes and self._thread is None:
            self._start(self._load, storage)

    def open(self, storage: DataDirectory, lease: Lease) -> None:
        """Use the database from now on: the model is published in it, or read from it."""
        self._place = storage.models, lease
        self._opened.set()
        if not self.computes:
            storage.database.notices.on(Topic.MODEL, lambda _: self._changed.set())
            self._start(self._watch, storage)

    def ready(self) -> Loaded | None:
        """Return the loaded model; None before it can be used, and once its engine has stopped."""
        return self.last if self.last is not None and self.last.engine.ready else None

    @property
    def is_ready(self) -> bool:
        """True while there is a model to take requests for."""
        return (self.ready() if self.computes else self.published) is not None

    def required_published(self) -> ServedModel:
        """Return the published model. Raise NotReady if there is none."""
        if self.published is None:
            raise NotReady(
                "No server that computes has published its model yet: requests are taken once one "
                "with PALIMPSEST_ROLE videos, encoders or all has loaded it.",
                code="no_model",
                headers={"Retry-After": "5"},
            )
        return self.published

    def required(self) -> Loaded:
        """Return the loaded model. Raise NotReady if it cannot be used."""
        if self.last is not None:
            # Reads are answered to the end of a stop, and take no step.
            if self.last.engine.ready or self._stopping.is_set():
                return self.last
            reason = str(self.last.engine.error or "")
            raise NotReady("The engine has stopped; see the server's log.", reason=reason)
        if self.error is not None:
            message = "The model could not be loaded; see the server's log."
            raise NotReady(message, reason=str(self.error))
        raise NotReady("The model is still loading.", headers={"Retry-After": "2"})

    def wait(self) -> Loaded:
        """Wait for the model, for as long as it takes.

        If it cannot be loaded, accepted jobs wait for the restart that repairs this.

        Raises:
            ServerStopping: The server stops first.
        """
        while self.last is None:
            if self._stopping.wait(0.1):
                raise ServerStopping
        return self.last

    def stop(self) -> None:
        """Stop the engine after the step under way. The server must be stopping."""
        self._changed.set()
        # Loading a model can take minutes; then its thread ends with the process.
        if self._thread is not None:
            self._thread.join(_JOIN_S)
        if self._made is not None:
            self._made.engine.stop()

    def _start(self, work: Callable[[DataDirectory], None], storage: DataDirectory) -> None:
        self._thread = Thread(target=work, args=(storage,), name="palimpsest-load", daemon=True)
        self._thread.start()

    def _load(self, storage: DataDirectory) -> None:
        # The import takes seconds too, so it belongs to this thread.
        try:
            from server.loading import load

            self._made = load(self._settings, self._observer, storage.encoders, storage.staging)
            if self._settings.postgres is None or self._publish(self._made):
                self.last = self._made
            if self._stopping.is_set():
                self._made.engine.stop()
        except Exception as error:
            trace = None if isinstance(error, PalimpsestError) else error  # it buries what to do
            log.error("the model could not be loaded: %s", error, exc_info=trace)
            self.error = error

    def _publish(self, loaded: Loaded) -> bool:
        """Publish the model, as soon as that can be. Return False if the server stops first."""
        model, refused = PublishedModel.of(loaded.backbone, loaded.judge), ""
        document = model.model_dump_json()
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = _REPEAT_S
            if self._place is None:
                self._opened.wait(_REPEAT_S)
                pause = 0.0
                continue
            try:
                models, lease = self._place
                lease.publish(models, model.identity, document)
                return True
            except OtherModel as error:
                if str(error) != refused:
                    log.error("%s", error)
                refused = str(error)
            except Exception as error:
                if not is_outage(error):
                    raise
        return False

    def _watch(self, storage: DataDirectory) -> None:
        """Keep `published` up to date."""
        known: str | None = None
        while not self._stopping.is_set():
            self._changed.clear()
            pause = _LOOK_INTERVAL_S
            try:
                document = storage.models.read()
                if document is not None and document != known:
                    self.published = PublishedModel.model_validate_json(document).served()
                    known = document
                    log.info("requests are taken for the model %s", self.published.name)
            except Exception as error:
                pause = _REPEAT_S
                if not is_outage(error):
                    log.error("the published model cannot be used: %s", brief(error))
            self._changed.wait(pause)
