"""A problem split at the support of its l1 minimiser, and the convex problem off it.

Rates, null space constants and certificates all ask for dual vectors mu whose products
with the columns of the support are given, and see them through ``s = A_off^T mu`` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import functions
from fastdln.problem import Problem
from fastdln.results import L1Minimizer

__all__ = [
    "Law",
    "Split",
    "exponential",
    "hyperbolic",
    "least",
    "lift",
    "norm",
    "power",
    "split_at",
]

Array = NDArray[np.float64]

_ITERATIONS = 200


class Split(NamedTuple):
    """Columns on and off the support S of a minimiser x; k is the rank of A_on."""

    on: NDArray[np.int64]
    off: NDArray[np.int64]  # without zero columns: psi is 0 there, whatever alpha
    sign: Array  # sign of x on S
    size: Array  # abs(x) on S
    A_on: Array
    A_off: Array
    inverse: Array  # pinv(A_on)
    coupling: Array  # pinv(A_on) A_off: n in ker A has n_on = -coupling n_off if A_on is injective
    free: Array  # (m, m - k) orthonormal basis of ker A_on^T
    kernel: Array  # (|S|, |S| - k) orthonormal basis of ker A_on


def split_at(problem: Problem, minimizer: L1Minimizer) -> Split:
    """The columns of the equations that the flow sees, sorted by where the minimiser lives."""
    A = problem._constraints.A
    on = minimizer.support
    rest = np.ones(problem.N, dtype=bool)
    rest[on] = False
    off = np.flatnonzero(rest & np.any(A != 0.0, axis=0))
    k = on.size - minimizer.face_dimension
    U, sizes, Vt = np.linalg.svd(A[:, on], full_matrices=True)
    inverse = (Vt[:k].T / sizes[:k]) @ U[:, :k].T
    A_off = np.take(A, off, axis=1)
    return Split(
        on, off, np.sign(minimizer.psi[on]), np.abs(minimizer.psi[on]), A[:, on], A_off,
        inverse, inverse @ A_off, U[:, k:], Vt[k:].T,
    )  # fmt: skip


def lift(split: Split, target: Array) -> Array:
    """The shortest mu with ``A_on^T mu = target``; one correction in extended precision."""
    mu = split.inverse.T @ target
    wide = split.A_on.astype(np.longdouble)
    left = (target - wide.T @ mu).astype(np.float64)
    corrected: Array = mu + split.inverse.T @ left
    return corrected


def norm(*parts: Array) -> float:
    """Euclidean norm of the parts together; squares of large and small numbers are safe."""
    x = np.concatenate(parts)
    largest = float(np.max(np.abs(x), initial=0.0))
    if largest == 0.0 or not largest < np.inf:
        return largest
    return largest * float(np.linalg.norm(x / largest))


class Law(NamedTuple):
    """phi' and phi'' of a convex phi, up to one common factor, and the reach of a step.

    A step that moves s by less than `reach` changes phi'' by a factor of the order of e.
    """

    slope: Callable[[Array], Array]
    curvature: Callable[[Array], Array]
    reach: Callable[[Array], Array]


def power(p: float) -> Law:
    """phi = H_p for p > 2, on abs(s) < 1."""
    return Law(
        lambda s: np.asarray(functions.h(s, p)),
        lambda s: np.asarray(functions.h_prime(s, p)),
        lambda s: (1.0 - np.abs(s)) / (p / (p - 2.0) + 2.0),
    )


def hyperbolic() -> Law:
    """phi = H_2, in units of exp(max abs(s)): s may be in the thousands."""

    def half(s: Array) -> Array:
        return np.exp(np.abs(s) - np.max(np.abs(s)))

    return Law(
        lambda s: np.sign(s) * half(s) * -np.expm1(-2.0 * np.abs(s)),
        lambda s: half(s) * (1.0 + np.exp(-2.0 * np.abs(s))),
        np.ones_like,
    )


def exponential(sign: Array) -> Law:
    """phi = exp(sign s), in units of its largest value."""

    def unit(s: Array) -> Array:
        return np.exp(sign * s - np.max(sign * s))

    return Law(lambda s: sign * unit(s), unit, np.ones_like)


def least(law: Law, start: Array, directions: Array) -> Array:
    """The s in ``start + range(directions)`` with the least ``sum phi(s_i)``.

    Newton's method. A step r times as long as its reach is cut to log(1 + r), with which
    it decreases sums of phi whose third derivative is bounded by the second over the
    reach (Bach, "Self-concordant analysis for logistic regression", 2010).
    """
    s, last = start.copy(), np.inf
    if directions.size == 0:
        return s
    for _ in range(_ITERATIONS):
        root = np.sqrt(law.curvature(s))
        with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
            wanted = np.where(root > 0.0, -law.slope(s) / root, 0.0)
        step = directions @ _least_squares(root[:, np.newaxis] * directions, wanted)
        r = float(np.max(np.abs(step) / law.reach(s)))
        if not r > 1e-15 or (r < 1e-8 and r >= last):
            break
        s += step * (np.log1p(r) / r)
        last = r
    return s


def _least_squares(M: Array, v: Array) -> Array:
    """The z of least ||M z - v||, by QR: phi'' may span more decades than normal equations bear."""
    n = M.shape[1]
    if M.shape[0] > n:
        R = np.asarray(np.linalg.qr(np.column_stack((M, v)), mode="r"))
        diagonal = np.abs(np.diagonal(R)[:n])
        if np.min(diagonal) > 1e-12 * np.max(diagonal):
            return np.asarray(np.linalg.solve(R[:n, :n], R[:n, n]))
    return np.asarray(np.linalg.lstsq(M, v, rcond=1e-15)[0])
