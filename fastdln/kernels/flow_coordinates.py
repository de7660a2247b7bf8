"""psi and the weights at slacks that eight vectors of shifts move away from one base.

``base`` (4, N): p = 2: tau (hi, lo), and two rows that are not used; p > 2: the slacks 1 - tau and
1 + tau, (hi, lo) each. A shift is added to tau. ``par`` is that of `collocation_weights`.
"""

from __future__ import annotations

import math

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.collocation_weights import add_to, exp_of, outputs
from fastdln.kernels.elementary import pow2, reduce_exp, sinh_cosh_bends
from fastdln.kernels.extended import dd_add, two_sum
from fastdln.kernels.intrinsics import (
    arrays_are_disjoint,
    fma,
    stay_apart,
    use_wide_vectors,
)
from fastdln.kernels.lanes import LANES

__all__ = ["move", "psi_at", "room", "weights_of_lanes"]

_EXACT_BELOW = 300.0  # p = 2: e^tau is a double, and eps^2
_NORMAL = 1e-290
_NO_MORE = 690.0  # e^tau and psi stay far from the largest double


@jit_inner
def _spread(base, shift, hi, lo):
    """tau in two doubles; the largest of |hi| where all are finite, else infinite."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    most, bad = np.zeros(LANES), np.zeros(LANES)
    for j in range(shift.shape[0]):
        a, b = base[0, j], base[1, j]
        for q in range(LANES):
            h, e = two_sum(a, shift[j, q])
            hi[j, q], lo[j, q] = h, e + b
            most[q] = abs(h) if abs(h) > most[q] else most[q]
            bad[q] += 0.0 if abs(h) < math.inf else 1.0
    top = 0.0
    for q in range(LANES):
        top = max(top, most[q] if bad[q] == 0.0 else math.inf)
    return top


@jit_inner
def _sinh_cosh(eps, x, d):
    """``eps (e^t - e^-t)`` and ``eps (e^t + e^-t)`` in the place of t = x + d, |t| <= 700."""
    stay_apart()
    use_wide_vectors()
    for k in range(x.size):  # a long loop: LLVM vectorises no exp in short ones
        n, r, e = reduce_exp(x[k], d[k])
        z = r * r
        s, c = sinh_cosh_bends(z)
        s, c = r + fma(s * z, r, e), fma(c, z, r * e)
        U = (eps * pow2(n)) * (1.0 + (c + s))
        V = (eps * pow2(-n)) * (1.0 + (c - s))
        x[k], d[k] = U - V, U + V


@jit_inner
def _hyperbolic(par, eps, base, shift, psi, slope):
    """``eps (e^tau - e^-tau)``, and its derivative; False where they are not finite."""
    stay_apart()
    use_wide_vectors()
    eh, el = par[3], par[4]
    most = _spread(base, shift, psi, slope)
    x, d = psi.reshape(-1), slope.reshape(-1)
    if -eh < _EXACT_BELOW:
        if not (most < _NO_MORE and most + eh < _NO_MORE):
            return False
        _sinh_cosh(eps, x, d)
        return True
    for k in range(x.size):
        h, e = dd_add(x[k], d[k], eh, el)
        g, f = dd_add(-x[k], -d[k], eh, el)
        U, V = exp_of(h, e), exp_of(g, f)
        x[k], d[k] = U - V, U + V
    return most + eh < _NO_MORE


@jit_inner
def _rational(b, eps, base, shift, psi, slope):
    """``eps (s^-b - (2-s)^-b)`` for b = 2, 3 and 5."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    c = eps * b
    for j in range(shift.shape[0]):
        u, u_low, v, v_low = base[0, j], base[1, j], base[2, j], base[3, j]
        for q in range(LANES):
            s = shift[j, q]
            x, y = 1.0 / ((u - s) + u_low), 1.0 / ((v + s) + v_low)
            U, V = x * x, y * y
            if b == 3.0:
                U, V = U * x, V * y
            elif b == 5.0:
                U, V = (U * U) * x, (V * V) * y
            psi[j, q] = eps * (U - V)
            slope[j, q] = c * (U * x + V * y)


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
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    bad = np.zeros(LANES)
    for j in range(shift.shape[0]):
        u, v = base[0, j], base[2, j]
        for q in range(LANES):
            s = shift[j, q]
            bad[q] += 0.0 if (u - s > 0.0) & (v + s > 0.0) else 1.0
    for q in range(LANES):
        if bad[q] > 0.0:
            return False
    return True


@jit_inner
def _total(x):
    """The sum of |x|."""
    stay_apart()
    use_wide_vectors()
    sums = np.zeros(LANES)
    for j in range(x.shape[0]):
        for q in range(LANES):
            sums[q] += abs(x[j, q])
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
        return _hyperbolic(par, eps, base, shift, psi, slope)
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
    arrays_are_disjoint()
    use_wide_vectors()
    for q in range(LANES):
        most[q] = 0.0
    if p == 2.0:
        for j in range(change.shape[0]):
            for q in range(LANES):
                a = abs(change[j, q])
                most[q] = a if a > most[q] else most[q]
        return
    for j in range(change.shape[0]):
        u, v = base[0, j], base[2, j]
        for q in range(LANES):
            x, y = u - shift[j, q], v + shift[j, q]
            a = abs(change[j, q]) / (x if x < y else y)
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
    arrays_are_disjoint()
    use_wide_vectors()
    for j in range(shift.shape[0]):
        a, b = base[0, j], base[1, j]
        for q in range(LANES):
            u[j, q] = 0.5 * ((a + shift[j, q]) + b)
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
