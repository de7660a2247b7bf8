"""Solvers of min ||x||_1 over A x = y that users would pick, each at some settings.

They find the limit alpha -> 0 alone. celer and skglm solve the LASSO, whose minimiser is
off by the order of its penalty: they are given small penalties, as fractions of the least
one at which the answer is zero.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Solve = Callable[[], Array]

__all__ = ["SETTINGS", "SOLVERS"]

_MOST_STEPS = 1500  # of SPGL1: enough for 200 x 2000; what it has then is its answer


def highs(A: Array, y: Array, method: str) -> Solve:
    """SciPy's HiGHS on sum(u + v) over A (u - v) = y, u and v not negative."""
    from scipy.optimize import linprog

    N = A.shape[1]

    def solve() -> Array:
        z = linprog(np.ones(2 * N), A_eq=np.hstack((A, -A)), b_eq=y, method=method).x
        return np.asarray(z[:N] - z[N:])

    return solve


def clarabel(A: Array, y: Array, tolerance: float) -> Solve:
    """An interior point method for cones, on the same linear program."""
    import clarabel as package
    from scipy import sparse

    m, N = A.shape
    rows = sparse.csc_matrix(np.hstack((A, -A)))
    constraints = sparse.vstack((rows, -sparse.identity(2 * N))).tocsc()
    settings = package.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    cones = [package.ZeroConeT(m), package.NonnegativeConeT(2 * N)]
    nothing, bound = sparse.csc_matrix((2 * N, 2 * N)), np.r_[y, np.zeros(2 * N)]

    def solve() -> Array:
        solver = package.DefaultSolver(nothing, np.ones(2 * N), constraints, bound, cones, settings)
        z = np.array(solver.solve().x)
        return np.asarray(z[:N] - z[N:])

    return solve


def spgl1(A: Array, y: Array, tolerance: float) -> Solve:
    """Spectral projected gradients along the Pareto curve, by products alone."""
    from spgl1 import spg_bp

    tolerances = dict.fromkeys(("opt_tol", "bp_tol", "dec_tol"), tolerance)

    def solve() -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(spg_bp(A, y, iter_lim=_MOST_STEPS, **tolerances)[0])

    return solve


def lars(A: Array, y: Array, _: Any) -> Solve:
    """The end of the LASSO path by homotopy."""
    from sklearn.linear_model import lars_path

    return lambda: np.asarray(lars_path(A, y, method="lasso", alpha_min=0.0, return_path=False)[2])


def _lasso(package: Any, A: Array, y: Array, fraction: float) -> Solve:
    """An estimator with scikit-learn's parameters, at a small penalty."""
    penalty = fraction * float(np.max(np.abs(A.T @ y))) / y.size

    def solve() -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # With the duality gap an order below the penalty, the penalty decides the error.
            model = package.Lasso(alpha=penalty, fit_intercept=False, tol=fraction / 10)
            return np.asarray(model.fit(A, y).coef_)

    return solve


def celer(A: Array, y: Array, fraction: float) -> Solve:
    """Coordinate descent on working sets with dual extrapolation."""
    import celer as package

    return _lasso(package, A, y, fraction)


def skglm(A: Array, y: Array, fraction: float) -> Solve:
    """Coordinate descent on working sets with Anderson acceleration, in numba."""
    import skglm as package

    return _lasso(package, A, y, fraction)


SOLVERS: dict[str, Callable[[Array, Array, Any], Solve]] = {
    "HiGHS simplex": lambda A, y, _: highs(A, y, "highs-ds"),
    "HiGHS-IPM": lambda A, y, _: highs(A, y, "highs-ipm"),
    "Clarabel": clarabel,
    "SPGL1": spgl1,
    "lars_path": lars,
    "celer": celer,
    "skglm": skglm,
}

# What a setting means, and those that are run, the tightest last. skglm takes half a minute
# with a penalty of 1e-6 at 200 x 2000.
SETTINGS: dict[str, tuple[str, tuple[float, ...]]] = {
    "Clarabel": ("tolerance", (1e-8,)),
    "SPGL1": ("tolerance", (1e-4, 1e-6)),
    "celer": ("penalty", (1e-2, 1e-4, 1e-6)),
    "skglm": ("penalty", (1e-2, 1e-4)),
}
