"""Side by side: flow_limit, and what solves basis pursuit, on the same dense problems.

    python -m benchmarks.peers.limits [--repeats 3] [--large]

The peers find min ||x||_1 over A x = y, the limit alpha -> 0 alone. HiGHS comes with SciPy;
Clarabel and scikit-learn (`lars_path`) are skipped where they are not installed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

import fastdln as fd

Solver = Callable[[], np.ndarray]


def peers(A: np.ndarray, y: np.ndarray) -> dict[str, Solver]:
    """Name -> a call that returns the minimiser."""
    m, N = A.shape
    both = np.hstack((A, -A))

    def highs(method: str) -> Solver:
        def solve() -> np.ndarray:
            z = linprog(np.ones(2 * N), A_eq=both, b_eq=y, method=method).x
            return z[:N] - z[N:]

        return solve

    found: dict[str, Solver] = {
        "HiGHS simplex": highs("highs-ds"), "HiGHS-IPM": highs("highs-ipm")
    }  # fmt: skip
    try:
        import clarabel
    except ImportError:
        print("Clarabel is not installed: skipped")
    else:
        rows = sparse.csc_matrix(both)
        below = sparse.csc_matrix(-sparse.identity(2 * N))
        constraints = sparse.vstack((rows, below)).tocsc()
        settings = clarabel.DefaultSettings()
        settings.verbose = False

        def clarabel_solve() -> np.ndarray:
            z = np.array(
                clarabel.DefaultSolver(
                    sparse.csc_matrix((2 * N, 2 * N)), np.ones(2 * N), constraints,
                    np.r_[y, np.zeros(2 * N)],
                    [clarabel.ZeroConeT(m), clarabel.NonnegativeConeT(2 * N)], settings,
                ).solve().x
            )  # fmt: skip
            return z[:N] - z[N:]

        found["Clarabel"] = clarabel_solve
    try:
        from sklearn.linear_model import lars_path
    except ImportError:
        print("scikit-learn is not installed: skipped")
    else:
        found["lars_path"] = lambda: lars_path(A, y, method="lasso")[2][:, -1]
    return found


def ours(A: np.ndarray, y: np.ndarray) -> dict[str, Solver]:
    """The four limits of the comparison; a new Problem each time, so that nothing is reused."""

    def limit(p: float, eps: float) -> Solver:
        return lambda: fd.flow_limit(fd.Problem(A, y), p, log_alpha=math.log(eps) / p).psi

    return {
        f"flow_limit p = {p:g}, eps = {eps:g}": limit(p, eps)
        for p in (2.0, 3.0)
        for eps in (1e-9, 1e-60)
    }


def compare(m: int, N: int, sparsity: int, repeats: int, slow: float) -> None:
    """Interleaved medians; what takes longer than `slow` seconds runs once."""
    problem, x = fd.datasets.gaussian(m, N, sparsity)
    solvers = ours(problem.A, problem.y) | peers(problem.A, problem.y)
    seconds: dict[str, list[float]] = {name: [] for name in solvers}
    error: dict[str, float] = {}
    for turn in range(repeats + 1):  # the first round compiles, and is not counted
        for name, solve in solvers.items():
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
