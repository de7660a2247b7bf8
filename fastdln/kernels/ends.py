"""The two ends of the path alpha -> 0: where it starts, and how it goes on below exp(-690)."""

from __future__ import annotations

import math

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.compensated import matvec_dd
from fastdln.kernels.linear import cholesky, cholesky_solve, rmatvec, weighted_gram
from fastdln.kernels.path import solve
from fastdln.kernels.select import select_basis
from fastdln.kernels.tableau import make_basis

__all__ = ["SINGULAR", "START_OK", "residual_norm", "slopes", "start_state"]

START_OK, SINGULAR = 0, 1


@jit_inner
def start_state(A, y, squares, p_is_2, columns, sgn, s):
    """The state lambda = 0, and a log eps so large that Newton's method reaches psi from it.

    There psi is close to the least-norm solution A^T (A A^T)^-1 y = eps h'(0) tau.
    """
    if not select_basis(A, np.ones(squares.size), squares, columns):
        return SINGULAR, 0.0
    log_eps = math.log(4.0 * _least_norm(A, y, columns))
    if not log_eps < np.inf:
        return SINGULAR, 0.0
    for i in range(s.size):
        sgn[i] = 1.0
        s[i] = -log_eps if p_is_2 else 1.0
    return START_OK, log_eps


@jit_inner
def _least_norm(A, y, columns):
    """The largest coordinate of the least-norm solution, or a bound if A A^T is near singular."""
    m, N = A.shape
    gram, z, psi, largest, square = np.empty((m, m)), y.copy(), np.empty(N), 0.0, 0.0
    weighted_gram(A, np.ones(N), gram)
    if cholesky(gram):
        cholesky_solve(gram, z)
        rmatvec(A, z, psi)
        for j in range(N):
            largest = max(largest, abs(psi[j]))
        return largest
    for x in make_basis(A, y, columns).x_hi:  # a solution too
        square += x * x
    return math.sqrt(square)


@jit_inner
def slopes(A, y, kept, columns, sgn, out):
    """p = 2: fill `out` with ds / dL at a root, from the factor `kept` of this very point.

    Along the path A D A^T dlambda / dL = y, in basis coordinates ds = dL - sgn dtau_B. Rows in a
    unit of their own (see `polish`) have no y.
    """
    basis = make_basis(A, y, columns)
    solve(kept.S, kept.measure, basis.x_hi, out)
    for i in range(out.size):
        out[i] = 1.0 - sgn[i] * out[i]


@jit_inner
def residual_norm(A, y, psi):
    """Euclidean norm of A psi - y, formed in double-double."""
    m, N = A.shape
    hi, lo = np.empty(m), np.empty(m)
    matvec_dd(A, psi, np.zeros(N), hi, lo)
    total = 0.0
    for i in range(m):
        r = (y[i] - hi[i]) - lo[i]
        total += r * r
    return math.sqrt(total)
