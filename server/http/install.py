"""Installation of our protocol and event loop into uvicorn, before BentoML's worker starts it."""

from __future__ import annotations

from server.http.connections import ConnectionLimits


def install(limits: ConnectionLimits) -> None:
    """Make uvicorn use our protocol, with these limits, and our loop in this process."""
    # Not at the top: BentoML's parent process imports the service too, and serves nothing.
    from uvicorn import config

    from server.http.connections import Connections
    from server.http.protocol import BoundedHttpProtocol

    BoundedHttpProtocol.register = Connections(limits)
    for name in ("auto", "h11"):
        config.HTTP_PROTOCOLS[name] = "server.http.protocol:BoundedHttpProtocol"
    for name in ("auto", "asyncio"):
        config.LOOP_FACTORIES[name] = "server.http.event_loop:loop_factory"


def connections_arrived() -> int:
    """Return the number of connections that this process ever took."""
    from server.http.protocol import BoundedHttpProtocol  # as above

    return BoundedHttpProtocol.register.arrived
