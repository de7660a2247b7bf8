"""psi and the weights at slacks that eight vectors of shifts move away from one base.

``base`` (4, N): p = 2: tau (hi, lo), and two rows that are not used; p > 2: the slacks 1 - tau and
1 + tau, (hi, lo) each. A shift is added to tau. ``par`` is that of `collocation_weights`.
"""

from __future__ import annotations

import math

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.collocation_weights import add_to, exp_of, outputs
from fastdln.kernels.extended import dd_add, two_sum
from fastdln.kernels.intrinsics import stay_apart, use_wide_vectors
from fastdln.kernels.lanes import LANES

__all__ = ["move", "psi_at", "room", "weights_of_lanes"]

_EXACT_BELOW = 300.0  # p = 2: e^tau is a double, and eps^2
_NORMAL = 1e-290


@jit_inner
def _hyperbolic(par, eps, base, shift, psi, slope):
    """``eps (e^tau - e^-tau)``, and its derivative."""
    stay_apart()
    use_wide_vectors()
    eh, el = par[3], par[4]
    for j in range(shift.shape[0]):
        hi, lo, s, x, d = base[0, j], base[1, j], shift[j], psi[j], slope[j]
        for q in range(LANES):
            h, e = two_sum(hi, s[q])
            x[q], d[q] = h, e + lo
    x, d = psi.reshape(-1), slope.reshape(-1)  # long loops: LLVM vectorises no exp in short ones
    if -eh < _EXACT_BELOW:
        for k in range(x.size):
            E = exp_of(x[k], d[k])
            U, V = eps * E, eps / E
            x[k], d[k] = U - V, U + V
        return
    for k in range(x.size):
        h, e = dd_add(x[k], d[k], eh, el)
        g, f = dd_add(-x[k], -d[k], eh, el)
        U, V = exp_of(h, e), exp_of(g, f)
        x[k], d[k] = U - V, U + V


@jit_inner
def _rational(b, eps, base, shift, psi, slope):
    """``eps (s^-b - (2-s)^-b)`` for b = 2, 3 and 5."""
    stay_apart()
    use_wide_vectors()
    c = eps * b
    for j in range(shift.shape[0]):
        u, u_low, v, v_low = base[0, j], base[1, j], base[2, j], base[3, j]
        s, z, d = shift[j], psi[j], slope[j]
        for q in range(LANES):
            x, y = 1.0 / ((u - s[q]) + u_low), 1.0 / ((v + s[q]) + v_low)
            U, V = x * x, y * y
            if b == 3.0:
                U, V = U * x, V * y
            elif b == 5.0:
                U, V = (U * U) * x, (V * V) * y
            z[q] = eps * (U - V)
            d[q] = c * (U * x + V * y)


@jit_inner
def _general(par, stages, base, shift, psi, slope):
    """Any p > 2, by logarithms in double-double."""
    stay_apart()
    n = shift.shape[0]
    up, down, w, U, V = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    b = par[1]
    for q in range(stages):
        for j in range(n):
            up[j], down[j] = shift[j, q], -shift[j, q]
        outputs(par, base[0], base[1], down, w, U)
        for j in range(n):
            slope[j, q] = b * (U[j] / w[j])
        outputs(par, base[2], base[3], up, w, V)
        for j in range(n):
            psi[j, q] = U[j] - V[j]
            slope[j, q] += b * (V[j] / w[j])


@jit_inner
def _free(base, shift):
    """Whether every slack is positive."""
    use_wide_vectors()
    bad = np.zeros(LANES)
    for j in range(shift.shape[0]):
        u, v, s = base[0, j], base[2, j], shift[j]
        for q in range(LANES):
            bad[q] += 0.0 if (u - s[q] > 0.0) & (v + s[q] > 0.0) else 1.0
    for q in range(LANES):
        if bad[q] > 0.0:
            return False
    return True


