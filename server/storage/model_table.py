"""The table of the published model: written by workers that have it, read by servers without."""

from __future__ import annotations

from sqlalchemy import select, update

from server.storage.database import Database
from server.storage.model_rows import PublishedModelRow
from server.storage.notices import Notices, Topic
from server.storage.replica_rows import ReplicaRow
from server.storage.replica_table import ReplicaTable

_SLOT = 1


class ModelTable:
    """The published model of one database. Every method is one short transaction.

    Args:
        database: The database.
        replicas: Its replicas.
    """

    def __init__(self, database: Database, replicas: ReplicaTable) -> None:
        self._database = database
        self._replicas = replicas

    def publish(self, replica_id: str, identity: str, document: str) -> None:
        """Publish the model of a replica, in place of one that no living replica has.

        Args:
            replica_id: The replica. From now on its row says which model it has.
            identity: Two models with one identity answer each other's requests.
            document: What servers without the model read.

        Raises:
            OtherModel: A living replica has another model.
        """
        with self._database.writing() as session:
            self._replicas.check_model(session, replica_id, identity)
            row = session.get(PublishedModelRow, _SLOT)
            if row is None or row.document != document:
                session.merge(PublishedModelRow(slot=_SLOT, identity=identity, document=document))
                Notices.add(session, Topic.MODEL, identity)
            session.execute(
                update(ReplicaRow).where(ReplicaRow.id == replica_id).values(model=identity)
            )

    def read(self) -> str | None:
        """Return the document of the published model; None if none was published."""
        with self._database.reading() as session:
            return session.scalar(select(PublishedModelRow.document))
