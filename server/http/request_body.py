"""The body of one request, read within limits and only when the app asks for it.

The guard gives the app this `receive` in place of the server's. So nothing is read before the key
is known, nothing for a route that does not exist, and every app behind the guard has the same
limits. A small body is read whole and its fields are counted before the app parses it. A large one
is passed on in pieces.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from encoders.errors import PalimpsestError
from server.errors import (
    BodyTooLarge,
    InvalidRequest,
    RequestTimeout,
    ServerBusy,
    UnsupportedMediaType,
)
from server.http.body_limits import BodyLimits, BodySlots
from server.http.field_count import check_fields

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
_CLOSE = {"Connection": "close"}


class RequestBody:
    """The body of one request, as an async context for the time that the app needs it.

    At its end the context raises the error of a refused body, whatever the app made of it.

    Args:
        scope: the request.
        receive: the server's.
        limits: sizes and times.
        is_public: the path needs no key, so nothing is read.
        slots: places for a large body; None: the caller may send none here.
        key: id of the caller's key, which has places of its own.

    Raises:
        InvalidRequest: Content-Length is no number.
        BodyTooLarge: the declared length is over the limit, or this request takes no body.
        UnsupportedMediaType: the body is compressed.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        limits: BodyLimits,
        *,
        is_public: bool,
        slots: BodySlots | None,
        key: str = "",
    ) -> None:
        self._headers = Headers(scope=scope)
        self._receive = receive
        self._limits = limits
        self._started: float | None = None
        self._received = 0
        self._complete = False
        self._is_answered = False
        self._slots = slots
        self._key = key
        self._holds_slot = False
        self.refused: PalimpsestError | None = None
        """The error that ended the reading. The app may have turned it into another."""
        takes_none = is_public or scope["method"] in _WITHOUT_BODY
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        self._is_large = slots is not None and kind == "multipart/form-data"
        self._most = limits.most(takes_none=takes_none, large=self._is_large)
        self._is_empty = self._check_declared(scope["method"], takes_none)

    def _check_declared(self, method: str, takes_none: bool) -> bool:
        """Check what the headers say of the body. Return True if there is none."""
        lengths = self._headers.getlist("content-length")
        declared = lengths[0] if lengths else "0"
        if not (declared.isascii() and declared.isdigit()) or len(set(lengths)) > 1:
            raise InvalidRequest(f"Content-Length {declared[:40]!r} is not a number.")
        if len(declared) > 18 or int(declared) > self._most or "transfer-encoding" in self._headers:
            if takes_none:
                raise BodyTooLarge(
                    f"A body is not read here: send {method} without one.",
                    code="body_not_taken",
                    headers=_CLOSE,
                )
            if "transfer-encoding" not in self._headers:
                raise self._too_large()
        encoding = self._headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise UnsupportedMediaType(
                f"Content-Encoding {encoding[:40]!r} is not read: send the body as it is.",
                headers=_CLOSE,
            )
        return takes_none

    async def __aenter__(self) -> RequestBody:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._holds_slot and self._slots is not None:
            self._holds_slot = False
            self._slots.release(self._key)
        if self.refused is not None and (error is None or isinstance(error, Exception)):
            raise self.refused from None

    def guarded(self, send: Send) -> Send:
        """Return a `send` that drops the app's answer to a refused body: the guard answers."""

        async def answer(message: Message) -> None:
            if self.refused is None:
                self._is_answered = True
                await send(message)

        return answer

    async def receive(self) -> Message:
        """Return the app's next message: the body, then the end of the connection.

        Raises:
            PalimpsestError: the body was refused; also in `refused`.
        """
        if self._is_empty or self._complete or self._is_answered:
            return await self._receive()
        try:
            return await (self._next_piece() if self._is_large else self._whole())
        except PalimpsestError as error:
            self.refused = error
            raise

    async def _whole(self) -> Message:
        pieces: list[bytes] = []
        while not self._complete:
            pieces.append(await self._read())
        body = b"".join(pieces)
        check_fields(body, self._headers.get("content-type", ""), self._limits.fields)
        return {"type": "http.request", "body": body, "more_body": False}

    async def _next_piece(self) -> Message:
        if not self._holds_slot and self._slots is not None:
            await self._take_slot(self._slots)
        piece = await self._read()
        return {"type": "http.request", "body": piece, "more_body": not self._complete}

    async def _take_slot(self, slots: BodySlots) -> None:
        try:
            async with asyncio.timeout(self._limits.slot_seconds):
                await slots.acquire(self._key)
        except TimeoutError:
            raise ServerBusy(
                "Other large bodies are being read. Send this one again in a moment.",
                headers={**_CLOSE, "Retry-After": "5"},
            ) from None
        self._holds_slot = True

    async def _read(self) -> bytes:
        """Return the next bytes. Raise RequestTimeout, BodyTooLarge or InvalidRequest."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        allowed = self._limits.seconds_for(self._received) - (now - self._started)
        try:
            async with asyncio.timeout(max(allowed, 0.001)):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                f"The body did not arrive in time: {self._received} bytes in "
                f"{time.monotonic() - self._started:.0f} seconds.",
                headers=_CLOSE,
            ) from None
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The client closed the connection in the middle of its request.")
        piece: bytes = message.get("body", b"")
        self._received += len(piece)
        self._complete = not message.get("more_body", False)
        if self._received > self._most:
            raise self._too_large()
        return piece

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The body is larger than the {self._most} bytes that are read here.", headers=_CLOSE
        )
