"""exp and log without branches, so that loops over them vectorise.

Numba's own exp and log are scalar libm calls. These are polynomials with explicit
fused multiply-add; results come as unevaluated sums so that a caller rounds once. The
coefficients are made by ``benchmarks/functions/fit_polynomials.py``.
"""

from __future__ import annotations

from fastdln._jit import jit_inline
from fastdln.kernels.extended import fast_two_sum, two_product, two_sum
from fastdln.kernels.intrinsics import bits_to_float, float_to_bits, fma

__all__ = [
    "exp_parts",
    "exp_poly",
    "exp_short",
    "log1p_dd",
    "log1p_short",
    "log_any_dd",
    "log_dd",
    "one_minus_exp",
    "pow2",
    "reciprocal",
    "reduce_exp",
    "round_to_int",
    "scale2",
    "sinh_cosh_bends",
    "sinh_cosh_parts",
    "with_sign",
]

SIGN = -9223372036854775808
RECIPROCAL_BITS = 0x7FDE600000000000
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
SHIFT = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer
SHIFT_BITS = 0x4338000000000000
LOG2_E = 1.4426950408889634
LN2 = 0.6931471805599453
LN2_HI = 0.6931471805598903  # 42 bits: k * LN2_HI is exact
LN2_LO = 5.497923018708371e-14


@jit_inline
def pow2(k: int) -> float:
    """``2**k`` for ``-1022 <= k <= 1023``."""
    return bits_to_float((k + 1023) << 52)


@jit_inline
def scale2(y: float, k: int) -> float:
    """``y * 2**k`` for ``|k| <= 2044``, rounded (or overflowing) in the last product only."""
    half = k >> 1
    return (y * pow2(half)) * pow2(k - half)


@jit_inline
def with_sign(y: float, t: float) -> float:
    """y, zero, positive or with the sign of t already, with the sign of t (of zero too)."""
    return bits_to_float(float_to_bits(y) | (float_to_bits(t) & SIGN))


@jit_inline
def reciprocal(c: float) -> float:
    """``1 / c`` to 3e-12 for ``2**-1020 < c < 2**1021``, without the slow divider.

    The difference of bits is a line in c, within 0.051 of it; each step takes the third power
    of the error.
    """
    r = bits_to_float(RECIPROCAL_BITS - float_to_bits(c))
    e = fma(-c, r, 1.0)
    r = fma(r, fma(e, e, e), r)
    e = fma(-c, r, 1.0)
    return fma(r, fma(e, e, e), r)


@jit_inline
def int_to_float(k: int) -> float:
    """An integer below 2**51 as float64, without the conversion that AVX2 lacks."""
    return bits_to_float(k + SHIFT_BITS) - SHIFT


@jit_inline
def round_to_int(x: float) -> tuple[int, float]:
    """The integer nearest to x, ``|x| < 2**51``, as integer and as float."""
    shifted = x + SHIFT
    return float_to_bits(shifted) - SHIFT_BITS, shifted - SHIFT


@jit_inline
def exp_poly(r: float) -> float:
    """``(e**r - 1 - r) / r**2`` for ``|r| <= 0.3467``, to 2**-62 of ``e**r / r**2``."""
    q = fma(2.0926518055657943e-09, r, 2.5111805348934615e-08)
    q = fma(q, r, 2.755723503336004e-07)
    q = fma(q, r, 2.7557235665876883e-06)
    q = fma(q, r, 2.4801587371243005e-05)
    q = fma(q, r, 0.00019841269895382114)
    q = fma(q, r, 0.001388888888886018)
    q = fma(q, r, 0.008333333333317558)
    q = fma(q, r, 0.04166666666666672)
    q = fma(q, r, 0.16666666666666682)
    return fma(q, r, 0.5)


@jit_inline
def reduce_exp(hi: float, lo: float) -> tuple[int, float, float]:
    """``hi + lo = k ln 2 + (r + e)`` with ``|r| <= 0.3467``; ``|hi| <= 1500``."""
    k, kf = round_to_int(hi * LOG2_E)
    r0 = fma(-kf, LN2_HI, hi)  # exact
    r, e = fast_two_sum(r0, fma(-kf, LN2_LO, lo))
    return k, r, e


@jit_inline
def exp_parts(hi: float, lo: float) -> tuple[int, float, float]:
    """``e**(hi + lo) = 2**k (1 + (p + pl))``, right to 2**-56; ``|hi| <= 1500``."""
    k, r, e = reduce_exp(hi, lo)
    p, pl = fast_two_sum(r, (r * r) * exp_poly(r))
    return k, p, pl + fma(e, r, e)


@jit_inline
def one_minus_exp(hi: float, lo: float) -> tuple[float, float]:
    """``1 - e**-(hi + lo)`` for ``hi >= 0`` as a sum, relatively right for small hi too."""
    big = hi > 100.0
    k, p, pl = exp_parts(-100.0 if big else -hi, 0.0 if big else -lo)
    c = pow2(k)
    a = 1.0 - c
    s, e = two_sum(a, -c * p)
    return fast_two_sum(s, e + (((1.0 - a) - c) - c * pl))


@jit_inline
def sinh_cosh_bends(z: float) -> tuple[float, float]:
    """``(sinh r - r) / r**3`` and ``(cosh r - 1) / r**2``, ``z = r**2``, ``|r| <= 0.3467``."""
    s = fma(2.510828217789579e-08, z, 2.7557246562850607e-06)
    s = fma(s, z, 0.00019841269883545023)
    s = fma(s, z, 0.008333333333322784)
    s = fma(s, z, 0.16666666666666674)
    c = fma(2.0923750422997697e-09, z, 2.7557244354926973e-07)
    c = fma(c, z, 2.4801587359817503e-05)
    c = fma(c, z, 0.0013888888888866284)
    c = fma(c, z, 0.041666666666666706)
    c = fma(c, z, 0.5)
    return s, c


