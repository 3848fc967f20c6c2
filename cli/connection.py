"""The server that a command talks to: the one named, one that runs, or one of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cli import show
from cli.client import Client, Unreachable, client_of
from cli.configuration import read_settings, warn_of_unknown_variables
from cli.own_server import own_server

if TYPE_CHECKING:
    from server.settings import Settings

_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@contextmanager
def connect(url: str | None) -> Generator[Client]:
    """Yield a client of a server that has loaded its models.

    Args:
        url: The server's address. None: the server at the settings' host and port, or, if none runs
            there, a server of the command's own for as long as the context lasts.

    Raises:
        CommandFailed: No server answers, and none can be started.
    """
    with ExitStack() as stack:
        if url is not None:
            client = stack.enter_context(client_of(url))
            _wait_loaded(client)
            yield client
            return
        settings = read_settings()
        warn_of_unknown_variables()
        address = _address(settings)
        client = stack.enter_context(client_of(address, is_local=True))
        if _is_running(client):
            _wait_loaded(client)
        else:
            from server.start_checks import check_data_dir, say_waiting
            from server.storage.private_files import private

            with private():
                check_data_dir(settings.data_dir, on_wait=say_waiting)
            log = settings.data_dir / "server.log"
            show.note(f"No server at {address}: starting one for this command (log: {log}).")
            with show.spinner("Starting the server …"):
                client = stack.enter_context(own_server(settings.data_dir, log))
        yield client


def _address(settings: Settings) -> str:
    host = _LOOPBACK_OF.get(str(settings.host), str(settings.host))
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _is_running(client: Client) -> bool:
    try:
        return client.state() is not None
    except Unreachable as error:
        # The server may be too busy to answer: a second one must not run on the same data.
        if error.timed_out:
            raise
        return False


def _wait_loaded(client: Client) -> None:
    with show.spinner("The server is loading its model …"):
        client.wait_loaded()
