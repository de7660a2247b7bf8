"""When the iterations of a simplified Newton method are over: one rule for flow and descent.

The matrix is kept while it serves. Corrections shrink by theta from one to the next, so that what
is left after one of size `norm` is about theta norm (Hairer, Wanner, "Solving Ordinary
Differential Equations II", section IV.8).
"""

from __future__ import annotations

import math

from fastdln._jit import jit_inner

__all__ = ["FAILED", "FINE", "GO_ON", "MOST_ITERATIONS", "SOLVED", "judge", "renewed"]

MOST_ITERATIONS = 10
GO_ON, SOLVED, FAILED = 0, 1, 2
FINE = 0.02  # of the tolerance: what the iterations may leave
_SLOW = 0.3  # theta above which the matrix is made anew


@jit_inner
def renewed(iteration, theta):
    """Whether the matrix is to be made at this iteration."""
    return iteration == 0 or (theta > _SLOW and iteration % 2 == 0)


@jit_inner
def judge(iteration, norm, before, theta, tol, rounding):
    """(verdict, theta) after a correction of size `norm`, the one before of size `before`."""
    if not norm < math.inf:
        return FAILED, theta
    if norm <= rounding:
        return SOLVED, theta
    if iteration == 0:
        return SOLVED if norm <= FINE * tol else GO_ON, theta
    theta = norm / before
    if theta < 1.0 and norm * theta <= FINE * tol:
        return SOLVED, theta
    left = MOST_ITERATIONS - 1 - iteration
    hopeless = theta >= 2.0 or (theta < 1.0 and norm * theta**left > tol)
    return FAILED if iteration > 1 and hopeless else GO_ON, theta
