"""Marking: what a clip and a report say of themselves, signed, and how that is checked.

A clip carries a signed statement that it was generated, and by which encoder (C2PA); a report is
the subject of a signed statement (in-toto, DSSE). Everything here works offline, on bytes: keys
are kept and chosen by the server.

Importing this package imports neither torch nor the C2PA library.
"""

from marking.errors import MarkInvalid, NotMarked, SigningFailed, SigningKeyInvalid
from marking.signing_key import SigningKey

__all__ = ["MarkInvalid", "NotMarked", "SigningFailed", "SigningKey", "SigningKeyInvalid"]
