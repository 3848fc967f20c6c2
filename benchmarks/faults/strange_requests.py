"""Malformed requests, drawn at random: strange values, bodies, headers, ids, and broken HTTP."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, -(2**70), 1e308, 0.1),
    *("", " ", "a", "base", "no-pogo", "starter:no-pogo", "../../etc/passwd", "a\x00b"),
    *("💥" * 300, "\u202e", "\ud800", "\uff42ase", "'; drop table videos; --"),
    *("NaN", "1e999", "9" * 5000, "0x0", "64x64", "1x99999", "١٢", "data:image/png;base64,AAAA"),
    *([], [[]], ["a"] * 300, {}, {"a": {"b": []}}, {"steps": None}, {"layers": ["("]}),
    *({"layers": "*"}, {"retain": [1]}, {"learning_rate": -1}, {"id": "video_x"}),
)
"""Values of a field."""
FIELDS = (
    *("prompt", "model", "encoder", "negative_prompt", "seed", "steps", "num_inference_steps"),
    *("guidance", "guidance_scale", "frames", "num_frames", "fps", "seconds", "size"),
    *("input_reference", "id", "concept", "concepts", "kind", "synonyms", "settings", "gate"),
    *("gate[max_probes]", "images", "images[]", "settings[steps]", "settings[]", "synonyms[x]"),
    *("settings[a][b]", "expires_after", "parent", "judge", "unknown", "", "__proto__", "é"),
)
PATHS = (
    *("/v1/videos", "/v1/encoders", "/v1/aliases/x", "/v1/aliases/%00", "/v1/videos/%ff"),
    *("/v1/videos/x/content", "/v1/encoders/..", "/v1/encoders/no-pogo/report"),
    *("/v1/encoders/no-pogo/report/..%2fcard.json", "/v1/encoders/%2e%2e%2fbase"),
    *("/v1/models/starter%3Ano-pogo", "/v1/models/%F0%9F%92%A5", "/v1/aliases", "/v1/models"),
    *("/health", "/metrics", "/", "/docs", "/openapi.json", "/v1/videos/x/remix", "/v1", "//"),
    *("/v1/videos/", "/V1/VIDEOS", "/v1//videos", "/v1/videos/%2e%2e/models", "/v1/%76ideos"),
    *("/%", "/%zz", "/v1/videos;a=b", "/v1/videos/%0d%0aX:1", "/" + "a" * 5000, "/static/../.."),
)
IDS = (
    *("x", "video_" + "0" * 32, "no-pogo", "base", "..", "%2e%2e", "%2e%2e%2fbase", "%00", "%ff"),
    *("%F0%9F%92%A5", "a" * 300, "NO-POGO", "no-pogo%20", "%0a", "*", "'", "%22", "a%3Ab"),
    *("CON", "-", ".", "_", "%c0%af", "%u0041", "1e9", "NaN", "null", "card.json"),
)
"""Values of a path's parameter, already encoded."""
METHODS = (
    *("POST",) * 6,
    *("GET",) * 3,
    *("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW", "get", "PROPFIND"),
)
_FORM, _URLENCODED = "multipart/form-data", "application/x-www-form-urlencoded"
TYPES = (
    *("application/json", f"{_FORM}; boundary=x", _FORM, f"{_FORM}; boundary=", _URLENCODED),
    *("text/plain", "application/json; charset=utf-16", "", "application/JSON;charset", "a/b"),
    *("application/x-ndjson", "application/json, text/plain", "*/*", "application/json\xe9"),
    *(f"{_URLENCODED}; charset=utf-7", f'{_FORM}; boundary="x', f"{_FORM}; boundary={'y' * 100}"),
)
_PART = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
BODIES = (
    *(b"", b"{", b"[]", b"null", b"0", b'"a"', b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"prompt": NaN}'),
    *(b'{"prompt": "\\ud800"}', b'{"prompt": "a", "seed": 1e400}', b'{"prompt":"a","prompt":"b"}'),
    *(b"[" * 50_000, b'{"a":' * 10_000, b'{"seed": ' + b"9" * 50_000 + b"}", b"{}{}", b"{'a': 1}"),
    *(b"--x\r\n\r\n\r\n--x--", _PART % (b"prompt", b"", b"\xff\xff") + b"--x--\r\n"),
    _PART % (b"images", b'; filename="a"', b"GIF") + b"--x--\r\n",
    _PART % (b"images", b'; filename="../a"', b"\x89PNG\r\n\x1a\n") + b"--x--\r\n",
    _PART % (b"prompt", b"; name*=utf-7''+AA-", b"a") + b"--x--\r\n",
    *(b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n', b"--x--", b"--x"),
    *(b"prompt=%ff&prompt=b&seed[]=1", b"&".join([b"a=1"] * 2000), b"prompt=%", b"=", b"&&;;=&"),
)
QUERIES = (
    *("", "", "", "limit=-1", "limit=x", "limit=" + "9" * 500, "after=%00", "order=up", "limit="),
    *("variant=%F0%9F%8E%AC", "format=pdf", "format=zip", "limit=1&limit=2", "%ff=%fe", "a[]=1"),
    *("after=video_x", "status=done", "=", "&&", "?", "encoder=base", "q=" + "a" * 3000),
)
HEADERS: tuple[tuple[str, str], ...] = (
    *(("Range", "bytes=5-1"), ("Range", "bytes=" + "0-0," * 500), ("Range", "lines=1-2")),
    *(("Range", "bytes=-" + "9" * 50), ("If-Range", "x"), ("If-None-Match", 'W/"", *')),
    *(("If-Modified-Since", "yesterday"), ("Accept", ";;q=x,*/*;q=,,/"), ("Accept", "")),
    *(("Idempotency-Key", ""), ("Idempotency-Key", "k" * 300), ("Idempotency-Key", "\xff")),
    *(("Authorization", "Bearer \x7f"), ("Authorization", "Basic eA=="), ("Authorization", "")),
    *(("Origin", "null"), ("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=_x;host=")),
    *(("X-Request-Id", "\xe9" * 300), ("traceparent", "00-0-0-zz"), ("Cookie", "a=" * 50)),
    *(("Last-Event-ID", "-1"), ("Content-Encoding", "gzip"), ("Content-Encoding", "br, x")),
    *(("Accept-Encoding", "gzip;q=2"), ("Upgrade", "websocket"), ("X-HTTP-Method-Override", "PUT")),
)

Target = tuple[str, str]
"""A method and a path."""


@dataclass(frozen=True)
class StrangeRequest:
    """A request whose parts HTTP allows, although the API may not."""

    method: str
    target: str
    """Path and query, as they are sent."""
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def raw(self, host: str) -> bytes:
        """Return the request as bytes, for a connection that is closed after it."""
        sent = [("Host", host), *self.headers, ("Connection", "close")]
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            sent.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{n}: {v}" for n, v in sent), "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body

    def arguments(self) -> dict[str, Any]:
        """Return the request as arguments of httpx's `Client.request`."""
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self.headers]
        sent = {"method": self.method, "url": self.target, "headers": headers}
        return {**sent, "content": self.body}


