"""Everything that a server has stored: its database and its files, opened and up to date."""

from __future__ import annotations

from encoders.store import EncoderStore
from server.settings import Settings
from server.storage.alias_files import import_alias_files
from server.storage.alias_table import AliasTable
from server.storage.audit_table import AuditTable
from server.storage.backends import open_database, open_jobs_database
from server.storage.database import Database
from server.storage.database_id import database_id
from server.storage.deleted_video_table import DeletedVideoTable
from server.storage.jobs_database import JobsDatabase
from server.storage.model_table import ModelTable
from server.storage.open_file_store import open_file_store
from server.storage.private_files import tighten
from server.storage.record_store import RecordStore
from server.storage.replica_table import ReplicaTable
from server.storage.signing_keys import SigningKeys
from server.storage.staging import StagingStore
from server.storage.storage_errors import explained
from server.storage.usage_table import UsageTable
from server.storage.video_files import VideoFiles
from server.storage.watermark_secret import WatermarkSecret
from server.storage.writes import Writes


class DataDirectory:
    """The databases and files of one server. The caller holds the directory's lock.

    Raises:
        DatabaseUnusable: A database is damaged, another program's or a newer version's, or cannot
            be opened. The message names it and the remedy.
        StorageAway: The storage is full, locked or away just now.
        StoreUnfit: The store of the files cannot be used; the message says why.
    """

    def __init__(self, settings: Settings) -> None:
        folder = settings.data_dir
        tighten(folder)
        self.store = open_file_store(settings)
        self.jobs = open_jobs_database(settings)
        """DBOS's database."""
        self.database = _opened(self.jobs, settings)
        try:
            with explained(folder), self.database.explained():
                # First: another's is refused before anything is written to the database.
                self.store.prepare(lambda: database_id(self.database))
                self.replicas = ReplicaTable(self.database)
                self.models = ModelTable(self.database, self.replicas)
                self.records = RecordStore(
                    self.database,
                    records_deleted_videos=settings.deleted_record_retention_seconds > 0,
                )
                self.deleted_videos = DeletedVideoTable(self.database)
                self.usage = UsageTable(self.database)
                self.aliases = AliasTable(self.database)
                self.audits = AuditTable(self.database, refuses=settings.audit_policy == "refuse")
                self.signing_keys = SigningKeys(self.database, settings)
                self.signing_keys.prepare()
                self.watermark_secret = WatermarkSecret(self.database)
                self.encoders = EncoderStore(self.store.blobs("encoders"))
                """Published encoders."""
                self.staging = StagingStore(self.encoders, self.store.blobs("drafts"))
                """Encoders that are made but not judged yet, behind the published ones."""
                import_alias_files(folder / "encoders", self.aliases)
                self.writes = Writes(lambda: self.database.is_locked)
                self.files = VideoFiles(
                    self.store.blobs("videos"), by_attempt=self.store.by_attempt
                )
        except Exception:
            self.close()
            raise

    @property
    def error(self) -> Exception | None:
        """The reason why the database or the files cannot be used now; None if they can be."""
        return self.database.health.error or self.store.error or self.replicas.refused

    def start_looks(self) -> None:
        """Look from now on whether the database and the files are there; hear other servers."""
        self.database.health.start()
        self.database.notices.start()
        self.store.start()

    def close(self) -> None:
        """Close the databases, and end the looks at the store."""
        self.store.close()
        self.database.close()
        self.jobs.close()


def _opened(jobs: JobsDatabase, settings: Settings) -> Database:
    try:
        jobs.check()
        return open_database(settings)
    except Exception:
        jobs.close()
        raise
