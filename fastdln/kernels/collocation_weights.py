"""Weights in the variable in which a constant gradient moves them linearly.

    p = 2:  w = log(u / alpha);     p > 2:  w = (u / alpha)^(2-p)

(and the same for v). Then u^p is alpha^2 e^(2w), or eps w^-b with b = p/(p-2). `par` holds

    0 p   1, 2 b (hi, lo)   3, 4 log eps (hi, lo)   5 gain   6 kappa   7 mode

Mode FLOW: w' = +gain g for u, -gain g for v, exactly. Mode DESCENT: one step adds
log(1 - kappa g), or w ((1 - kappa g / w)^(2-p) - 1), which is gain g to first order, with

    p = 2:  kappa = 2 rate, gain = -2 rate;
    p > 2:  kappa = rate p alpha^(p-2), gain = (p-2) kappa,

rate being the step size, or 1 for the flow.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit_inline, jit_inner
from fastdln.kernels.elementary import exp_parts, log1p_dd, log_dd, pow2, scale2
from fastdln.kernels.extended import dd_add, dd_mul, dd_mul_double, two_sum
from fastdln.kernels.intrinsics import stay_apart

__all__ = ["DESCENT", "FLOW", "add_to", "exp_of", "increments", "outputs", "slopes"]

FLOW, DESCENT = 0, 1
_TOO_FAR = 0.875  # a step that takes more than this part of a weight is no small step


@jit_inline
def exp_of(hi: float, lo: float) -> float:
    small = hi < -750.0
    big = hi > 709.78
    k, a, b = exp_parts(0.0 if small or big else hi, lo)
    value = scale2(1.0 + (a + b), k)
    value = 0.0 if small else value
    return np.inf if big else value


@jit_inner
def outputs(par, hi, lo, delta, w, U):
    """``U = u^p`` and w itself, at base + delta; False if a w > 0 was needed and not there."""
    stay_apart()
    n = w.size
    eh, el = par[3], par[4]
    if par[0] == 2.0:
        for j in range(n):
            h, e = two_sum(hi[j], delta[j])
            e += lo[j]
            w[j] = h + e
            h, e = dd_add(2.0 * h, 2.0 * e, eh, el)
            U[j] = exp_of(h, e)
        return True
    bad = 0
    for j in range(n):
        bad += not (hi[j] + delta[j] > 0.0)
    if bad > 0:
        return False
    bh, bl = par[1], par[2]
    for j in range(n):
        h, e = two_sum(hi[j], delta[j])
        e += lo[j]
        w[j] = h + e
        h, e = log_dd(h, e)
        h, e = dd_mul(h, e, -bh, -bl)
        h, e = dd_add(h, e, eh, el)
        U[j] = exp_of(h, e)
    return True


@jit_inner
def slopes(par, w, U, sign, out):
    """``out = sign d(u^p)/dw``: 2 u^p, or -b u^p / w."""
    stay_apart()
    if par[0] == 2.0:
        for j in range(w.size):
            out[j] = sign * (2.0 * U[j])
        return
    c = -sign * par[1]
    for j in range(w.size):
        out[j] = c * (U[j] / w[j])


@jit_inner
def increments(par, g, w, sign, out):
    """Rate of w (flow) or its change in one step (descent); sign -1 for v.

    False where a step would take most of a weight, or all of it.
    """
    stay_apart()
    n = w.size
    if par[7] == FLOW:
        c = sign * par[5]
        for j in range(n):
            out[j] = c * g[j]
        return True
    kappa, bad = sign * par[6], 0
    if par[0] == 2.0:
        for j in range(n):
            x = kappa * g[j]
            far = not (abs(x) < _TOO_FAR)
            bad += far
            h, e = log1p_dd(0.0 if far else -x, 0.0)
            out[j] = h + e
        return bad == 0
    c = 2.0 - par[0]
    for j in range(n):
        x = kappa * g[j] / w[j]
        far = not (abs(x) < _TOO_FAR)
        bad += far
        h, e = log1p_dd(0.0 if far else -x, 0.0)
        h, e = dd_mul_double(h, e, c)
        k, a, b = exp_parts(h, e)
        s = pow2(k)
        out[j] = w[j] * ((s - 1.0) + s * (a + b))
    return bad == 0


@jit_inner
def add_to(hi, lo, delta):
    """``hi + lo += delta``."""
    stay_apart()
    for j in range(hi.size):
        s, e = two_sum(hi[j], delta[j])
        e += lo[j]
        h = s + e
        lo[j] = e - (h - s)
        hi[j] = h
