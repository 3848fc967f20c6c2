"""The gate of a request: its own thresholds, those of its tier, and the server's for the rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from server.errors import InvalidRequest
from unlearn.trial.gate import Gate

if TYPE_CHECKING:
    from server.settings import Settings


def server_gate(settings: Settings) -> Gate:
    """Return the gate of requests that say nothing: the server's tier, with its own thresholds."""
    return Gate.of_tier(settings.gate_tier, **_own(settings))


def requested_gate(asked: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return all fields of the gate that a request asks for, as a record keeps them.

    A request that names a tier gets that tier's thresholds, with its own in place of some; the
    server's do not count then. One that names none changes thresholds of the server's gate.

    Args:
        asked: the fields that the request has.
        settings: the server's.

    Raises:
        InvalidRequest: no encoder can pass it, because its probes are too few for its rates.
    """
    given = dict(asked)
    tier = given.pop("tier", None)
    if tier is None:
        tier, given = settings.gate_tier, {**_own(settings), **given}
    gate = Gate.of_tier(tier, **given)
    if problem := gate.unreachable():
        field, why = problem
        raise InvalidRequest(why, param=f"gate.{field}", code="gate_unreachable")
    return asdict(gate)


def _own(settings: Settings) -> dict[str, Any]:
    """Return the thresholds that the server's settings give."""
    names = ("min_forget_rate", "max_retain_drop", "min_base_rate", "max_probes")
    values = {name: getattr(settings, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
