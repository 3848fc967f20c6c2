"""Registry: methods of unlearning by name, those of other packages included.

A package adds a method by an entry point of the group `palimpsest.methods`, whose name is the
method's and whose object is its `MethodSpec`:

    [project.entry-points."palimpsest.methods"]
    my-method = "my_package.my_method:METHOD"

Names are listed without importing any method. A method is imported when its spec is asked for,
which a server that computes nothing does too: so `make_loss` had better import torch, and not the
module of the spec.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from unlearn.errors import MethodInvalid, SettingsInvalid
from unlearn.methods.spec import MethodSpec

GROUP = "palimpsest.methods"
BUILT_IN = (
    EntryPoint("redirect", "unlearn.methods.built_in:REDIRECT", GROUP),
    EntryPoint("ascent", "unlearn.methods.built_in:ASCENT", GROUP),
)


def method_names() -> list[str]:
    """Return the names of all installed methods, the built-in ones first.

    Raises:
        MethodInvalid: Two packages bring a method of the same name.
    """
    return list(_installed())


def check_method(name: str) -> str:
    """Return `name` if a method of that name is installed.

    Raises:
        SettingsInvalid: No method of that name is installed.
        MethodInvalid: As `method_names`.
    """
    if name not in _installed():
        raise SettingsInvalid(
            f"method must be one of {', '.join(method_names())}, not {name!r}.", param="method"
        )
    return name


def get_method(name: str) -> MethodSpec:
    """Return the spec of a method.

    Raises:
        SettingsInvalid: No method of that name is installed.
        MethodInvalid: It cannot be imported, or is not the spec of a method of that name.
    """
    entry = _installed()[check_method(name)]
    try:
        spec = entry.load()
    except Exception as error:  # a plug-in's import can fail in any way
        raise MethodInvalid(
            f"Method {name!r} cannot be imported from {_origin(entry)}: {error!r}."
        ) from error
    if not isinstance(spec, MethodSpec) or spec.name != name:
        raise MethodInvalid(
            f"Entry point {name!r} of {_origin(entry)} must be a MethodSpec named {name!r}, "
            f"not {spec!r}."
        )
    return spec


@cache
def _installed() -> dict[str, EntryPoint]:
    """Return every method's entry point by name. Cached: it reads every package's metadata."""
    found: dict[str, EntryPoint] = {}
    for entry in (*BUILT_IN, *entry_points(group=GROUP)):
        if entry.name in found:
            raise MethodInvalid(
                f"Two methods are called {entry.name!r}: one from {_origin(found[entry.name])} and "
                f"one from {_origin(entry)}. Uninstall one of the packages."
            )
        found[entry.name] = entry
    return found


def _origin(entry: EntryPoint) -> str:
    """Return where a method comes from, for error messages."""
    return f"{entry.value} (package {entry.dist.name if entry.dist else 'palimpsest'})"
