"""Real powers of a vector of weights, in float64 and in double-double.

The whole part of the exponent is done by products, one half by a square root, any
other fraction by exp(f log u): a product rounds once where exp and log would cost
twenty times as much.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit, jit_inline, jit_inner
from fastdln.kernels.elementary import exp_parts, log_any_dd, log_dd, scale2
from fastdln.kernels.extended import dd_mul, fast_two_sum, two_product
from fastdln.kernels.intrinsics import fma

__all__ = ["power_dd_into", "power_into", "small_power"]

NAN = float("nan")


@jit_inline
def _fraction(u: float, f: float) -> float:
    """``u**f`` for ``0 < f < 1``, NaN for u < 0; 1 ulp."""
    lh, ll = log_any_dd(abs(u))
    h, e = two_product(lh, f)
    k, a, b = exp_parts(h, fma(ll, f, e))
    value = scale2(1.0 + (a + b), k)
    value = 0.0 if u == 0.0 else value
    return value if u >= 0.0 and u < np.inf else NAN


@jit_inline
def small_power(u: float, q: int) -> float:
    """``u**q`` for q = 1, 2 or 3, in the order of `power_into`."""
    return u if q == 1 else (u * u if q == 2 else u * u * u)


@jit
def power_into(u, q, out):
    """``out = u**q`` for ``q >= 0``; NaN where u is negative and q no integer."""
    whole = int(np.floor(q))
    f = q - whole
    left = whole
    if f == 0.5:
        for j in range(u.size):
            out[j] = np.sqrt(u[j])
    elif f > 0.0:
        for j in range(u.size):
            out[j] = _fraction(u[j], f)
    elif whole > 0:
        left = whole - 1
        for j in range(u.size):
            out[j] = u[j]
    else:
        for j in range(u.size):
            out[j] = 1.0
    for _ in range(left):
        for j in range(u.size):
            out[j] *= u[j]


@jit_inline
def _root_dd(hi: float, lo: float) -> tuple[float, float]:
    """The square root of ``hi + lo > 0`` (one Newton step on the double's)."""
    s = np.sqrt(hi)
    p, e = two_product(s, s)
    rest = ((hi - p) - e) + lo
    h, low = fast_two_sum(s, rest / (2.0 * s))
    return (h, low) if hi > 0.0 else (0.0 if hi == 0.0 else NAN, 0.0)


@jit_inline
def _fraction_dd(hi: float, lo: float, f: float) -> tuple[float, float]:
    """``(hi + lo)**f`` for ``0 < f < 1``, right to 2**-54 of itself."""
    lh, ll = log_dd(abs(hi), lo if hi > 0.0 else -lo)
    h, e = two_product(lh, f)
    k, a, b = exp_parts(h, fma(ll, f, e))
    s, t = fast_two_sum(1.0, a)
    return (scale2(s, k), scale2(t + b, k)) if hi > 0.0 else (0.0 if hi == 0.0 else NAN, 0.0)


@jit_inner
def power_dd_into(uh, ul, q, oh, ol):
    """``oh + ol = (uh + ul)**q`` for ``q >= 0``, to 2**-100 where 2 q is an integer."""
    whole = int(np.floor(q))
    f = q - whole
    left = whole
    if f == 0.5:
        for j in range(uh.size):
            oh[j], ol[j] = _root_dd(uh[j], ul[j])
    elif f > 0.0:
        for j in range(uh.size):
            oh[j], ol[j] = _fraction_dd(uh[j], ul[j], f)
    elif whole > 0:
        left = whole - 1
        for j in range(uh.size):
            oh[j], ol[j] = uh[j], ul[j]
    else:
        for j in range(uh.size):
            oh[j], ol[j] = 1.0, 0.0
    for _ in range(left):
        for j in range(uh.size):
            oh[j], ol[j] = dd_mul(oh[j], ol[j], uh[j], ul[j])
