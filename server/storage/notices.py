"""Notices: what a server tells all servers on its database, itself too, once it is committed."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from enum import StrEnum
from threading import Lock

from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

Listener = Callable[[str | None], None]
"""Is called with what a notice is about, or with None: something may have changed, whatever it is.
It must not block."""
_ADDED = "notices"


class Topic(StrEnum):
    """Topics of notices, and what the notices are about."""

    JOB = "job"
    """A job's row was changed or deleted: the id of the video or encoder."""
    ATTEMPT = "attempt"
    """An attempt at a job counts for nothing more: the job has ended, was deleted, or has a later
    attempt; the job's id."""
    QUEUED = "queued"
    """A job waits to be started: its id."""
    ENCODER = "encoder"
    """A published encoder was deleted: its id."""
    KEYS = "keys"
    """A key was made, changed or revoked: its id."""
    REPLICA = "replica"
    """A replica was told to drain: its id."""
    MODEL = "model"
    """Workers have published a model: its identity."""
    TENANT = "tenant"
    """All that is stored about a tenant was erased: its id."""


class Notices(ABC):
    """The notices about one database. Its methods may be called on any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._listeners: defaultdict[Topic, list[Listener]] = defaultdict(list)

    def on(self, topic: Topic, listener: Listener) -> None:
        """Call `listener` at every notice of a topic from now on."""
        with self._lock:
            self._listeners[topic].append(listener)

    @staticmethod
    def add(session: Session, topic: Topic, about: str) -> None:
        """Give notice of what a session changes. Nobody is told if it is not committed.

        Args:
            session: One that `Database.writing` gave.
            topic: The topic.
            about: What the notice is about.
        """
        session.info.setdefault(_ADDED, {})[topic, about] = None

    @abstractmethod
    def before_commit(self, session: Session) -> None:
        """Prepare to send the notices that were added to a session, which is about to commit."""

    @abstractmethod
    def after_commit(self, session: Session) -> None:
        """Send the notices that were added to a session, which has committed."""

    @abstractmethod
    def start(self) -> None:
        """Hear the other servers from now on."""

    @abstractmethod
    def stop(self) -> None:
        """Hear them no more."""

    def _tell(self, topic: Topic, about: str | None) -> None:
        with self._lock:
            listeners = list(self._listeners[topic])
        for listener in listeners:
            try:
                listener(about)
            except Exception:  # the others are told all the same
                log.exception("a notice about a %s could not be followed", topic)

    def _tell_all(self) -> None:
        """Say on every topic that something may have changed."""
        for topic in Topic:
            self._tell(topic, None)


def added_to(session: Session) -> list[tuple[Topic, str]]:
    """Return the notices that were added to a session: topic, and what each is about."""
    return list(session.info.get(_ADDED, ()))
