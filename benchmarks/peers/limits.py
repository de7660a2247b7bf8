"""Side by side: flow_limit, and what solves basis pursuit, on the same dense problems.

    python -m benchmarks.peers.limits [--repeats 3] [--large]

A part of what `benchmarks.peers.page` keeps, for a look while working. The peers find
min ||x||_1 over A x = y, the limit alpha -> 0 alone. HiGHS comes with SciPy; Clarabel and
scikit-learn (`lars_path`) are skipped where they are not installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import fastdln as fd

from .ask_limits import ours, peers
from .contest import prepared

_PEERS = ("HiGHS simplex", "HiGHS-IPM", "Clarabel", "lars_path")


def solvers(A: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """Name -> a call that returns an answer; what is not installed is named and left out."""
    found = {}
    for contender in ours(A, y) + peers(A, y, _PEERS):
        run = prepared(contender)
        if run is not None:
            found[f"{contender.name} {contender.setting}".strip()] = run
    return found


def compare(m: int, N: int, sparsity: int, repeats: int, slow: float) -> None:
    """Interleaved medians; what takes longer than `slow` seconds runs once."""
    problem, x = fd.datasets.gaussian(m, N, sparsity)
    calls = solvers(problem.A, problem.y)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    error: dict[str, float] = {}
    for turn in range(repeats + 1):  # the first round compiles, and is not counted
        for name, solve in calls.items():
            if seconds[name] and seconds[name][0] > slow:
                continue
            start = time.perf_counter()
            psi = solve()
            taken = time.perf_counter() - start
            error[name] = float(np.linalg.norm(psi - x))
            if turn > 0 or taken > slow:
                seconds[name].append(taken)
    print(f"\n{m} x {N}, {sparsity}-sparse: median of {repeats}, interleaved")
    print(f"{'':32} {'s':>9} {'|psi - x|':>10}")
    for name, times in seconds.items():
        once = " (once)" if len(times) == 1 and repeats > 1 else ""
        print(f"{name:32} {statistics.median(times):9.4f} {error[name]:10.1e}{once}")


def main() -> None:
    """200 x 2000, and with --large 300 x 10000 as well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    compare(200, 2000, 30, arguments.repeats, slow=3.0)
    if arguments.large:
        compare(300, 10000, 40, arguments.repeats, slow=3.0)


if __name__ == "__main__":
    main()
