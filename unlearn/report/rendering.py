"""Rendering of the report's templates: HTML and inline SVG with all text escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from unlearn.report.rates import percent, words

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"

MAX_VALUE_CHARS = 2000
"""The longest value that is printed; a longer one is cut, and stands in full in `report.json`."""


def render(template: str, **values: Any) -> Markup:
    """Render a template of `templates/`; text among the values is escaped, `Markup` is not."""
    return Markup(_environment().get_template(template).render(values))


def stylesheet() -> Markup:
    """Return the page's CSS."""
    return Markup((TEMPLATES / "report.css").read_text("utf-8"))


@cache
def _environment() -> Environment:
    # The server imports this module for its documentation, and renders nothing until an encoder has
    # been judged: jinja2 can wait.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, words=words, thousands=_thousands, plain=_plain)
    environment.tests["has_objects"] = _has_objects
    return environment


def _thousands(number: int) -> str:
    """Group the digits by thousands: "21,208"."""
    return f"{number:,}"


def _has_objects(value: Any) -> bool:
    """Return true for a list with JSON objects in it."""
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _plain(value: Any) -> str:
    """Write a JSON scalar, or a list of them, on one line of at most `MAX_VALUE_CHARS`."""
    is_list = isinstance(value, list)
    text = ", ".join(map(_scalar, value)) or "–" if is_list else _scalar(value)
    if len(text) > MAX_VALUE_CHARS:
        text = text[:MAX_VALUE_CHARS] + " … (in full in report.json)"
    return text


def _scalar(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
