"""Palimpsest as a BentoML service: `bentoml serve service:Palimpsest`.

The HTTP API is a FastAPI app (`server.api.app`), imported only in the process that serves it
(`server.lazy_app`). Models load in the thread that owns the device. So this module imports no torch
and little else. Settings are environment variables (`server.settings`).
"""

from __future__ import annotations

import os

import bentoml
from bentoml import server_context
from starlette.middleware.cors import CORSMiddleware

from server import devices
from server.address import listening_address, url_of
from server.auth import bind_address
from server.auth.app_first import AppFirst
from server.auth.cors import cors_options
from server.auth.guard import PROBES, Guard
from server.auth.live_keys import LiveKeys
from server.auth.proxies import TrustedProxies, disable_uvicorns
from server.auth.sub_path import SubPath
from server.auth.turn_names import TurnNames
from server.counters_in_memory import keep_counters_in_memory
from server.http.connections import ConnectionLimits
from server.http.install import connections_arrived, install
from server.http.turns import Turns
from server.lazy_app import LazyApp
from server.parent_watchdog import announce_parent, announced_parent, die_with_parent
from server.role_check import check_role
from server.settings import Settings
from server.start_checks import check_address, check_data_dir, one_line, say_waiting
from server.storage.backends import keys_of
from server.storage.bucket_probe import check_store
from server.storage.private_files import UMASK
from server.supervision import Supervisor

with one_line():
    settings = devices.resolved(Settings())
    if settings.devices:
        os.environ["PALIMPSEST_DEVICES"] = ",".join(settings.devices)  # the workers' too
    if len(settings.devices) > 1 and server_context.worker_index is not None:
        claim = devices.DeviceClaim(settings)
        settings = claim.settings
    keys = LiveKeys(settings.keys_file, keys_of(settings))
app = LazyApp(settings, keys)
if announced_parent() is not None:  # a worker: the parent serves nothing, and starts sooner
    install(
        ConnectionLimits(
            most=settings.max_connections, most_per_address=settings.max_connections_per_address
        )
    )
die_with_parent()
disable_uvicorns()
keep_counters_in_memory()


@bentoml.service(
    name="palimpsest",
    workers=max(len(settings.devices), 1),
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},  # the guard logs more (server.logs)
    tracing={"excluded_urls": ".*"},  # its spans, which go nowhere, are a tenth of a request's time
    traffic={"timeout": 86_400},
    http={"host": str(settings.host), "port": settings.port},  # pyright: ignore[reportArgumentType]
)
@bentoml.asgi_app(app, path="/")
class Palimpsest:
    """A text-to-video model that can forget: base and unlearned encoders, side by side."""

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Check in BentoML's parent process that the server can start, before a port is opened."""
        os.umask(UMASK)  # the worker's too: what is stored is for the server's user alone
        bind_address.check(settings, is_keyed=keys.is_keyed)
        host, port = listening_address(settings)
        with one_line():
            check_role(settings)
            check_data_dir(settings.data_dir, on_wait=say_waiting)
            devices.check(settings)
            check_store(settings.store)
            check_address(host, port)
        announce_parent(url_of(host, port))
        Supervisor(settings.drain_seconds + settings.stop_seconds + 1.5).install()

    async def __is_ready__(self) -> bool:
        """Return True once the models are loaded."""
        return app.ready


if settings.cors_origins:
    Palimpsest.add_asgi_middleware(CORSMiddleware, **cors_options(settings))  # pyright: ignore[reportArgumentType]
proxies = TrustedProxies(settings.trusted_proxies)
Palimpsest.add_asgi_middleware(
    SubPath,  # pyright: ignore[reportArgumentType]
    root_path=settings.root_path,
    proxies=proxies,
)
Palimpsest.add_asgi_middleware(
    Turns,  # pyright: ignore[reportArgumentType]
    at_once=PROBES,
    caller_of=TurnNames(keys, proxies),
    arrived=connections_arrived,
)
Palimpsest.add_asgi_middleware(
    Guard,  # pyright: ignore[reportArgumentType]  # typed as an instance, but the class is needed
    keys=keys,
    max_body_bytes=settings.max_body_bytes,
    max_fields_bytes=settings.max_fields_bytes,
    observe=app.observe,
    proxies=proxies,
    allowed_origins=settings.cors_origins,
)
Palimpsest.add_asgi_middleware(app.drain.middleware)  # pyright: ignore[reportArgumentType]
Palimpsest.add_asgi_middleware(
    AppFirst,  # pyright: ignore[reportArgumentType]
    first=app,
    paths=frozenset({"/schema.json"}),  # BentoML's would list no route: `/generate` is the app's
)
