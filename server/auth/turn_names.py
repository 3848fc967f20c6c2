"""Names of the callers that take turns, before any request is looked at."""

from __future__ import annotations

from collections.abc import Hashable

from starlette.datastructures import Headers
from starlette.types import Scope

from server.auth.live_keys import LiveKeys
from server.auth.proxies import TrustedProxies
from server.http.clients import client_of


class TurnNames:
    """The name under which a request takes its turn.

    It is the id of the key if the key is known. Everybody else goes by address, whatever the
    request says of itself: many invented keys are one caller.

    Args:
        keys: the keys that are accepted.
        proxies: the proxies that are believed when they name a client.
    """

    def __init__(self, keys: LiveKeys, proxies: TrustedProxies) -> None:
        self._keys = keys
        self._proxies = proxies

    def __call__(self, scope: Scope) -> Hashable:
        key_id = self._keys.known_id(Headers(scope=scope).getlist("authorization"))
        if key_id is not None:
            return "key", key_id
        peer = (scope.get("client") or ("",))[0]
        return "address", client_of(self._proxies.read(scope).client or peer)
