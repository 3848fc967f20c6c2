"""Notices about a SQLite database: one server uses it, so they stay in the process."""

from __future__ import annotations

from sqlalchemy.orm import Session

from server.storage.notices import Notices, added_to


class SqliteNotices(Notices):
    """The notices of one server to itself.

    Of what commands of the command line change no notice comes.
    """

    def before_commit(self, session: Session) -> None:
        """Do nothing."""

    def after_commit(self, session: Session) -> None:
        for topic, about in added_to(session):
            self._tell(topic, about)

    def start(self) -> None:
        """Do nothing: there are no others."""

    def stop(self) -> None:
        """Do nothing."""
