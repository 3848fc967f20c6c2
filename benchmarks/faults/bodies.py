"""Bodies that are large or slow to parse, each for a route that might read it."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

SIZE = 31 << 20
"""Bytes of a body: just below what images may take."""


@dataclass(frozen=True)
class Body:
    """A body, and where it is sent."""

    path: str
    content_type: str
    make: Callable[[], bytes]

    def send(self, url: str, key: str, made: bytes) -> str:
        """Send the body, and return the answer's status; or how the connection was closed."""
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        headers = {"Content-Type": self.content_type, "Authorization": f"Bearer {key}"}
        # The server may answer, and close, before it has read everything.
        with contextlib.suppress(OSError):
            connection.request("POST", self.path, made, headers)
        try:
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()


def _filled(before: bytes, piece: Callable[[int], bytes], after: bytes, size: int = SIZE) -> bytes:
    pieces: list[bytes] = []
    length = number = 0
    while length < size:
        pieces.append(piece(number))
        length += len(pieces[-1]) + 1
        number += 1
    return before + b",".join(pieces) + after


def _members(size: int = SIZE) -> bytes:
    return _filled(b"{", lambda i: b'"%x":0' % i, b"}", size)


_JSON, _FORM, _PARTS = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
)
_PART = b'--x\r\nContent-Disposition: form-data; name="p"\r\n\r\na\r\n'

BODIES = {
    "unknown fields": Body("/v1/videos", _JSON, _members),
    "unknown fields, 900 KB": Body("/v1/videos", _JSON, lambda: _members(900_000)),
    "unknown fields, 60 KB": Body("/v1/videos", _JSON, lambda: _members(60_000)),
    "a list as the prompt": Body(
        "/v1/videos", _JSON, lambda: _filled(b'{"prompt":[', lambda _: b"0", b"]}")
    ),
    "a list of lists": Body(
        "/v1/videos", _JSON, lambda: _filled(b'{"input_reference":[', lambda _: b"[]", b"]}")
    ),
    "deep lists": Body("/v1/videos", _JSON, lambda: b"[" * SIZE),
    "a number of 31 MB": Body("/v1/videos", _JSON, lambda: b'{"seed":' + b"9" * SIZE + b"}"),
    "a number of 60 KB": Body("/v1/videos", _JSON, lambda: b'{"seed":' + b"9" * 60_000 + b"}"),
    "ampersands": Body("/v1/videos", _FORM, lambda: b"&" * SIZE),
    "60 KB of ampersands": Body("/v1/videos", _FORM, lambda: b"&" * 60_000),
    "pairs": Body("/v1/videos", _FORM, lambda: b"a=b&" * (SIZE // 4)),
    "half boundaries": Body(
        "/v1/videos",
        _PARTS,
        lambda: (
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n'
            + b"\r\n--" * (SIZE // 4)
            + b"\r\n--x--\r\n"
        ),
    ),
    "a long boundary": Body(
        "/v1/videos", "multipart/form-data; boundary=" + "-" * 200, lambda: b"-" * SIZE
    ),
    "many parts": Body("/v1/encoders", _PARTS, lambda: _PART * (SIZE // 55) + b"--x--\r\n"),
    "headers of a part": Body(
        "/v1/encoders", _PARTS, lambda: b"--x\r\n" + b"A: b\r\n" * (SIZE // 6)
    ),
    "settings": Body(
        "/v1/encoders",
        _JSON,
        lambda: _filled(
            b'{"concept":"pogo","kind":"character","settings":{', lambda i: b'"%x":0' % i, b"}}"
        ),
    ),
    "generate: unknown fields": Body("/generate", _JSON, _members),
    "generate: many parts": Body("/generate", _PARTS, lambda: _PART * (SIZE // 55) + b"--x--\r\n"),
    "generate: pairs": Body("/generate", _FORM, lambda: b"a=b&" * (SIZE // 4)),
    "a body for a page": Body("/docs", _JSON, lambda: b"a" * SIZE),
    "a body for no route": Body("/v1/nothing", _JSON, lambda: b"a" * SIZE),
}
