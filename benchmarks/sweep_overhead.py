"""What a sweep costs beside its limits: ``python -m benchmarks.sweep_overhead``.

10,000 limits at 20 x 100 by plain calls of `flow_limit` in a loop, and by `sweep`, both on one
thread; then by `sweep` on two. Rounds are interleaved. The second part takes one limit for each
problem: 1,000 problems, nothing to share.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastdln as fd
from fastdln.sweep_work import one_thread_each

from .ceiling import side_by_side

_TABLE = {"dataset": "gaussian", "m": 20, "N": 100, "sparsity": 5}
_SHARED = {"seed": range(50), "p": [2, 2.5, 3, 4], "alpha": {"logspace": [0, -3, 50]}}
_SINGLE = {"seed": range(1000), "p": [3], "alpha": [1e-2]}


def plain(grid: dict[str, Any]) -> float:
    """Seconds for the same limits and distances, kept nowhere."""
    alpha = grid["alpha"]
    sizes = np.logspace(*alpha["logspace"]) if isinstance(alpha, dict) else np.array(alpha)
    start = time.perf_counter()
    with one_thread_each():
        for seed in grid["seed"]:
            problem = fd.datasets.gaussian(20, 100, 5, rng=seed).problem
            for p in grid["p"]:
                assert np.all(np.isfinite(fd.flow_limit(problem, p, sizes).log_deviation_norm))
    return time.perf_counter() - start


def swept(grid: dict[str, Any], workers: int) -> float:
    """Seconds for a sweep, from nothing to a closed store on disk."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        start = time.perf_counter()
        fd.sweep(_TABLE, **grid, store=Path(folder) / "s.zarr", workers=workers)
        return time.perf_counter() - start


def compare(title: str, grid: dict[str, Any], rounds: int) -> None:
    """Medians of interleaved rounds."""
    sizes = grid["alpha"]
    count = len(grid["seed"]) * len(grid["p"])
    count *= sizes["logspace"][2] if isinstance(sizes, dict) else len(sizes)
    runs = [(plain(grid), swept(grid, 1), swept(grid, 2)) for _ in range(rounds)]
    kernel, one, two = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"{title}: {count} limits, medians of {rounds}")
    print(f"  plain calls, one thread   {kernel:7.2f} s ({1e6 * kernel / count:.0f} us each)")
    print(f"  sweep, one thread         {one:7.2f} s: {one / kernel:.3f} times,")
    print(f"    {1e6 * (one - kernel) / count:.0f} us of overhead a configuration")
    print(f"  sweep, two threads        {two:7.2f} s: efficiency {one / two / 2:.3f}")
    most = side_by_side(plain, grid, rounds=rounds)
    print(f"    (two bare processes of plain calls beside each other: {most:.3f})")


def main() -> None:
    """Both parts, after a round that is not counted."""
    fd.sweep(_TABLE, p=[2, 3], alpha=[1.0, 0.1])
    compare("shared A and p", _SHARED, 3)
    compare("nothing shared", _SINGLE, 3)


if __name__ == "__main__":
    main()
