"""Which server a command asks: the one named, the one that is there, or one of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cli import show
from cli.client import Client, Unreachable, client_of
from cli.configuration import read_settings
from cli.own_server import own_server

if TYPE_CHECKING:
    from server.settings import Settings

_OF_ALL_INTERFACES = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@contextmanager
def connected(url: str | None) -> Generator[Client]:
    """A client of a server that has loaded its models.

    Args:
        url: the server that was named; None: the one at the settings' host and port, or if none is
            there, one for as long as this lasts.

    Raises:
        CommandFailed: none answers, and none can be started.
    """
    with ExitStack() as stack:
        if url is not None:
            client = stack.enter_context(client_of(url))
            _wait_loaded(client)
            yield client
            return
        settings = read_settings()
        address = _address(settings)
        client = stack.enter_context(client_of(address, is_local=True))
        if _is_there(client):
            _wait_loaded(client)
        else:
            log = settings.data_dir / "server.log"
            show.note(f"No server at {address}: starting one for this command (log: {log}).")
            with show.waiting("Starting the server …"):
                client = stack.enter_context(own_server(settings.data_dir, log))
        yield client


def _address(settings: Settings) -> str:
    host = _OF_ALL_INTERFACES.get(str(settings.host), str(settings.host))
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _is_there(client: Client) -> bool:
    try:
        return client.state() is not None
    except Unreachable as error:
        # One that is too busy to answer must not get a second one beside it, on the same data.
        if error.is_silent:
            raise
        return False


def _wait_loaded(client: Client) -> None:
    with show.waiting("The server is loading its model …"):
        client.wait_loaded()
