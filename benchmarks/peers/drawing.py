"""Pictures of the page: time against error, both logarithmic."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

_OURS = ("#0b4f9e", "#2f83d6", "#7fb4e8", "#003060", "#5c9bd1", "#19a0aa")
_THEIRS = ("#c4521b", "#8a3ea8", "#4d8a2b", "#b8860b", "#7a7a7a", "#c2185b", "#5d4037", "#00796b")
_MARKS = "osD^v<>P"


def draw(case: dict[str, Any], file: Path) -> None:
    """One curve for each solver; ours in blue and filled, the others hollow."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(7.4, 4.2), layout="constrained")
    axes = picture.subplots()
    for ours, name, points in curves(case):
        group = [n for o, n, _ in curves(case) if o == ours]
        place, colours = group.index(name), _OURS if ours else _THEIRS
        errors, seconds = zip(*points, strict=True)
        colour = colours[place % len(colours)]
        axes.loglog(
            errors, seconds, "-" if ours else "--", marker=_MARKS[place % len(_MARKS)], ms=5,
            lw=1.4, color=colour, mfc=colour if ours else "white", label=name,
        )  # fmt: skip
    axes.set_xlabel(f"error ({case['error']})")
    axes.set_ylabel(f"seconds a {case['unit']}")
    axes.set_title(case["name"], fontsize=10)
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize=7.5, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    picture.savefig(file, dpi=90)


def curves(case: dict[str, Any]) -> list[tuple[bool, str, list[tuple[float, float]]]]:
    """Whether it is ours, name, and (error, seconds) for each solver that gave an answer.

    An error of zero cannot be drawn: it is put at the floor of the case.
    """
    found: dict[tuple[bool, str], list[tuple[float, float]]] = {}
    for row in case["rows"]:
        if row["seconds"] and row["error"] is not None:
            point = (
                max(row["error"], case["floor"], 1e-17),
                statistics.median(row["seconds"]) / case["per"],
            )
            found.setdefault((row["ours"], row["name"]), []).append(point)
    return [(ours, name, points) for (ours, name), points in found.items()]
