"""A client of the server's HTTP API; every failure is a `CommandFailed`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import quote

import httpx

from cli.errors import CommandFailed

KEY_VARIABLE = "PALIMPSEST_API_KEY"
State = Literal["ready", "loading", "load_failed"]

_POLL_INTERVAL_S = 0.25
_TIMEOUT = httpx.Timeout(60, connect=5)
_REMEDIES = {
    "invalid_api_key": f"Set {KEY_VARIABLE} to a key of this server.",
    "encoder_not_found": "`palimpsest encoders list` shows which there are.",
    "alias_not_found": "`palimpsest encoders list` shows which there are.",
}


class Unreachable(CommandFailed):
    """Error: no server answers at the address.

    Attributes:
        timed_out: A server accepted the request, but did not answer in time.
    """

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Refused(CommandFailed):
    """The server answered with an error."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """A client of one server, with the key in `PALIMPSEST_API_KEY` if it is set.

    Its methods raise Refused and Unreachable.

    Args:
        url: The server's address.
        is_local: True to use no proxy.
    """

    def __init__(self, url: str, *, is_local: bool = False) -> None:
        # The address of the API, `…/v1`, is what OpenAI's client takes, so it is at hand.
        self.url = url.rstrip("/").removesuffix("/v1").rstrip("/")
        self._http = httpx.Client(
            headers=_authorization(), timeout=_TIMEOUT, trust_env=not is_local
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Return the JSON object at a path."""
        return self._object(self._send("GET", path, params=query))

    def post(self, path: str, body: dict[str, Any], *, waits: bool = False) -> dict[str, Any]:
        """Send JSON by POST, and return the answer's; `waits` for as long as the server works."""
        timeout = httpx.Timeout(None, connect=_TIMEOUT.connect) if waits else _TIMEOUT
        return self._object(self._send("POST", path, json=body, timeout=timeout))

    def post_form(
        self, path: str, body: dict[str, Any], files: Sequence[tuple[str, bytes]]
    ) -> dict[str, Any]:
        """Send a form by POST: a body as `post` takes it, and files (name, content) as `images`."""
        fields: dict[str, Any] = {}
        for name, value in body.items():
            if isinstance(value, list):
                fields[f"{name}[]"] = value
            else:
                fields[name] = value if isinstance(value, str) else json.dumps(value)
        parts = [
            ("images[]", (name, content, "application/octet-stream")) for name, content in files
        ]
        return self._object(self._send("POST", path, data=fields, files=parts))

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send JSON by PUT, and return the answer's."""
        return self._object(self._send("PUT", path, json=body))

    def delete(self, path: str, **query: str) -> dict[str, Any]:
        """Send a DELETE, and return the answer's JSON."""
        return self._object(self._send("DELETE", path, params=query))

    def download(self, path: str, **query: str) -> bytes:
        """Return the bytes at a path."""
        return self._send("GET", path, params=query).content

    def pages(self, path: str, **filters: str) -> Generator[dict[str, Any]]:
        """Yield every object of a list, page after page; `filters` are parameters of the list."""
        query: dict[str, str | int] = {"limit": 100, **filters}
        while True:
            page = self.get(path, **query)
            yield from page["data"]
            if not page["has_more"]:
                return
            query["after"] = page["last_id"]

    def state(self) -> State | None:
        """Return the server's state, or None if it is not Palimpsest. Raises Unreachable."""
        response = self._exchange("GET", "/health")
        body = _json(response)
        if response.is_success:
            return "ready" if body.get("status") == "ready" else None
        code = _error(body).get("code")
        return code if code in ("loading", "load_failed") else None

    def wait_loaded(self) -> None:
        """Return once the server has ended loading. Raises Unreachable."""
        while self.state() == "loading":
            time.sleep(_POLL_INTERVAL_S)

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        response = self._exchange(method, path, **request)
        if response.is_success:
            return response
        error = _error(_json(response))
        if not error:
            raise self._not_palimpsest(f"status {response.status_code}")
        code = error.get("code")
        message = str(error.get("message"))
        raise Refused(" ".join(filter(None, (message, _REMEDIES.get(code or "")))), code)

    def _exchange(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._http.request(method, self.url + path, **request)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(
                f"No server answers at {self.url} ({error or type(error).__name__}): start one "
                "with `palimpsest serve`, or name another with --server.",
                timed_out=isinstance(error, httpx.ReadTimeout),
            ) from error
        except ValueError as error:  # a NaN, or bytes that are not text
            raise CommandFailed(f"The request cannot be written as JSON: {error}.") from error

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        document = _json(response)
        if not document:
            raise self._not_palimpsest("no JSON object")
        return document

    def _not_palimpsest(self, answer: str) -> Refused:
        return Refused(f"{self.url} answers with {answer}: is that a Palimpsest server's address?")


def api_path(*parts: str) -> str:
    """Return a path below `/v1`, with its parts quoted.

    Raises:
        CommandFailed: A part cannot be an id: it would change the path.
    """
    for part in parts:
        if part in ("", ".", "..") or "/" in part:
            raise CommandFailed(f"{part[:80]!r} cannot be an id.")
    return "/".join(["/v1", *(quote(part, safe="") for part in parts)])


@contextmanager
def client_of(url: str, *, is_local: bool = False) -> Generator[Client]:
    """Yield a client, and close it at the end."""
    client = Client(url, is_local=is_local)
    try:
        yield client
    finally:
        client.close()


def _authorization() -> dict[str, str]:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise CommandFailed(f"{KEY_VARIABLE} holds characters that no key has.")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _json(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer; an empty one if it has none."""
    try:
        document: Any = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _error(document: dict[str, Any]) -> dict[str, Any]:
    error: Any = document.get("error")
    return error if isinstance(error, dict) else {}
