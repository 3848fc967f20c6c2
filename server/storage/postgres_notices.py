"""Notices about a PostgreSQL database, by its NOTIFY and LISTEN.

A notice is sent in the transaction that it is about, so it comes after the commit, and not at all
if there is none. What is sent while a server does not listen is lost to it: when it listens again,
it looks at everything, and until then every two seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Event, Thread
from typing import Any

import psycopg
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.outage import brief
from server.postgres_address import PostgresAddress
from server.storage.notices import Notices, Topic, added_to

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 2.0
"""Time between two looks at everything while notices may be lost."""
_RECONNECT_S = 0.5
_WAIT_S = 0.5
"""Longest time for which the thread does not see that it has to end."""
_CHANNEL = "palimpsest_"
"""Beginning of the channels' names; the topic follows."""


class PostgresNotices(Notices):
    """The notices of all servers on one database. One connection and one thread listen.

    Args:
        address: The database.
    """

    def __init__(self, address: PostgresAddress) -> None:
        super().__init__()
        self._address = address
        self._ended = Event()
        self._thread = Thread(target=self._run, name="palimpsest-notices", daemon=True)

    def before_commit(self, session: Session) -> None:
        added = added_to(session)
        if added:
            calls = (func.pg_notify(_CHANNEL + topic, about) for topic, about in added)
            session.execute(select(*calls))

    def after_commit(self, session: Session) -> None:
        """Do nothing: PostgreSQL sends them, to this server too."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(_WAIT_S + 1)

    def _run(self) -> None:
        is_lost = False
        pause = _RECONNECT_S
        while not self._ended.is_set():
            try:
                with self._connected() as connection:
                    if is_lost:
                        log.info("notices of other servers are heard again")
                    is_lost, pause = False, _RECONNECT_S
                    self._tell_all()
                    self._listen(connection)
            except Exception as error:
                if not is_lost and not self._ended.is_set():
                    said = self._address.scrubbed(brief(error))
                    log.warning("notices of other servers are not heard just now: %s", said)
                is_lost = True
            self._tell_all()
            self._ended.wait(pause)
            pause = LOOK_INTERVAL_S

    def _connected(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(**self._address.options, autocommit=True)
        try:
            for topic in Topic:
                connection.execute(f"LISTEN {_CHANNEL}{topic}".encode())
        except BaseException:
            connection.close()
            raise
        return connection

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        """Tell what is heard until the server stops. The end of the connection raises an error."""
        while not self._ended.is_set():
            for notice in connection.notifies(timeout=_WAIT_S):
                self._heard(notice)

    def _heard(self, notice: psycopg.Notify) -> None:
        name = notice.channel.removeprefix(_CHANNEL)
        if name in _KNOWN:
            self._tell(Topic(name), notice.payload)


_KNOWN: Sequence[str] = tuple(Topic)
