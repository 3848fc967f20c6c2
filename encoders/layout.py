"""Paths of blobs in the store.

    encoders/<id>/card.json                          the encoder exists if and only if this does
    encoders/<id>/<identity>/overrides.safetensors   its overrides
    encoders/<id>/<identity>/report/<name>           the page, its data, clips and stills
    encoders/<id>/<identity>/judgement.json          measures, if it was judged after publishing

Ids and names are checked before they are passed to this module (`encoders.check_id`).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from encoders.atomic_files import finished_name
from encoders.card import Card
from encoders.errors import InvalidId
from encoders.folder_marker import MARKER

_REPORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PATH = re.compile(
    r"encoders/[^/]+/(card\.json|[0-9a-f]{16}/"
    rf"(overrides\.safetensors|judgement\.json|report/{_REPORT_NAME.pattern}))"
)
_ALIAS_PATH = re.compile(r"aliases/[^/]+")
"""Paths of aliases, which earlier versions kept as blobs."""


def card_path(encoder_id: str) -> str:
    """Return the path of an encoder's card."""
    return f"encoders/{encoder_id}/card.json"


def folder(card: Card) -> str:
    """Return the folder of everything of an encoder but its card.

    16 hex digits of the identity tell the publishers of one id apart.
    """
    return f"encoders/{card.id}/{card.identity.removeprefix('sha256:')[:16]}"


def is_overrides(path: str) -> bool:
    """Return True if a path is that of some encoder's overrides."""
    return path.endswith("/overrides.safetensors")


def overrides_path(card: Card) -> str:
    """Return the path of an encoder's overrides."""
    return f"{folder(card)}/overrides.safetensors"


def judgement_path(card: Card) -> str:
    """Return the path of the judgement of an encoder that was published without measures."""
    return f"{folder(card)}/judgement.json"


def report_path(card: Card, name: str) -> str:
    """Return the path of a file of an encoder's report.

    Raises:
        InvalidId: `name` is not a plain file name.
    """
    if not _REPORT_NAME.fullmatch(name) or ".." in name:
        raise InvalidId(f"{name[:80]!r} cannot be the name of a report file.", param="name")
    return f"{folder(card)}/report/{name}"


def is_path(path: str) -> bool:
    """Return True for a path that this module can have returned."""
    return _PATH.fullmatch(path) is not None


def is_draft_path(path: str) -> bool:
    """Return True for the path of a blob of the store that was not finished."""
    place = PurePosixPath(path)
    name = finished_name(place.name)
    if not name:
        return False
    if str(place.parent) == ".":
        return name == MARKER
    finished = str(place.with_name(name))
    return is_path(finished) or _ALIAS_PATH.fullmatch(finished) is not None
