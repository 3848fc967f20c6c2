"""The HTTP protocol of the server's connections: uvicorn's, with times and limits.

uvicorn waits for ever for a request's headers and for whatever a client sends or takes. ASGI apps
cannot do better: they are called when the headers are there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

from server.errors import error_body
from server.http.connections import ConnectionLimits, Connections
from server.http.pace import Pace
from server.http.parser import HEAD_BYTES, BoundedParser
from server.http.stages import Stage

_READ_BYTES = 64 << 10
_SMALL_REST = 64 << 10
"""Largest unread body that is thrown away, so that the connection can be used again."""
_CODES = {408: "request_timeout", 431: "headers_too_large", 503: "too_many_connections"}


class BoundedHttpProtocol(H11Protocol):
    """One connection."""

    register: ClassVar[Connections] = Connections(ConnectionLimits())
    """The register of all connections of the process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = BoundedParser()
        self.address = ""
        self.since = self.loop.time()
        self._has_head_bytes = False

    # What the register asks for

    @property
    def stage(self) -> Stage:
        """The stage that the connection is in."""
        if self._wire.has_unsent:
            return Stage.SLOW if self._wire.is_slow else Stage.ANSWERING
        if self.transport.is_closing():
            return Stage.CLOSING
        request = self._request
        if request is None or request.response_complete:
            return Stage.WAITING
        if request.more_body and not request.response_started:
            return Stage.READING
        return Stage.ANSWERING

    def check(self, now: float) -> None:
        """Close the connection if its time is over."""
        limits = self.register.limits
        self._wire.note(now)
        if self.transport.is_closing():
            if now - self.since > limits.linger_seconds:
                self._wire.end()
        elif self.stage is Stage.WAITING:
            # A connection that is kept after an answer has uvicorn's timer until it sends a byte.
            if self.timeout_keep_alive_task is None and now - self.since > limits.head_seconds:
                if self._has_head_bytes:
                    self._refuse(408, "The request's headers did not arrive in time.")
                self.end()
        elif self._wire.is_stalled:
            self.end()

    def end(self) -> None:
        """Close the connection at once."""
        self._wire.abort_if_open()

    # What asyncio and uvicorn call

    def connection_made(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, transport: asyncio.Transport
    ) -> None:
        """Take a new connection, or refuse it if there is no place."""
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES  # pyright: ignore[reportAttributeAccessIssue]
        self._wire = Wire(transport, self)
        super().connection_made(cast(asyncio.Transport, self._wire))
        self.address = self.client[0] if self.client else ""
        if not self.register.admit(self):
            self._refuse(503, "The server has as many connections as it can. Try again.")
            self._wire.close_now()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.register.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent, in pieces that limit what is parsed as headers."""
        request = self._request
        if not self._has_head_bytes and (request is None or request.response_complete):
            self._has_head_bytes = True
            if request is not None:  # the first request's time runs from the connection
                self.since = self.loop.time()
        for start in range(0, len(data), HEAD_BYTES):
            if self.transport.is_closing():
                return  # the rest of a refused body
            super().data_received(data[start : start + HEAD_BYTES])
        self.register.note(self)

    def eof_received(self) -> None:
        """Close a connection whose client has sent its last byte, once it is answered."""
        if self.transport.is_closing():
            self._wire.close_now()

    def on_response_complete(self) -> None:
        """Wait for the next request; close the connection if this one's body was not read."""
        self.since = self.loop.time()
        self._has_head_bytes = False
        is_unread = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        if is_unread and self._declared_length() > _SMALL_REST:
            self.transport.close()
        self.register.note(self)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed, in the API's error shape."""
        error = sys.exc_info()[1]
        status = getattr(error, "error_status_hint", 400)
        self._refuse(status, f"{msg} {error}" if error else msg)

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The request that is being answered, or was answered last."""
        return self.cycle  # uvicorn's type leaves out that there is none at first

    def _should_upgrade(self) -> bool:
        return False  # there are no websockets; the request is answered as it stands

    def _declared_length(self) -> float:
        lengths = [value for name, value in self.headers if name == b"content-length"]
        return int(lengths[0]) if lengths else float("inf")

    def _refuse(self, status: int, message: str) -> None:
        """Send an error and close the connection; only close it if an answer has begun."""
        request = self._request
        if request is not None and not request.response_complete:
            request.disconnected = True
            request.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(error_body(status, message, code=_CODES.get(status))).encode()
            headers: Mapping[str, str] = {
                "content-type": "application/json",
                "content-length": str(len(body)),
                "connection": "close",
            }
            reason = STATUS_PHRASES[status]
            for event in (
                h11.Response(status_code=status, headers=list(headers.items()), reason=reason),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self._wire.write(self.conn.send(event) or b"")
        self.transport.close()


class Wire:
    """A transport whose `close` lets the client read the answer to a request it still sends.

    Closing a socket with unread bytes resets the connection, and the client may lose the answer.
    So only the server's side is closed at first, and what arrives is thrown away for a moment.
    """

    def __init__(self, transport: asyncio.Transport, owner: BoundedHttpProtocol) -> None:
        self._transport = transport
        self._owner = owner
        self._is_lingering = False
        self._written = 0
        limits = owner.register.limits
        self._least = Pace(limits.least_bytes_per_second, limits.stalled_seconds)
        self._usual = Pace(limits.slow_bytes_per_second, limits.slow_seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes, and count them."""
        self._written += len(data)
        if not self._is_lingering:
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Return True if nothing more is sent."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close the server's side; the whole connection if the client has nothing left to send."""
        if self.is_closing():
            return
        states = (h11.SEND_BODY, h11.ERROR)
        if self._owner.conn.their_state in states and self._transport.can_write_eof():
            self._is_lingering = True
            self._owner.since = self._owner.loop.time()
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()

    def close_now(self) -> None:
        """Close both sides once everything is sent."""
        self._is_lingering = True
        self._transport.close()

    def abort_if_open(self) -> None:
        """Close both sides without sending what is left."""
        self._is_lingering = True
        self._transport.abort()

    @property
    def has_unsent(self) -> bool:
        """True if the system has not taken all of the answer yet."""
        return bool(self._transport.get_write_buffer_size())

    @property
    def is_stalled(self) -> bool:
        """True if the client takes so little of what there is that it is given up."""
        return self._least.is_behind

    @property
    def is_slow(self) -> bool:
        """True if the client takes so little of what there is that it gives way to others."""
        return self._usual.is_behind

    def note(self, now: float) -> None:
        """Note what the client has taken until now."""
        waiting = self._transport.get_write_buffer_size()
        if not waiting:
            self._least.rest()
            self._usual.rest()
            return
        taken = self._written - waiting - self._unacknowledged()
        self._least.note(taken, now)
        self._usual.note(taken, now)

    def end(self) -> None:
        """End a closing connection, unless the client is still taking the answer."""
        if not self.has_unsent or self.is_stalled:
            self._transport.abort()

    def _unacknowledged(self) -> int:
        """Return the bytes that the system holds for the client.

        It takes more from us only once a good part of them is gone, which can be megabytes.
        """
        count = bytearray(4)
        with suppress(OSError):  # a system without it; what it holds then counts as taken
            ioctl(self._transport.get_extra_info("socket").fileno(), TIOCOUTQ, count)
        return int.from_bytes(count, sys.byteorder)
