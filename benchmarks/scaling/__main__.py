"""Time and memory against N, m, batch size and threads: measures, and writes docs/scaling.md.

    python -m benchmarks.scaling [--quick] [--write]

Each point is measured in a process of its own, on one thread and on two; the points are
kept in ``benchmarks/scaling/results`` and the page and its pictures are written from there.
``--write`` does the last alone. About four minutes; ``--quick`` takes tiny sizes and needs
``--results`` and ``--docs``: it must not replace the real page.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import gate

from . import measure
from .page import page
from .tasks import AXES

_HERE = Path(__file__).resolve().parent


def measured(quick: bool) -> dict[str, Any]:
    """Every point of every axis."""
    start, axes = time.perf_counter(), []
    for number, axis in enumerate(AXES):
        points = []
        for size in axis.quick if quick else axis.sizes:
            points.append(measure.point_apart(number, size))
            taken = points[-1]["seconds"]["1"]
            print(f"{axis.task}, {axis.axis} = {size}: {taken:.4g} s", flush=True)
        axes.append({"task": axis.task, "axis": axis.axis, "about": axis.about, "points": points})
    return {
        "machine": gate.machine(), "axes": axes,
        "bandwidth": measure.bandwidth(8 if quick else 256),
        "dask": measure.dask_overhead(quick), "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure, keep, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--write", action="store_true", help="only write the page")
    parser.add_argument("--results", type=Path, default=_HERE / "results")
    parser.add_argument("--docs", type=Path, default=_HERE.parent.parent / "docs")
    parser.add_argument("--point", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.point:
        print(json.dumps(measure.point(AXES[chosen.point[0]], chosen.point[1])))
        return 0
    if chosen.quick and chosen.results == _HERE / "results":
        parser.error("--quick needs --results and --docs: it must not replace the real page")
    file = chosen.results / "scaling.json"
    if not chosen.write:
        chosen.results.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(measured(chosen.quick), indent=1) + "\n")
    chosen.docs.mkdir(parents=True, exist_ok=True)
    (chosen.docs / "scaling.md").write_text(page(json.loads(file.read_text()), chosen.docs))
    print(f"written: {chosen.docs.name}/scaling.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
