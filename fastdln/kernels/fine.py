"""|psi| of one coordinate as the sum of two numbers, to about 2**-90.

psi = exp(u) (1 - exp(-w)) with u = -d, w = 2 a (p = 2), u = -b log(1 - a) - L,
w = b (log(1 + a) - log(1 - a)) (p > 2), a = |tau|: see `magnitude`, which rounds once what
is carried here to the end. The logarithms of `elementary`, right to 2**-64, are brought to
2**-98 by a step of Newton's method, log x = l + (x exp(-l) - 1). Without branches, so that loops
vectorise.
"""

from __future__ import annotations

from fastdln._jit import jit_inline
from fastdln.kernels.elementary import LN2_HI, LOG2_E, log_dd, pow2, round_to_int, scale2
from fastdln.kernels.extended import (
    dd_add,
    dd_add_double,
    dd_mul,
    fast_two_sum,
    two_product,
    two_sum,
)
from fastdln.kernels.intrinsics import fma

__all__ = ["UNIT", "exp_fine", "log_fine", "magnitude_fine_2", "magnitude_fine_p"]

# Relative error of magnitudes, over 1500 + |L|. q of `exp_fine` is right to 2**-98.7: x**5 / 720,
# at most 2**-47 of q, is rounded thrice to a double; all else is below 2**-102. `log_fine` takes
# this over; where q and the log are least alike they are as 0.4143 to 0.3466: right to 2**-98.4.
# Of |b log s| = |L + u| that makes 2**-98.3 |L + u|; w and two exponentials add less than 2**-96,
# and the reduction of u 2**-104 |u|. u is at most 700 (psi is finite) and at least -|L|.
UNIT = 2.0**-98

_FAR = 1400.0  # log of what overflows or underflows anyway
_LN2_MID = 5.497923018708371e-14  # of ln 2 - LN2_HI, and the rest
_LN2_LO = 1.94704509238075e-31
_PART = 0.015625  # 2**-6


@jit_inline
def _horner(
    c: float, c_lo: float, x: float, x_lo: float, q: float, q_lo: float
) -> tuple[float, float]:
    """``c + x q`` where x q is the smaller; the result is not normalised."""
    t, e = two_product(x, q)
    e = fma(x, q_lo, fma(x_lo, q, e))
    s, f = fast_two_sum(c, t)
    return s, f + (e + c_lo)


@jit_inline
def _squared(q: float, q_lo: float) -> tuple[float, float]:
    """``(1 + q)^2 - 1 = 2 q + q^2`` for ``|q| < 1``."""
    z, e = two_product(q, q)
    e = fma(2.0 * q, q_lo, e)
    s, f = fast_two_sum(2.0 * q, z)
    return fast_two_sum(s, f + (2.0 * q_lo + e))


@jit_inline
def exp_fine(hi: float, lo: float) -> tuple[int, float, float]:
    """``exp(hi + lo) = 2**k (1 + q)``, q as a sum, ``|hi| <= 1500``: to 2**-98 of q."""
    k, kf = round_to_int(hi * LOG2_E)
    p, e = two_product(-kf, _LN2_MID)
    x, x_lo = two_sum(fma(-kf, LN2_HI, hi), p)
    x, x_lo = fast_two_sum(x, x_lo + (fma(-kf, _LN2_LO, e) + lo))
    x, x_lo = _PART * x, _PART * x_lo
    t = fma(x, 2.08767569878681e-09, 2.505210838544172e-08)  # 1/12!, 1/11!, ..., 1/6!
    t = fma(x, t, 2.755731922398589e-07)
    t = fma(x, t, 2.7557319223985893e-06)
    t = fma(x, t, 2.48015873015873e-05)
    t = fma(x, t, 0.0001984126984126984)
    t = fma(x, t, 0.001388888888888889)
    q, q_lo = fast_two_sum(0.008333333333333333, fma(x, t, 1.1564823173178714e-19))
    q, q_lo = _horner(0.041666666666666664, 2.3129646346357427e-18, x, x_lo, q, q_lo)
    q, q_lo = _horner(0.16666666666666666, 9.25185853854297e-18, x, x_lo, q, q_lo)
    q, q_lo = _horner(0.5, 0.0, x, x_lo, q, q_lo)
    z, z_lo = dd_mul(x, x_lo, x, x_lo)
    q, q_lo = _horner(x, x_lo, z, z_lo, q, q_lo)
    q, q_lo = fast_two_sum(q, q_lo)
    q, q_lo = _squared(q, q_lo)
    q, q_lo = _squared(q, q_lo)
    q, q_lo = _squared(q, q_lo)
    q, q_lo = _squared(q, q_lo)
    q, q_lo = _squared(q, q_lo)
    q, q_lo = _squared(q, q_lo)
    return k, q, q_lo