@jit_inline
def sinh_cosh_parts(t: float) -> tuple[int, float, float, float]:
    """``|t| = k ln 2 + (r + e)``: k, r, ``sinh - r`` and ``cosh - 1`` of the remainder."""
    k, r, e = reduce_exp(t, 0.0)
    z = r * r
    s, c = sinh_cosh_bends(z)
    return k, r, fma(s * z, r, e), fma(c, z, r * e)


@jit_inline
def split_exponent(x: float) -> tuple[int, float]:
    """``x = 2**k m`` with m in [sqrt(1/2), sqrt 2), for normal ``x > 0``."""
    n = float_to_bits(x)
    k = (n - SQRT_HALF_BITS) >> 52
    return k, bits_to_float(n - (k << 52))


@jit_inline
def log_core(kf: float, nh: float, nl: float, dh: float, dl: float) -> tuple[float, float]:
    """``k ln 2 + 2 atanh(f)``, ``f = (nh + nl) / (dh + dl)``, ``|f| <= 0.1716``: to 2**-66.

    The first two terms of the series are carried as sums, the others, at most 2**-12
    of the first, are a polynomial in float64.
    """
    rd = 1.0 / dh
    f = nh * rd
    fl = (fma(-f, dh, nh) + fma(-f, dl, nl)) * rd
    z, zl = two_product(f, f)
    zl = fma(2.0 * f, fl, zl)
    cube, cl = two_product(z, f)
    cl = fma(z, fl, fma(zl, f, cl))
    third, tl = two_product(cube, 0.6666666666666666)
    tl = fma(cl, 0.6666666666666666, fma(cube, 3.700743415417188e-17, tl))
    q = fma(0.11724684745071004, z, 0.11706084307926354)
    q = fma(q, z, 0.1333481071975811)
    q = fma(q, z, 0.15384594844149144)
    q = fma(q, z, 0.18181818336585667)
    q = fma(q, z, 0.22222222221650165)
    q = fma(q, z, 0.28571428571429375)
    q = fma(q, z, 0.4)
    tail = fma(q * z, cube, fma(2.0, fl, tl))
    s, e = two_sum(kf * LN2_HI, 2.0 * f)
    s, e2 = fast_two_sum(s, third)
    return fast_two_sum(s, (e + e2) + fma(kf, LN2_LO, tail))


@jit_inline
def log_dd(hi: float, lo: float) -> tuple[float, float]:
    """log(hi + lo) for ``2**-1000 < hi < 2**1000``, relatively right near 1 too."""
    k, m = split_exponent(hi)
    ml = lo * pow2(-k)
    nh, nl = two_sum(m - 1.0, ml)
    d = m + 1.0
    return log_core(int_to_float(k), nh, nl, d, (m - (d - 1.0)) + ml)


@jit_inline
def log_any_dd(x: float) -> tuple[float, float]:
    """log(x) for every positive float64, subnormals included."""
    small = x < 1e-290
    big = x > 1e290
    x = x * 1.8446744073709552e19 if small else x  # 2**64
    x = x * 5.421010862427522e-20 if big else x
    k, m = split_exponent(x)
    k = k - 64 if small else k
    k = k + 64 if big else k
    d = m + 1.0
    return log_core(int_to_float(k), m - 1.0, 0.0, d, m - (d - 1.0))


@jit_inline
def log1p_dd(xh: float, xl: float) -> tuple[float, float]:
    """log(1 + xh + xl) for ``-0.9 < xh < 2**62``, relatively right for small x."""
    s, e = two_sum(1.0, xh)
    k, m = split_exponent(s)
    c = pow2(-k)
    nh, nl = two_sum(c - 1.0, c * xh)
    ml = c * (e + xl)
    d = m + 1.0
    nh, nl = fast_two_sum(nh, nl + c * xl)
    return log_core(int_to_float(k), nh, nl, d, (m - (d - 1.0)) + ml)


@jit_inline
def log1p_short(x: float) -> float:
    """log(1 + x) for ``x >= 0`` to 2**-28 relative."""
    s = 1.0 + x
    k, m = split_exponent(s)
    f = (x if k == 0 else m - 1.0) / (m + 1.0)
    z = f * f
    q = fma(0.2984707038408463, z, 0.39978628382343334)
    q = fma(q, z, 0.6666676525358197)
    return fma(int_to_float(k), 0.6931471805599453, fma(q * z, f, 2.0 * f))


@jit_inline
def exp_short(x: float) -> tuple[float, float]:
    """``e**x`` and ``e**x - 1``, each to 2**-24 relative, ``-740 < x <= 0``."""
    x = x if x > -740.0 else -740.0
    k, kf = round_to_int(x * LOG2_E)
    r = fma(-kf, 0.6931471805599453, x)
    q = fma(0.0013946088282424114, r, 0.008366394667848418)
    q = fma(q, r, 0.04166628896526876)
    q = fma(q, r, 0.16666545012534734)
    q = fma(q, r, 0.5000000058872294)
    p = fma(q * r, r, r)
    half = k >> 1
    c = pow2(half)
    e = pow2(k - half)
    c1 = c * e
    return fma(c, p, c) * e, fma(c1, p, c1 - 1.0)
