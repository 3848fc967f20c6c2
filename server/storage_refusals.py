"""Refusals for a storage that cannot be used: 503, with a code that says if it may come back."""

from __future__ import annotations

from server.errors import NotReady
from server.storage.storage_errors import StorageAway


def refusal(error: Exception | None) -> NotReady:
    """Return the answer to a request while the storage is not open.

    Args:
        error: The reason; None if it was not tried yet.
    """
    if error is None or isinstance(error, StorageAway):
        message = str(error or "The server is starting.")
        return NotReady(message, code="loading", headers={"Retry-After": "2"})
    return NotReady(f"The server's data cannot be used: {error}", code="load_failed")


def health_refusal(error: Exception) -> NotReady:
    """Return the answer of `/health`. It needs no key, so the reason is in the log only."""
    if isinstance(error, StorageAway):
        return NotReady("The server waits for its storage; see its log.", code="loading")
    return NotReady("The server's data cannot be used; see its log.", code="load_failed")
