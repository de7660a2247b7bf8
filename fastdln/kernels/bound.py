"""A first-order a-posteriori bound on the relative error of every coordinate of psi.

With rho the size of the rounding errors in the residual's rows and S the Newton matrix,

    |d tau_B| <= |C S^-1 C| rho,   |d tau_N| <= |A_N|^T |A_B^-T| |d tau_B|,
    |d psi_j| / |psi_j| <= (D_j / |psi_j|) |d tau_j| + (evaluation of h_p),

all absolute values elementwise. Terms of second order are below the square of the bound.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.linear import invert_factored

__all__ = ["error_bound"]

_ULP = 2.0**-52


@jit_inner
def _absolute_dot(x, y):
    """sum of |x_j y_j|, in eight partial sums."""
    whole, rest = x.size - x.size % 8, 0.0
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(0, whole, 8):
        s0 += abs(x[j] * y[j])
        s1 += abs(x[j + 1] * y[j + 1])
        s2 += abs(x[j + 2] * y[j + 2])
        s3 += abs(x[j + 3] * y[j + 3])
        s4 += abs(x[j + 4] * y[j + 4])
        s5 += abs(x[j + 5] * y[j + 5])
        s6 += abs(x[j + 6] * y[j + 6])
        s7 += abs(x[j + 7] * y[j + 7])
    for j in range(whole, x.size):
        rest += abs(x[j] * y[j])
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)) + rest


@jit_inner
def _row_errors(A, basis, apart, zero, far, unit, values, rest, evaluation, rhs):
    """rho, each row in its own unit: rounding of its terms, and what is left of it."""
    m = A.shape[0]
    v, rho = np.empty(m), np.empty(m)
    for i in range(m):
        v[i] = _absolute_dot(A[i], rest)
    for i in range(m):
        s = 0.0
        for k in range(m):
            s += abs(basis.inverse[i, k]) * v[k]
        s *= 1.0 if zero[i] else unit
        s += abs(values[basis.columns[i]])
        for k in range(apart.columns.size):
            own = 1.0 if zero[i] or not far[k] else unit
            s += abs(apart.g_hi[k, i] * values[apart.columns[k]]) * own
        rho[i] = evaluation * s + abs(rhs[i])
    return rho


@jit_inner
def error_bound(
    A, p_is_2, b, basis, apart, zero, far, unit, weight, S, scale, values, rest, D, rhs
):  # fmt: skip
    """Largest bound over the coordinates. `weight` is as in `polish._take_step`."""
    m, N = A.shape
    evaluation = (3.0 if p_is_2 else 3.0 + 0.5 * b) * _ULP
    rho = _row_errors(A, basis, apart, zero, far, unit, values, rest, evaluation, rhs)
    inverse, dtau = np.empty((m, m)), np.empty(m)
    invert_factored(S, inverse)
    for i in range(m):
        rho[i] *= scale[i] * weight[i]
    for i in range(m):  # |C S^-1 C| rho
        dtau[i] = _absolute_dot(inverse[i], rho)
    worst = evaluation
    dual = np.zeros(m)
    for i in range(m):
        dtau[i] *= scale[i] / weight[i]
        j = basis.columns[i]
        if values[j] != 0.0:
            worst = max(worst, evaluation + dtau[i] * D[j] / abs(values[j]))
        for k in range(m):
            dual[k] += abs(basis.inverse[i, k]) * dtau[i]
    for k in range(apart.columns.size):
        j, t = apart.columns[k], 0.0
        for i in range(m):
            t += abs(apart.g_hi[k, i]) * dtau[i]
        if values[j] != 0.0:
            worst = max(worst, evaluation + t * D[j] / abs(values[j]))
    column_sum = np.zeros(N)
    for k in range(m):
        row, t = A[k], dual[k]
        for j in range(N):
            column_sum[j] += abs(row[j]) * t
    for j in range(N):
        if rest[j] != 0.0:
            worst = max(worst, evaluation + column_sum[j] * D[j] / abs(rest[j]))
    return worst
