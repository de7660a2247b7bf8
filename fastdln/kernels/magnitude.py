"""|psi|, d psi / d tau and log |psi| of one coordinate, each to its own relative accuracy.

psi = eps h_p(tau), eps = exp(-L). Arguments that need it come in double-double; results
are in a unit U = exp(log_unit) of the caller's choice, so that eps itself may underflow.
Each is right to 3 units of 2**-52, whatever p: what is raised to the power b is carried as a
logarithm in double-double, for b = p / (p - 2) is rounded, and huge where p is near 2.
"""

from __future__ import annotations

import math

from fastdln._jit import jit
from fastdln.kernels.coordinate_power import exponent_b
from fastdln.kernels.elementary import exp_parts, log1p_dd, log_dd, one_minus_exp, scale2
from fastdln.kernels.extended import dd_add, dd_mul, fast_two_sum, two_product
from fastdln.kernels.intrinsics import fma

__all__ = ["magnitude_2", "magnitude_p", "power_of"]

_FAR = 1400.0  # log of what overflows or underflows anyway
_SMALL = 0.5  # below this |tau| the difference of the two halves is formed without cancellation


@jit
def power_of(p):
    """b = p / (p - 2) as a sum; for p = 2, where it plays no part, 1."""
    return exponent_b(p) if p > 2.0 else (1.0, 0.0)


@jit
def magnitude_2(a_hi, a_lo, L_hi, L_lo, d_hi, d_lo, log_unit):
    """p = 2, |tau| = a = L - d: ``(|psi| / U, D / U, log |psi|)`` with U = exp(log_unit)."""
    if a_hi < _SMALL:
        a = a_hi + a_lo
        eps = math.exp(-L_hi - log_unit) * (1.0 - L_lo)
        h = 2.0 * math.sinh(a)
        log_psi = math.log(h) - L_hi if h > 0.0 else -math.inf
        return h * eps, 2.0 * math.cosh(a) * eps, log_psi
    minus = math.exp(-d_hi - log_unit) * (1.0 - d_lo)
    ratio = math.exp(-2.0 * a_hi)
    return minus * (1.0 - ratio), minus * (1.0 + ratio), math.log1p(-ratio) - (d_hi + d_lo)


@jit
def magnitude_p(b, b_lo, a_hi, a_lo, s_hi, s_lo, L_hi, L_lo, log_unit):
    """p > 2, |tau| = a = 1 - s: as `magnitude_2`; NaN unless s > 0."""
    if not s_hi > 0.0:
        return math.nan, math.nan, math.nan
    near = a_hi < _SMALL
    n_hi, n_lo = log1p_dd(-a_hi, -a_lo) if near else log_dd(s_hi, s_lo)
    d_hi, d_lo = log1p_dd(a_hi, a_lo)
    u_hi, u_lo = dd_mul(n_hi, n_lo, b, b_lo)
    u_hi, u_lo = dd_add(-u_hi, -u_lo, -L_hi, -L_lo)
    w_hi, w_lo = dd_add(d_hi, d_lo, -n_hi, -n_lo)
    w_hi, w_lo = dd_mul(w_hi, w_lo, b, b_lo)
    q, q_lo = one_minus_exp(w_hi, w_lo)  # one half less the other, over the one
    v_hi, v_lo = dd_add(u_hi, u_lo, -log_unit, 0.0)
    v = min(max(v_hi, -_FAR), _FAR)
    k, e, e_lo = exp_parts(v, v_lo if v == v_hi else 0.0)
    c, c_lo = two_product(q, e)
    y, y_lo = fast_two_sum(q, c)
    value = scale2(y + (y_lo + (c_lo + fma(q, e_lo, fma(q_lo, e, q_lo)))), k)
    slope = b * scale2(1.0 + e, k) * (1.0 / s_hi + (1.0 - q) / (1.0 + a_hi))
    return value, slope, u_hi + (u_lo + math.log(q)) if q > 0.0 else -math.inf
