"""Every table of the database. Importing this declares them in `Base.metadata`."""

from __future__ import annotations

from server.storage.alias_rows import AliasRow
from server.storage.audit_rows import AuditRow
from server.storage.deleted_video_rows import DeletedVideoRow
from server.storage.key_rows import KeyRow, RateRow, UsageRow
from server.storage.ledger_rows import LedgerCheckpointRow, LedgerRow
from server.storage.model_rows import PublishedModelRow
from server.storage.records import EncoderRecord, VideoRecord
from server.storage.replica_rows import ReplicaRow
from server.storage.schema import Base
from server.storage.secret_rows import SecretRow
from server.storage.signing_key_rows import SigningKeyRow

TABLES: tuple[type[Base], ...] = (
    VideoRecord,
    EncoderRecord,
    DeletedVideoRow,
    KeyRow,
    UsageRow,
    RateRow,
    AliasRow,
    LedgerRow,
    LedgerCheckpointRow,
    SigningKeyRow,
    SecretRow,
    AuditRow,
    ReplicaRow,
    PublishedModelRow,
)
NAMES = tuple(table.__tablename__ for table in TABLES)
