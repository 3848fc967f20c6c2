"""Option `--limit`: the limits of a key, as `NAME=NUMBER`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=NUMBER",
        help="A limit of this key's own: queued, in_flight, requests_per_minute, stored_bytes, "
        "encoders_per_day or queued_encoders. 0 allows none; `default` takes the settings' value "
        "again. Repeatable.",
    ),
]


def parsed(limits: Sequence[str] | None) -> dict[str, int | None]:
    """Return the limits by name; None for `default`.

    Raises:
        typer.BadParameter: One has another form, an unknown name or a number that it cannot have.
    """
    from pydantic import ValidationError

    from server.storage.key_limits import OwnLimits, checked

    found: dict[str, int | None] = {}
    for text in limits or ():
        name, _, value = text.partition("=")
        if name not in OwnLimits.model_fields:
            known = ", ".join(OwnLimits.model_fields)
            raise _bad(f"{name!r} is no limit; there are {known}.")
        if value != "default" and not (value.isascii() and value.isdigit() and len(value) < 17):
            raise _bad(f"{text!r}: give it a whole number, such as {name}=500, or `default`.")
        found[name] = None if value == "default" else int(value)
    try:
        checked(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise _bad(f"{first['loc'][0]}: {first['msg']}.") from error
    return found


def _bad(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--limit")
