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

__all__ = ["move", "psi_at", "psi_of", "room", "weights_at"]

_EXACT_BELOW = 300.0  # p = 2: e^tau is a double, and eps^2
_NORMAL = 1e-290
_CHUNK = 32  # coordinates whose bases are widened at once
_NO_MORE = 690.0  # e^tau and psi stay far from the largest double


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
def _finish_hyperbolic(par, eps, psi, slope):
    """The same in the place of tau in two doubles; False where |tau| is too large."""
    stay_apart()
    use_wide_vectors()
    eh, el = par[3], par[4]
    exact, most = -eh < _EXACT_BELOW, _NO_MORE - eh
    if exact:
        most = min(most, _NO_MORE)
    bad = 0
    for k in range(psi.size):
        bad += not (abs(psi[k]) < most)
    if bad > 0:
        return False
    if exact:
        _sinh_cosh(eps, psi, slope)
        return True
    for k in range(psi.size):
        h, e = dd_add(psi[k], slope[k], eh, el)
        g, f = dd_add(-psi[k], -slope[k], eh, el)
        U, V = exp_of(h, e), exp_of(g, f)
        psi[k], slope[k] = U - V, U + V
    return True


@jit_inner
def _hyperbolic(par, eps, a, b, shift, psi, slope):
    """``eps (e^tau - e^-tau)``, and its derivative; False where they are not finite."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    for k in range(shift.size):
        h, e = two_sum(a[k], shift[k])
        psi[k], slope[k] = h, e + b[k]
    return _finish_hyperbolic(par, eps, psi, slope)


@jit_inner
def _hyperbolic_lanes(par, eps, a, b, shift, psi, slope):
    """The same for eight shifts a base, (n, 8)."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    for j in range(shift.shape[0]):
        base, low, s, x, d = a[j], b[j], shift[j], psi[j], slope[j]
        for q in range(LANES):
            h, e = two_sum(base, s[q])
            x[q], d[q] = h, e + low
    return _finish_hyperbolic(par, eps, psi.reshape(-1), slope.reshape(-1))


@jit_inner
def _rational(b, eps, u, u_low, v, v_low, shift, psi, slope):
    """``eps (s^-b - (2-s)^-b)`` for b = 2, 3 and 5; False where a slack is taken."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    bad = 0
    for k in range(shift.size):
        s = shift[k]
        x, y = (u[k] - s) + u_low[k], (v[k] + s) + v_low[k]
        bad += not ((x > 0.0) & (y > 0.0))
        w = 1.0 / (x * y)  # one division for both
        psi[k], slope[k] = y * w, x * w
    if bad > 0:
        return False
    c = eps * b
    if b == 2.0:
        for k in range(shift.size):
            x, y = psi[k], slope[k]
            U, V = x * x, y * y
            psi[k], slope[k] = eps * (U - V), c * (U * x + V * y)
    elif b == 3.0:
        for k in range(shift.size):
            x, y = psi[k], slope[k]
            U, V = x * x * x, y * y * y
            psi[k], slope[k] = eps * (U - V), c * (U * x + V * y)
    else:
        for k in range(shift.size):
            x, y = psi[k], slope[k]
            U, V = x * x, y * y
            U, V = (U * U) * x, (V * V) * y
            psi[k], slope[k] = eps * (U - V), c * (U * x + V * y)
    return True


@jit_inner
def _general(par, u, u_low, v, v_low, shift, psi, slope):
    """Any p > 2, by logarithms in double-double; False where a slack is taken."""
    stay_apart()
    n, b = shift.size, par[1]
    down, w, U, V = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for k in range(n):
        down[k] = -shift[k]
    if not outputs(par, u, u_low, down, w, U):
        return False
    for k in range(n):
        slope[k] = b * (U[k] / w[k])
    if not outputs(par, v, v_low, shift, w, V):
        return False
    for k in range(n):
        psi[k] = U[k] - V[k]
        slope[k] += b * (V[k] / w[k])
    return True


@jit_inner
def _finite(x):
    use_wide_vectors()
    bad = 0
    for k in range(x.size):
        bad += not (abs(x[k]) < math.inf)
    return bad == 0


@jit_inner
def psi_of(par, eps, base, shift, psi, slope):
    """psi and d psi / d tau, one shift a base; False where a slack is taken or psi not finite."""
    stay_apart()
    p, b = par[0], par[1]
    u, u_low, v, v_low = base[0], base[1], base[2], base[3]
    if p == 2.0:
        return _hyperbolic(par, eps, u, u_low, shift, psi, slope)
    if eps > _NORMAL and (b == 2.0 or b == 3.0 or b == 5.0):
        good = _rational(b, eps, u, u_low, v, v_low, shift, psi, slope)
    else:
        good = _general(par, u, u_low, v, v_low, shift, psi, slope)
    return good and _finite(psi)


@jit_inner
def _widen(base, first, count, wide):
    """Each base eight times, for a flat loop: LLVM vectorises none that repeats a number itself."""
    stay_apart()
    for r in range(base.shape[0]):
        row, out = base[r, first:], wide[r]
        for j in range(count):
            a = row[j]
            for q in range(LANES):
                out[LANES * j + q] = a


@jit_inner
def psi_at(par, eps, base, shift, psi, slope):
    """psi and d psi / d tau (N, 8), as `psi_of`; lanes that are not used must hold a shift of 0."""
    stay_apart()
    if par[0] == 2.0:
        return _hyperbolic_lanes(par, eps, base[0], base[1], shift, psi, slope)
    N, space = shift.shape[0], np.empty(4 * _CHUNK * LANES)
    s, x, d = shift.reshape(-1), psi.reshape(-1), slope.reshape(-1)
    for first in range(0, N, _CHUNK):
        count = min(_CHUNK, N - first)
        start, size = LANES * first, LANES * count
        wide = space[: 4 * size].reshape(4, size)
        _widen(base, first, count, wide)
        end = start + size
        if not psi_of(par, eps, wide, s[start:end], x[start:end], d[start:end]):
            return False
    return True


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
def weights_at(p, log_alpha, base, shift, u, v):
    """The weights at base + shift, one shift a base."""
    stay_apart()
    power = 0.5 if p == 2.0 else -1.0 / (p - 2.0)
    for j in range(shift.size):
        a, b, c, d = base[0, j], base[1, j], base[2, j], base[3, j]
        if p == 2.0:
            x = power * ((a + shift[j]) + b)
            y = -x
        else:
            x = power * math.log((a - shift[j]) + b)
            y = power * math.log((c + shift[j]) + d)
        u[j], v[j] = math.exp(log_alpha + x), math.exp(log_alpha + y)
