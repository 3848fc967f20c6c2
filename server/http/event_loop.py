"""The event loop of the process that serves: asyncio's, which takes few new connections at a time.

asyncio takes up to `backlog` new connections before anything else runs, so that a burst may use
every file descriptor before a limit of connections can act. Here the others wait in the kernel.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

_ACCEPTED_AT_ONCE = 4
"""Three times as many may be open for a moment: a connection that gives way is closed two rounds
after the newcomer was taken. They have to fit into the descriptors that are reserved."""


class ServingLoop(asyncio.SelectorEventLoop):
    """An event loop that takes a few connections in each of its rounds."""

    async def create_server(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *args: Any, backlog: int = 100, sock: socket.socket | None = None, **kwargs: Any
    ) -> asyncio.Server:
        """Listen on a socket, with `backlog` connections waiting in the kernel."""
        if sock is None:
            return await super().create_server(*args, backlog=backlog, **kwargs)
        server = await super().create_server(*args, backlog=_ACCEPTED_AT_ONCE, sock=sock, **kwargs)
        sock.listen(backlog)
        return server


def loop_factory(use_subprocess: bool = False) -> type[asyncio.AbstractEventLoop]:
    """Return the loop's class, as uvicorn asks for it."""
    return ServingLoop