@jit_inner
def _total(x):
    use_wide_vectors()
    sums = np.zeros(LANES)
    for j in range(x.shape[0]):
        row = x[j]
        for q in range(LANES):
            sums[q] += abs(row[q])
    total = 0.0
    for q in range(LANES):
        total += sums[q]
    return total


@jit_inner
def psi_at(par, eps, stages, base, shift, psi, slope):
    """psi and d psi / d tau (N, 8); False where a slack is taken, or psi is not finite.

    Lanes from `stages` on must hold a shift of 0, and psi and slope numbers.
    """
    stay_apart()
    p, b = par[0], par[1]
    if p == 2.0:
        _hyperbolic(par, eps, base, shift, psi, slope)
    else:
        if not _free(base, shift):
            return False
        if eps > _NORMAL and (b == 2.0 or b == 3.0 or b == 5.0):
            _rational(b, eps, base, shift, psi, slope)
        else:
            _general(par, stages, base, shift, psi, slope)
    return _total(psi) < math.inf


@jit_inner
def room(p, base, shift, change, most):
    """Into most (8,): the largest change of tau in each lane, relative to the slack for p > 2."""
    stay_apart()
    use_wide_vectors()
    for q in range(LANES):
        most[q] = 0.0
    if p == 2.0:
        for j in range(change.shape[0]):
            c = change[j]
            for q in range(LANES):
                a = abs(c[q])
                most[q] = a if a > most[q] else most[q]
        return
    for j in range(change.shape[0]):
        u, v, s, c = base[0, j], base[2, j], shift[j], change[j]
        for q in range(LANES):
            x, y = u - s[q], v + s[q]
            a = abs(c[q]) / (x if x < y else y)
            most[q] = a if a > most[q] else most[q]


@jit_inner
def move(p, base, shift):
    """``tau += shift``."""
    if p == 2.0:
        add_to(base[0], base[1], shift)
        return
    add_to(base[2], base[3], shift)
    opposite = np.empty(shift.size)
    for j in range(shift.size):
        opposite[j] = -shift[j]
    add_to(base[0], base[1], opposite)


@jit_inner
def _exponential(alpha, log_alpha, base, shift, u, v):
    """``alpha e^(tau/2)`` and ``alpha e^(-tau/2)``."""
    stay_apart()
    use_wide_vectors()
    for j in range(shift.shape[0]):
        a, b, s, x = base[0, j], base[1, j], shift[j], u[j]
        for q in range(LANES):
            x[q] = 0.5 * ((a + s[q]) + b)
    x, y = u.reshape(-1), v.reshape(-1)
    if alpha > _NORMAL:
        for k in range(x.size):
            E = exp_of(x[k], 0.0)
            x[k], y[k] = alpha * E, alpha / E
        return
    for k in range(x.size):
        t = x[k]
        x[k], y[k] = exp_of(log_alpha + t, 0.0), exp_of(log_alpha - t, 0.0)


@jit_inner
def weights_of_lanes(p, log_alpha, base, shift, u, v):
    """The weights (N, 8) at base + shift."""
    stay_apart()
    alpha = math.exp(log_alpha)
    if p == 2.0:
        _exponential(alpha, log_alpha, base, shift, u, v)
        return
    for j in range(shift.shape[0]):
        a, b, c, d = base[0, j], base[1, j], base[2, j], base[3, j]
        s, x, y = shift[j], u[j], v[j]
        if p == 3.0 and alpha > _NORMAL:
            for q in range(LANES):
                x[q], y[q] = alpha / ((a - s[q]) + b), alpha / ((c + s[q]) + d)
        elif p == 4.0 and alpha > _NORMAL:
            for q in range(LANES):
                x[q] = alpha / math.sqrt((a - s[q]) + b)
                y[q] = alpha / math.sqrt((c + s[q]) + d)
        else:
            power = -1.0 / (p - 2.0)
            for q in range(LANES):
                x[q] = math.exp(log_alpha + power * math.log((a - s[q]) + b))
                y[q] = math.exp(log_alpha + power * math.log((c + s[q]) + d))