@jit_inline
def log_fine(x: float, x_lo: float, f: float, f_lo: float) -> tuple[float, float]:
    """log(x + x_lo) to 2**-98 for x in 2**-1000 ... 2**1000; f + f_lo = x + x_lo - 1 as given."""
    hi, lo = log_dd(x, x_lo)
    k, q, q_lo = exp_fine(-hi, -lo)
    g, g_lo = dd_add_double(scale2(x, k), scale2(x_lo, k), -1.0)
    g, g_lo = f if k == 0 else g, f_lo if k == 0 else g_lo
    z, e = two_product(g, q)
    e = fma(g, q_lo, fma(g_lo, q, e))
    s, t = two_sum(g, q)
    s, r = two_sum(s, z)  # all but nothing
    return fast_two_sum(hi, lo + (s + (r + (t + ((g_lo + q_lo) + e)))))


@jit_inline
def _less_than_one(hi: float, lo: float) -> tuple[float, float]:
    """``1 - exp(-(hi + lo))`` for ``hi >= 0``, relatively right."""
    far = hi > 100.0
    k, q, q_lo = exp_fine(-100.0 if far else -hi, 0.0 if far else -lo)
    c = pow2(k)
    r, e = two_sum(1.0, -c)
    return dd_add(r, e, -c * q, -c * q_lo)


@jit_inline
def _magnitude(
    u: float, u_lo: float, w: float, w_lo: float, log_unit: float
) -> tuple[float, float]:
    """``exp(u - log_unit) (1 - exp(-w))``."""
    u, u_lo = dd_add_double(u, u_lo, -log_unit)
    v = u if u > -_FAR else -_FAR
    v = v if v < _FAR else _FAR
    k, e, e_lo = exp_fine(v, u_lo)
    e, e_lo = dd_add_double(e, e_lo, 1.0)
    q, q_lo = _less_than_one(w, w_lo)
    q, q_lo = dd_mul(q, q_lo, e, e_lo)
    return scale2(q, k), scale2(q_lo, k)


@jit_inline
def magnitude_fine_2(
    a: float, a_lo: float, d: float, d_lo: float, log_unit: float
) -> tuple[float, float]:
    """p = 2: |psi| / exp(log_unit) from the pairs a = |tau|, d = L - a."""
    return _magnitude(-d, -d_lo, 2.0 * a, 2.0 * a_lo, log_unit)


@jit_inline
def magnitude_fine_p(
    b: float, b_lo: float, a: float, a_lo: float, s: float, s_lo: float,
    L: float, L_lo: float, log_unit: float,
) -> tuple[float, float]:  # fmt: skip
    """p > 2: the same from the pairs b = p / (p - 2), a = |tau|, s = 1 - a > 0, L."""
    n, n_lo = log_fine(s, s_lo, -a, -a_lo)
    x, x_lo = dd_add_double(a, a_lo, 1.0)
    d, d_lo = log_fine(x, x_lo, a, a_lo)
    u, u_lo = dd_mul(n, n_lo, b, b_lo)
    u, u_lo = dd_add(-u, -u_lo, -L, -L_lo)
    w, w_lo = dd_add(d, d_lo, -n, -n_lo)
    w, w_lo = dd_mul(w, w_lo, b, b_lo)
    return _magnitude(u, u_lo, w, w_lo, log_unit)
