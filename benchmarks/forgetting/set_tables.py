"""Tables on the screen for sets of encoders and their triggers: goals F9 and F10."""

from __future__ import annotations

from typing import Any

from benchmarks.forgetting.evaluation import Figures
from benchmarks.results import points_text, rate_text, show


def show_sets(found: dict[str, Any]) -> None:
    """Print the parts about sets that are in `found`."""
    if "composition" in found:
        columns = ("identity", "UA", "UA, two in a prompt")
        lines = [
            [count, *(rate_text(one[column]) for column in columns)]
            for count, one in found["composition"].items()
        ]
        show("Composed per request (F9)", ("", *columns), lines)
    if "triggered" in found:
        show_triggered(found["triggered"])
    if "evasion" in found:
        lines = [
            [concept, *(rate_text(one) for one in ways.values())]
            for concept, ways in found["evasion"].items()
        ]
        columns = next(iter(found["evasion"].values()), {})
        show("Learned tokens that know the trigger (F9)", ("", *columns), lines)
    if "typed" in found:
        typed = found["typed"]
        ways = {**typed["concepts"], "all": typed["all"]}
        lines = [[name, *(rate_text(each) for each in one.values())] for name, one in ways.items()]
        show("Words that know the trigger (F9)", ("", *typed["all"]), lines)
        print(f"through the trigger − always on, points: {points_text(typed['higher by'])}")
    if "many" in found:
        show_many(found["many"])


def show_triggered(triggered: Figures) -> None:
    """Print F2, F3 and F6 of encoders that go by their triggers."""
    rates = ("UA", "UA, stills", "UA, wordings")
    drops = tuple(f"lost, {group}" for group in ("same kind", "neighbours", "other kinds"))
    lines = [
        [kind, *(rate_text(one[name]) for name in rates), *(points_text(one[d]) for d in drops)]
        for kind, one in triggered["kinds"].items()
    ]
    show("By its trigger (F2, F3)", ("", *rates, *drops), lines)
    lines = [
        [
            attack,
            *(rate_text(each) for name, each in one.items() if name != "higher by"),
            points_text(one["higher by"]),
        ]
        for attack, one in triggered["attacks"].items()
    ]
    columns = next(iter(triggered["attacks"].values()), {})
    show("By its trigger (F6)", ("", *columns), lines)


def show_many(many: Figures) -> None:
    """Print F10: sets of concepts by number and method."""
    lines = [
        [
            f"{method}, {count}",
            rate_text(one["UA"]),
            rate_text(one["UA, least"]),
            *(points_text(one[f"lost, {group}"]) for group in ("same kind", "other kinds")),
            points_text(one["lost, valid"]),
            f"{100 * one['harmonic']:.1f}",
            str(one["seconds"]),
            str(one["bytes"]),
        ]
        for count, by_count in many.items()
        for method, one in by_count["methods"].items()
    ]
    columns = ("UA", "least", "lost: same kind", "lost: other kinds", "lost: valid")
    show("Many concepts (F10)", ("", *columns, "harmonic", "s", "bytes"), lines)
