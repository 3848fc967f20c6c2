"""A client of the server's HTTP API, in which all that goes wrong is one kind of exception."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import quote

import httpx

from cli.errors import CommandFailed

KEY_VARIABLE = "PALIMPSEST_API_KEY"
State = Literal["ready", "loading", "load_failed"]

_LOOK_EVERY_S = 0.25
_TIMEOUT = httpx.Timeout(60, connect=5)
_WHAT_TO_DO = {
    "invalid_api_key": f"Set {KEY_VARIABLE} to a key of this server.",
    "encoder_not_found": "`palimpsest encoders list` shows which there are.",
    "alias_not_found": "`palimpsest encoders list` shows which there are.",
}


class Unreachable(CommandFailed):
    """Nobody answers at the server's address.

    `is_silent`: somebody took the request, and did not answer in time.
    """

    def __init__(self, message: str, *, is_silent: bool) -> None:
        super().__init__(message)
        self.is_silent = is_silent


class Refused(CommandFailed):
    """The server answered with an error."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """Asks one server, with the key in `PALIMPSEST_API_KEY` if there is one.

    Args:
        url: the server's address.
        is_local: no proxy is asked for it.
    """

    def __init__(self, url: str, *, is_local: bool = False) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            headers=_authorization(), timeout=_TIMEOUT, trust_env=not is_local
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """The JSON at a path. This and the others raise Refused, Unreachable."""
        return self._object(self._send("GET", path, params=query))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a POST of JSON."""
        return self._object(self._send("POST", path, json=body))

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a PUT of JSON."""
        return self._object(self._send("PUT", path, json=body))

    def delete(self, path: str) -> dict[str, Any]:
        """The answer to a DELETE."""
        return self._object(self._send("DELETE", path))

    def download(self, path: str, **query: str) -> bytes:
        """The bytes at a path."""
        return self._send("GET", path, params=query).content

    def pages(self, path: str) -> Generator[dict[str, Any]]:
        """Every object of a list, page after page."""
        query: dict[str, str | int] = {"limit": 100}
        while True:
            page = self.get(path, **query)
            yield from page["data"]
            if not page["has_more"]:
                return
            query["after"] = page["last_id"]

    def state(self) -> State | None:
        """How far the server is; None if what answers is no Palimpsest. Raises Unreachable."""
        response = self._exchange("GET", "/health")
        said = _json(response)
        if response.is_success:
            return "ready" if said.get("status") == "ready" else None
        code = _error(said).get("code")
        return code if code in ("loading", "load_failed") else None

    def wait_loaded(self) -> None:
        """Return once the server no longer says that it is loading. Raises Unreachable."""
        while self.state() == "loading":
            time.sleep(_LOOK_EVERY_S)

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        response = self._exchange(method, path, **request)
        if response.is_success:
            return response
        error = _error(_json(response))
        if not error:
            raise self._strange(f"status {response.status_code}")
        code = error.get("code")
        message = str(error.get("message"))
        raise Refused(" ".join(filter(None, (message, _WHAT_TO_DO.get(code or "")))), code)

    def _exchange(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._http.request(method, self.url + path, **request)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(
                f"No server answers at {self.url} ({error or type(error).__name__}): start one "
                "with `palimpsest serve`, or name another with --server.",
                is_silent=isinstance(error, httpx.ReadTimeout),
            ) from error
        except ValueError as error:  # a NaN, or bytes that are no text
            raise CommandFailed(f"The request cannot be written as JSON: {error}.") from error

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        document = _json(response)
        if not document:
            raise self._strange("no JSON object")
        return document

    def _strange(self, what: str) -> Refused:
        return Refused(f"{self.url} answers with {what}: is that a Palimpsest server's address?")


def at(*parts: str) -> str:
    """A path below `/v1`, whatever is in its parts."""
    return "/".join(["/v1", *(quote(part, safe="") for part in parts)])


@contextmanager
def client_of(url: str, *, is_local: bool = False) -> Generator[Client]:
    """A client, closed at the end."""
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
    """The JSON object of an answer; an empty one if it has none."""
    try:
        document: Any = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _error(document: dict[str, Any]) -> dict[str, Any]:
    error: Any = document.get("error")
    return error if isinstance(error, dict) else {}
