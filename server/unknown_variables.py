"""Environment variables that look like settings and are none: most often a misspelt name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from server.settings import Settings

_PREFIX = "PALIMPSEST_"
_OTHERS = ("SERVER", "API_KEY", "PARENT_PID", "PARENT_URL")
"""Variables of the command line and between processes, which are no settings of the server."""


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Return a sentence for each variable that starts with `PALIMPSEST_` and has no meaning.

    No value is shown: it may be a secret.

    Args:
        names: The names of all variables, such as `os.environ`; case does not matter.
    """
    known = [name.upper() for name in (*Settings.model_fields, *_OTHERS)]
    found: list[str] = []
    for name in sorted(names):
        rest = name.upper().removeprefix(_PREFIX)
        if rest == name.upper() or rest in known:
            continue
        near = get_close_matches(rest, known, n=1)
        advice = (
            f"did you mean {_PREFIX}{near[0]}?" if near else "docs/SETTINGS.md lists the settings."
        )
        found.append(f"{name} is no setting and is ignored: {advice}")
    return found
