"""Errors of copies."""

from __future__ import annotations

from encoders import PalimpsestError


class CopyRefused(PalimpsestError):
    """Error: the copy is not begun, or not ended; the message says why, and what to do."""

    code = "copy_refused"


class BackupDamaged(PalimpsestError):
    """Error: a backup cannot be restored; the message names the file in it that is damaged."""

    code = "backup_damaged"
