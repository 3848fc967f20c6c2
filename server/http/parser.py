"""h11's parser, with limits on what one request may consist of."""

from __future__ import annotations

import h11

MAX_HEADERS = 100
HEAD_BYTES = 16 << 10
"""Bytes of a request line and headers; h11 allows as many in one piece."""
_FREE_PIECES = 300
_LEAST_PIECE = 256
"""Average size of a body's pieces, beyond the first ones: each costs as much as a large one."""


class BoundedParser(h11.Connection):
    """A server's side of one connection.

    Its `RemoteProtocolError` carries the status for the client as `error_status_hint`.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES)
        self._pieces = 0
        self._bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event of what was received. Raise RemoteProtocolError."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
            if len(event.headers) > MAX_HEADERS:
                raise h11.RemoteProtocolError(
                    f"There are more than {MAX_HEADERS} headers.", error_status_hint=431
                )
        elif isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > _FREE_PIECES + self._bytes // _LEAST_PIECE:
                raise h11.RemoteProtocolError("The body comes in too many small pieces.")
        return event
