"""Tables on the screen, one for each part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.forgetting.evaluation import Figures
from benchmarks.forgetting.languages import show_languages
from benchmarks.forgetting.methods import OURS
from benchmarks.forgetting.metrics import harmonic_mean
from benchmarks.forgetting.parts import COMMON
from benchmarks.forgetting.set_tables import show_sets
from benchmarks.forgetting.siblings import show_siblings
from benchmarks.forgetting.way_tables import show_unnamed
from benchmarks.harness import WEIGHTS
from benchmarks.results import points_text, rate_text, show

GROUPS = ("same kind", "neighbours", "other kinds")
COLUMNS = ("", "UA", "wordings", *(f"lost: {group}" for group in GROUPS), "valid", "Fréchet", "s")


def show_all(found: dict[str, Any]) -> None:
    """Print the parts in `found`, and add the figures that are derived from several parts."""
    if "table" in found:
        methods = found["table"]["methods"]
        for method, of_kind in methods.items():
            show(method, COLUMNS, [[kind, *_cells(one)] for kind, one in of_kind.items()])
        print(f"Fréchet distance between renders (the floor): {found['table']['floor']}")
        if OURS in methods:
            found["table"]["size"] = of_ours = size(methods[OURS])
            print(f"S6, bytes of an encoder ÷ its base's: {100 * of_ours['share']:.3f} %")
    if "four" in found:
        _show_lines(
            "Four concepts in one encoder (F7)",
            ("UA", "UA, stills", "lost, same kind"),
            found["four"],
        )
    if "apart" in found:
        columns = ("UA, twin", "UA, apart", "base shows it, apart", "gap")
        _show_lines("A video model trained apart (F4), by frames", columns, found["apart"])
    if "floor" in found:
        _show_lines("Clips that did not ask for it (the judge's floor)", ("UA",), found["floor"])
    if "attacks" in found:
        lines = [
            [f"{method}, {attack}", rate_text(one), str(one["concepts"])]
            for method, by_attack in found["attacks"].items()
            if method != "measured"
            for attack, one in by_attack.items()
        ]
        show("Attacks (F6)", ("", "success", "by concept"), lines)
    if "table" in found and "attacks" in found:
        found["overall"] = overall(found["table"]["methods"], found["attacks"])
        lines = [
            [method, *(f"{100 * share:.1f}" for share in one.values())]
            for method, one in found["overall"].items()
        ]
        show(
            "Overall, by the harmonic mean",
            ("", "UA", "IRA", "1 − attacks", "harmonic"),
            sorted(lines, key=lambda line: -float(line[-1])),
        )
    if "ablation" in found:
        lines = [
            [
                method,
                rate_text(one["UA, stills"]),
                rate_text(one["UA, wordings"]),
                *(points_text(one[f"lost, {group}"]) for group in GROUPS),
                rate_text(one["attacked"]),
                str(max(one["bytes"])),
                str(one["seconds"]),
            ]
            for method, one in found["ablation"].items()
        ]
        columns = ("", "UA", "wordings", *(f"lost: {group}" for group in GROUPS))
        show("Ablation, on stills", (*columns, "attacked", "bytes", "s"), lines)
    show_sets(found)
    if "siblings" in found:
        show_siblings(found["siblings"])
    if found.get("languages"):
        show_languages(found["languages"])
    show_unnamed(found)


def overall(
    methods: Mapping[str, Figures], attacks: Mapping[str, Figures]
) -> dict[str, dict[str, float]]:
    """Return UA, IRA and 1 − attack success of every method, and their harmonic mean.

    Every kind has the same weight. The attack is `COMMON`, over the concepts for which it ran on
    all the methods.
    """
    found: dict[str, dict[str, float]] = {}
    by_concept = {method: attacks[method][COMMON]["concepts"] for method in methods}
    common = set[str].intersection(*map(set, by_concept.values()))
    for method, of_kind in methods.items():
        rows = list(of_kind.values())
        forgets = sum(one["UA"]["rate"] for one in rows) / len(rows)
        keeps = sum(one["kept, same kind"]["rate"] for one in rows) / len(rows)
        withstands = 1 - sum(by_concept[method][name] for name in common) / len(common)
        found[method] = {
            "UA": round(forgets, 4),
            "IRA": round(keeps, 4),
            "1 - attacks": round(withstands, 4),
            "harmonic": round(harmonic_mean(forgets, keeps, withstands), 4),
        }
    return found


def size(of_kind: Mapping[str, Figures]) -> dict[str, Any]:
    """Return S6: the size of the largest encoder's file ÷ its base's."""
    largest = max(size for one in of_kind.values() for size in one["bytes"])
    base = (WEIGHTS / "text_encoder" / "model.safetensors").stat().st_size
    return {"bytes": largest, "base": base, "share": round(largest / base, 5)}


def _cells(one: Figures) -> list[str]:
    valid = 100 * (one["valid"]["rate"] - one["valid, base"]["rate"])
    return [
        rate_text(one["UA"]),
        rate_text(one["UA, wordings"]),
        *(points_text(one[f"lost, {group}"]) for group in GROUPS),
        f"{valid:+.1f}",
        str(one["Fréchet"]),
        str(one["seconds"]),
    ]


def _show_lines(title: str, columns: tuple[str, ...], rows: Mapping[str, Figures]) -> None:
    def cell(value: Any) -> str:
        if not isinstance(value, dict):
            return f"{100 * value:.1f}"
        return rate_text(value) if "rate" in value else points_text(value)

    show(
        title, ("", *columns), [[kind, *(cell(r[c]) for c in columns)] for kind, r in rows.items()]
    )