class StrangeRequests:
    """A stream of malformed requests; the same seed gives the same ones.

    Args:
        seed: the seed.
        document: the API's OpenAPI document: half of the requests go to its paths.
    """

    def __init__(self, seed: int, document: dict[str, Any]) -> None:
        self._draw = random.Random(seed)
        self._targets: Sequence[Target] = [
            (method.upper(), path) for path, item in document["paths"].items() for method in item
        ]

    def draw(self) -> StrangeRequest:
        """Draw a request: strange values in known fields, or a body without fields."""
        draw = self._draw
        method, path = self._target()
        if query := draw.choice(QUERIES):
            path += f"?{query}"
        headers = [draw.choice(HEADERS) for _ in range(draw.choice((0, 0, 0, 1, 2)))]
        kind, body = None, b""
        if method in ("POST", "PUT", "PATCH") or draw.random() < 0.2:
            kind, body = self._body()
        if kind is not None:
            headers.append(("Content-Type", kind))
        return StrangeRequest(method, path, tuple(headers), body)

    def draw_broken_http(self, host: str) -> bytes:
        """Draw bytes that are no HTTP request, or one cut off; the connection ends after them."""
        whole = self.draw().raw(host)
        head, _, body = whole.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        broken = (
            lambda: whole[: self._draw.randrange(1, len(whole))],
            lambda: self._draw.randbytes(self._draw.randint(1, 300)) + b"\r\n\r\n",
            lambda: whole.replace(b"HTTP/1.1", b"HTTP/9.9", 1),
            lambda: whole.replace(b" ", b"", 1),
            lambda: b"\r\n".join([first, *lines[1:]]) + b"\r\n\r\n" + body,  # no Host
            lambda: b"\r\n".join([first, lines[0], *lines]) + b"\r\n\r\n" + body,  # two
            lambda: b"\r\n".join([first, b"Content-Length: 5", *lines]) + b"\r\n\r\n" + body,
            lambda: b"\r\n".join([first, b"Content-Length: -1", *lines]) + b"\r\n\r\n" + body,
            lambda: b"\r\n".join([first, b"Transfer-Encoding: chunked", *lines]) + b"\r\n\r\nzz",
            lambda: b"\r\n".join([first, b"Bad Name: x", *lines]) + b"\r\n\r\n" + body,
            lambda: b"\r\n".join([first, b"X: " + b"a" * 100_000, *lines]) + b"\r\n\r\n",
            lambda: b"\r\n".join([first, *([b"X: a"] * 3000), *lines]) + b"\r\n\r\n" + body,
            lambda: b"\r\n".join([first, b"X: a\x00b", *lines]) + b"\r\n\r\n" + body,
            lambda: b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),  # TLS
        )
        return self._draw.choice(broken)()

    def _target(self) -> Target:
        draw = self._draw
        if draw.random() < 0.5:
            return draw.choice(METHODS), draw.choice(PATHS)
        method, path = draw.choice(self._targets)
        if draw.random() < 0.3:
            method = draw.choice(METHODS)
        return method, re.sub(r"\{\w+\}", lambda _: draw.choice(IDS), path)

    def _body(self) -> tuple[str | None, bytes]:
        """Draw a content type and a body, which may belong together."""
        draw = self._draw
        fields = {name: draw.choice(STRANGE) for name in draw.sample(FIELDS, draw.randint(0, 6))}
        if draw.random() < 0.5:
            proper = {"prompt": "a"} if draw.random() < 0.5 else {"concept": "pogo"}
            fields = {**proper, **fields}
        shape = draw.random()
        if shape < 0.4:
            return "application/json", json.dumps(fields).encode()
        if shape < 0.6:
            parts = [
                _PART
                % (
                    name.replace('"', "%22").encode(),
                    b"" if draw.random() < 0.8 else b'; filename="f"',
                    _text(value),
                )
                for name, value in fields.items()
            ]
            return "multipart/form-data; boundary=x", b"".join(parts) + b"--x--\r\n"
        if shape < 0.7:
            pairs = [quote(name) + "=" + quote(_text(value)) for name, value in fields.items()]
            return "application/x-www-form-urlencoded", "&".join(pairs).encode()
        if shape < 0.75:
            return None, draw.choice(BODIES)
        return draw.choice(TYPES), draw.choice(BODIES)


def _text(value: Any) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")
