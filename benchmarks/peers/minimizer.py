"""The l1 minimiser and rho, side by side with what users would pick instead.

    python -m benchmarks.peers.minimizer [--skip-highs]

Basis pursuit of `datasets.gaussian`, whose sparse x is the exact answer: HiGHS through
scipy.optimize.linprog, and lars_path where scikit-learn is installed. HiGHS runs once;
of the others the median of several runs is told.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastdln as fd

from . import pursuit

CASES = ((200, 2000, 30), (300, 10000, 40))


def timed(function: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Median seconds, and the last result."""
    seconds, result = [], None
    for _ in range(runs):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def report(m: int, N: int, sparsity: int, skip_highs: bool) -> None:
    """Print seconds and errors for one size."""
    problem, x = fd.datasets.gaussian(m, N, sparsity, rng=0)
    A, y = problem.A, problem.y
    fd.l1_minimizer(fd.Problem(A, y), 3)  # compiled code is loaded here
    own, minimizer = timed(lambda: fd.l1_minimizer(fd.Problem(A, y), 3), 9)
    rho_seconds, constants = timed(lambda: fd.null_space_constants(fd.Problem(A, y)), 5)
    rows = [("fastdln", own, float(np.max(np.abs(minimizer.psi - x))))]
    with contextlib.suppress(ModuleNotFoundError):
        seconds, answer = timed(pursuit.SOLVERS["lars_path"](A, y, 0.0), 9)
        rows.append(("lars_path", seconds, float(np.max(np.abs(answer - x)))))
    if not skip_highs:
        seconds, answer = timed(pursuit.SOLVERS["HiGHS simplex"](A, y, 0.0), 1)
        rows.append(("HiGHS", seconds, float(np.max(np.abs(answer - x)))))
    print(f"{m} x {N}, {sparsity} nonzeros; {minimizer.status.name.lower()}")
    for name, seconds, error in rows:
        print(f"  {name:<10} {seconds:9.4f} s  x {seconds / own:7.1f}  largest error {error:.1e}")
    ratio = rho_seconds / own
    rho = f"rho {constants.rho:.12f}, minimiser included"
    print(f"  {'constants':<10} {rho_seconds:9.4f} s  x {ratio:7.1f}  {rho}")


def main() -> None:
    """Print the comparison for both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-highs", action="store_true", help="it takes 15 s at the larger")
    arguments = parser.parse_args()
    for case in CASES:
        report(*case, arguments.skip_highs)


if __name__ == "__main__":
    main()
