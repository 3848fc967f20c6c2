"""HTML and inline SVG that cannot be injected into: what is not markup already is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"br", "col", "hr", "img", "link", "meta"})


class Markup(str):
    """Text that is markup. Only `tag` and `join` make it, so that all else in it is escaped."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | int | float | None) -> Markup:
    """One element.

    Args:
        name: of the element.
        content: what is in it, in order. Plain text is escaped; `Markup` is taken as it is.
        attributes: their values are escaped; None leaves one out. A trailing underscore is dropped
            (`class_`), another becomes a hyphen (`aria_label`).
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{join(content)}</{name}>")


def join(content: Iterable[str]) -> Markup:
    """Pieces one after the other, plain text among them escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in content))
