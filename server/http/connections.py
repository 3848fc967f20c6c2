"""The open connections of one process: how many there may be, and which one goes for a new one.

A connection that waits for its client costs the client nothing. So it is closed after a while, and
earlier if others need its place: whoever opens many locks out nobody. The same goes for a client
that takes its answer slowly.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from server.http.clients import client_of, is_local
from server.http.stages import ByStage, Stage

log = logging.getLogger(__name__)

_RESERVED_DESCRIPTORS = 40
"""File descriptors that are left for databases, encoders and videos."""
_FEWEST = 8
"""Connections that are allowed however few descriptors there are."""
_TICK_S = 0.5
_CHECKED_AT_ONCE, _BREATH_S = 20, 0.005
"""Connections checked in one go, and the seconds that requests have before the next ones are."""


class Connection(Protocol):
    """A connection, as the register of all sees it."""

    address: str
    """The client's address; empty for a Unix socket."""
    since: float
    """Time of the loop's clock at which its stage began."""

    @property
    def stage(self) -> Stage:
        """The stage that the connection is in."""
        ...

    def check(self, now: float) -> None:
        """Close the connection if its time is over."""
        ...

    def end(self) -> None:
        """Close the connection at once."""
        ...


@dataclass(frozen=True)
class ConnectionLimits:
    """Numbers and times of connections. Times are seconds."""

    most: int = 2000
    """Connections of the process; fewer if it may not open as many files."""
    most_per_address: int = 200
    """Connections of one client: an IPv4 address, or an IPv6 network of 64 bits. Loopback has no
    limit, since a proxy may be there."""
    head_seconds: float = 10.0
    """Time for a request's headers, from the connection or from their first byte."""
    linger_seconds: float = 2.0
    """Time for which the rest of a refused body is thrown away, so that the client reads why."""
    stalled_seconds: float = 60.0
    """Time after which an answer is given up of which the client takes less than the least."""
    least_bytes_per_second: int = 1 << 10
    """Least rate at which an answer has to be taken while there is more of it."""
    slow_seconds: float = 10.0
    """Time after which a client that takes an answer slowly gives way to new ones."""
    slow_bytes_per_second: int = 16 << 10
    """Rate below which a client is slow."""


class Connections:
    """The register of a process's connections."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: dict[Connection, str] = {}  # with the client's name
        self._by_client: dict[str, dict[Connection, None]] = {}
        self._by_stage = ByStage[Connection]()
        self._ticking: asyncio.TimerHandle | None = None
        self.most = limits.most
        """Connections that are allowed now."""
        self.arrived = 0
        """Connections that were ever taken."""

    def __len__(self) -> int:
        return len(self._open)

    def announce(self) -> None:
        """Raise the limit of open files as far as the system lets us, and log what holds."""
        _raise_descriptors(self.limits.most + 1024)
        self._measure()
        log.info(
            "up to %d connections at a time, %d from one client; TLS, limits of requests a second "
            "and floods of connections are a proxy's part (docs/OPERATIONS.md)",
            self.most,
            self.limits.most_per_address,
        )

    def admit(self, connection: Connection) -> bool:
        """Register a connection, and end others that wait if there are too many.

        Returns:
            False if there is no place: all the others are being answered, and take their answers.
        """
        self.arrived += 1
        client = client_of(connection.address)
        self._open[connection] = client
        of_client = self._by_client.setdefault(client, {})
        of_client[connection] = None
        self.note(connection)
        if self._ticking is None:
            self._tick(asyncio.get_running_loop())
        if not is_local(connection.address):
            over = len(of_client) - self.limits.most_per_address
            if over > 0 and not self._end_first(connection, sorted(of_client, key=_precedence)):
                return False
        return len(self._open) <= self.most or self._end_first(
            connection, self._by_stage.giving_way()
        )

    def note(self, connection: Connection) -> None:
        """Note that a connection may have come to another stage."""
        if connection in self._open:
            self._by_stage.note(connection)

    def leave(self, connection: Connection) -> None:
        """Remove a connection that is closed."""
        client = self._open.pop(connection, None)
        self._by_stage.remove(connection)
        if client is not None:
            del self._by_client[client][connection]
            if not self._by_client[client]:
                del self._by_client[client]

    def _end_first(self, newcomer: Connection, others: Iterable[Connection]) -> bool:
        """End the first of these connections that gives way to a new one."""
        for other in others:
            if other is not newcomer and other.stage < Stage.ANSWERING:
                other.end()
                self.leave(other)
                return True
        return False

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._check(loop, list(self._open))

    def _check(self, loop: asyncio.AbstractEventLoop, connections: list[Connection]) -> None:
        """Check connections, a few at a time: the time of a thousand can be over at once."""
        now = loop.time()
        for connection in connections[:_CHECKED_AT_ONCE]:
            if connection in self._open:
                connection.check(now)
                self.note(connection)
        if left := connections[_CHECKED_AT_ONCE:]:
            self._ticking = loop.call_later(_BREATH_S, self._check, loop, left)
        elif self._open:
            self._measure()
            self._ticking = loop.call_later(_TICK_S, self._tick, loop)
        else:
            self._ticking = None

    def _measure(self) -> None:
        """Set the number of connections to what the open files leave."""
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if allowed == resource.RLIM_INFINITY:
            return
        left = allowed - max(0, _open_files() - len(self._open)) - _RESERVED_DESCRIPTORS
        self.most = max(_FEWEST, min(self.limits.most, left))


def _precedence(connection: Connection) -> tuple[Stage, float]:
    return connection.stage, connection.since


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:  # not Linux, or no descriptor is left to look
        return 64


def _raise_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted:
        with suppress(OSError, ValueError):
            most = wanted if hard == unlimited else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
