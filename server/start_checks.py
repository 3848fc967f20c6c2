"""Checks before a server starts: its settings, its data directory, its address.

BentoML's parent process makes them before it opens the port, so that a server that cannot start is
one line on stderr and exit status 1. In a worker the same fault would end one worker after another.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import click
from pydantic import ValidationError

from encoders import PalimpsestError
from server.storage.lock import DataLock, Holder

_SECRET = ("PALIMPSEST_DATABASE",)
"""Settings whose value is not shown: it has a password."""
_CREDENTIALS = re.compile(r"(?<=//)[^/]*@|(?<=\?).*")
"""Parts of a URL that may be credentials: the login before the host, and the query."""
_PORT_GRACE_S = 2.0
"""Time that a port in use gets to be closed: its server may be ending just now."""


class StartRefused(PalimpsestError):
    """The server cannot start; the message says why, and what to do."""

    code = "start_refused"


@contextmanager
def one_line() -> Generator[None]:
    """Turn errors that are meant for the operator into click's: one line, and exit status 1."""
    try:
        yield
    except ValidationError as error:
        raise click.ClickException(setting_error(error)) from error
    except (PalimpsestError, ValueError) as error:  # ValueError: a keys file that cannot be used
        raise click.ClickException(" ".join(str(error).split())) from error


def setting_error(error: ValidationError) -> str:
    """Return one sentence about the first setting that cannot be used."""
    first = error.errors()[0]
    name = "_".join(str(part) for part in first["loc"][:1]).upper()
    name = name if name.startswith("PALIMPSEST_") else f"PALIMPSEST_{name}"
    message = first["msg"].removeprefix("Value error, ")
    value = _CREDENTIALS.sub("…", str(first["input"]))
    given = "" if name in _SECRET else f" (it is {value[:80]!r})"
    return f"{name} cannot be used: {message}{given}."


def check_data_dir(data_dir: Path, *, on_wait: Callable[[Holder], None] | None = None) -> None:
    """Check that a server can use this data directory. It is created if it is absent.

    In one that was never a server's, and is not empty, nothing is changed.

    Args:
        data_dir: The directory.
        on_wait: Called if another server that is stopping holds it, before it is waited for.

    Raises:
        StartRefused: It cannot be created or written.
        ForeignDirectory: It is another program's, or a person's.
        DataInUse: Another server holds it.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        DataLock(data_dir).probe(on_wait)
        _check_writable(data_dir)
    except OSError as error:
        verb = "written" if data_dir.is_dir() else "made"
        raise StartRefused(
            f"The data directory {data_dir} cannot be {verb}: {_reason(error)}. Let this user "
            "write there, or set PALIMPSEST_DATA_DIR to another directory."
        ) from error


def check_address(host: str, port: int) -> None:
    """Check that a server can listen at this address, by doing so for a moment.

    Raises:
        StartRefused: It cannot.
    """
    if not 0 <= port <= 65535:
        raise StartRefused(
            f"Port {port} does not exist: set PALIMPSEST_PORT or --port to one from 1 to 65535."
        )
    try:
        ip = ipaddress.ip_address(host)
    except ValueError as error:
        raise StartRefused(
            f"The host {host!r} is not an IP address: set PALIMPSEST_HOST or --host to one, such "
            "as 127.0.0.1."
        ) from error
    give_up = time.monotonic() + _PORT_GRACE_S
    while (error := _listen_error(ip.version, host, port)) is not None:
        if error.errno != errno.EADDRINUSE:
            raise StartRefused(
                f"The server cannot listen on {host}, port {port}: {_reason(error)}. Set "
                "PALIMPSEST_HOST (or --host) to an address of this machine, and PALIMPSEST_PORT "
                "(or --port) to a port that this user may open."
            ) from error
        if time.monotonic() > give_up:
            raise StartRefused(
                f"Port {port} of {host} is in use by another program: stop that one, or set "
                "PALIMPSEST_PORT (or --port) to another port."
            ) from error
        time.sleep(0.1)


def say_waiting(holder: Holder) -> None:
    """Write to stderr that a server which is stopping is waited for."""
    print(f"Waiting for {holder} to stop …", file=sys.stderr, flush=True)


def _check_writable(data_dir: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=data_dir).close()
    except OSError as error:
        # A full disk is no reason not to start: what is stored can be read, and deleted.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _listen_error(version: int, host: str, port: int) -> OSError | None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        with socket.socket(family) as probe:
            # As BentoML opens it: connections of an earlier server may still be closing.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except OSError as error:
        return error
    return None


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
