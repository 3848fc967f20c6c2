"""Refusals for a storage that cannot be used: 503, with a code that says if it may come back."""

from __future__ import annotations

from server.errors import NotReady
from server.storage.storage_errors import StorageAway


def refusal(error: Exception | None) -> NotReady:
    """Return the answer to a request while the storage is not open.

    Args:
        error: The reason; None if it was not tried yet.
    """
    soon = {"Retry-After": "2"}
    if error is None:
        return NotReady("The server is starting.", code="loading", headers=soon)
    if isinstance(error, StorageAway):
        message = "The server waits for its storage; see its log."
        return NotReady(message, reason=str(error), code="loading", headers=soon)
    message = "The server's data cannot be used; see its log."
    return NotReady(message, reason=str(error), code="load_failed")
