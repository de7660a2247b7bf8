"""h_p for any p from 2.0203 on (b <= 100), in as few instructions as 1.1 ulp allows.

With E = (1 - a)**-b = 2**U and F = (1 + a)**-b = 2**-V, ``h = (E - 1) + (1 - F)``: nothing
cancels. U and V are sums of two doubles, ``E = 2**k 2**R`` with k the integer nearest to U.
The reduced argument of log(1 - a), ``2**j (1 - a) - 1``, is one exact fused operation, as is
``x - 2 f`` (Sterbenz). One division in each logarithm: the divider works beside the multipliers.
"""

from __future__ import annotations

from fastdln._jit import jit_inline
from fastdln.kernels.coordinate_power import exponent_b
from fastdln.kernels.elementary import (
    LN2,
    LN2_HI,
    LN2_LO,
    SHIFT,
    SQRT_HALF_BITS,
    int_to_float,
    pow2,
)
from fastdln.kernels.extended import fast_two_sum
from fastdln.kernels.intrinsics import bits_to_float, float_to_bits, fma

__all__ = [
    "FAST_BELOW",
    "INV_LN2",
    "LN2_REST",
    "ONE_BITS",
    "SMALL",
    "decline",
    "difference",
    "exp2_bend",
    "exponents",
    "growth",
    "h_fast",
    "log1p_parts",
    "log1p_reduced",
]

SMALL = 6e-61  # below it h = 2 b a, and low parts would underflow
FAST_BELOW = 100.0  # largest b for which the shorter logarithms give 2 ulp
ONE_BITS = 0x3FF0000000000000
HALF_BITS = 0x3FE0000000000000
KEEP = -0x8000000  # the mask of 26 bits
INV_LN2 = 1.4426950408889634
INV_LN2_LOW = 2.0355273740931033e-17
LN2_REST = 3.3456771003908735e-17  # what LN2 misses of ln 2, relatively
TOP = 1024.5  # 2**U has overflowed

Exponents = tuple[float, float, float, float, float, float]


@jit_inline
def exponents(p: float) -> Exponents:
    """b; c, cl of ``2 b / ln 2 = c + cl`` and c / 2; b as two doubles, the first of 26 bits."""
    b, bl = exponent_b(p)
    half = b * INV_LN2
    low = fma(b, INV_LN2, -half) + fma(b, INV_LN2_LOW, bl * INV_LN2)
    short = bits_to_float(float_to_bits(b) & KEEP)
    return b, half + half, low + low, half, short, (b - short) + bl


@jit_inline
def atanh_poly(z: float) -> float:
    """``2 (atanh f - f) / f**3``, ``z = f**2 <= 0.0295``."""
    s = z * z
    odd = fma(0.1321233097433421, s, 0.15386857593146272)
    odd = fma(odd, s, 0.22222222560214586)
    odd = fma(odd, s, 0.40000000000003655)
    even = fma(0.13254839970367815, s, 0.18181781687854393)
    even = fma(even, s, 0.28571428569764046)
    even = fma(even, s, 0.6666666666666666)
    return fma(odd, z, even)


@jit_inline
def log1p_parts(x: float, xl: float) -> tuple[float, float]:
    """f and g, ``log(1 + x + xl) = 2 f + g`` to 2**-59, x in [-0.293, 0.4143]."""
    r = 1.0 / (x + 2.0)
    f = x * r
    low = (fma(-f, x, fma(-2.0, f, x)) + xl) * r  # f + low = x / (2 + x)
    low = low + low
    z = f * f
    return f, fma(z, fma(f, atanh_poly(z), low), low)


@jit_inline
def log1p_reduced(kf: float, x: float) -> tuple[float, float]:
    """``kf ln 2 + log(1 + x)``, x in [-0.293, 0.4143], as a sum, to 2**-59 or so."""
    f, g = log1p_parts(x, 0.0)
    a = kf * LN2_HI
    s = fma(2.0, f, a)
    return fast_two_sum(s, fma(kf, LN2_LO, g) + fma(2.0, f, a - s))


@jit_inline
def exp2_bend(r: float, s: float) -> float:
    """``(2**r - 1 - r ln 2) / r**2`` for ``|r| <= 0.5001``, ``s = r**2``, to 2**-57."""
    odd = fma(4.457100827601066e-10, s, 1.0178048781362239e-07)
    odd = fma(odd, s, 1.5252733860449e-05)
    odd = fma(odd, s, 0.0013333558146389072)
    odd = fma(odd, s, 0.05550410866482168)
    even = fma(7.073589568196807e-09, s, 1.321543657239091e-06)
    even = fma(even, s, 0.00015403530454074422)
    even = fma(even, s, 0.009618129107597056)
    even = fma(even, s, 0.24022650695910122)
    return fma(odd, r, even)


@jit_inline
def growth(a: float, e: Exponents) -> tuple[float, float]:
    """``U = -b log2(1 - a)`` as a sum, ``0 <= a < 1``."""
    _, c, cl, half, b, bl = e
    j = (SQRT_HALF_BITS + 0xFFFFFFFFFFFFF - float_to_bits(1.0 - a)) >> 52
    m = pow2(j)
    f, g = log1p_parts(fma(-m, a, m - 1.0), 0.0)
    jf = int_to_float(j)
    main = c * f
    rest = fma(half, g, fma(cl, f, fma(c, f, -main)))
    whole = jf * b  # exact
    u = whole - main
    return fast_two_sum(u, ((whole - u) - main) + fma(jf, bl, -rest))


@jit_inline
def decline(a: float, al: float, e: Exponents) -> tuple[float, float]:
    """``V = b log2(1 + a + al)`` as a sum, ``0 <= a <= 1``.

    ``2 b / ln 2`` is one double here: its rounding, 2**-53, weighs at most half in h.
    """
    b, c, _, half, _, _ = e
    far = a > 0.41421356
    f, g = log1p_parts(fma(0.5, a, -0.5) if far else a, 0.5 * al if far else al)
    main = c * f
    rest = fma(half, g, b if far else 0.0)
    v = main + rest
    return v, ((main - v) + rest) + fma(c, f, -main)


@jit_inline
def difference(u: float, ul: float, v: float, vl: float) -> float:
    """``2**(u + ul) - 2**-(v + vl)``, ``0 <= v <= u``; inf from u = 1024 on."""
    u = TOP if u > TOP else u
    up = u + SHIFT
    u = u - (up - SHIFT)
    r = u + ul
    rl = (u - r) + ul
    down = SHIFT - v
    w = (SHIFT - down) - v
    c = bits_to_float((float_to_bits(up) << 52) + HALF_BITS)  # half of both
    d = bits_to_float((float_to_bits(down) << 52) + HALF_BITS)
    one = c - d
    x, y = c * r, d * w
    z = x - y
    low = fma(LN2_REST, z, fma(c, rl, fma(d, vl, (x - z) - y)))
    s, t = r * r, w * w
    bend = fma(-d, t * exp2_bend(w, t), fma(LN2, low, (c - one) - d))
    half = one + fma(LN2, z, fma(c, s * exp2_bend(r, s), bend))
    return half + half


@jit_inline
def h_fast(a: float, p: float) -> float:
    """``h_p`` at ``0 <= a < 1``."""
    e = exponents(p)
    b, bl = exponent_b(p)
    u, ul = growth(a, e)
    v, vl = decline(a, 0.0, e)
    linear = fma(a, 2.0 * b, a * (2.0 * bl))
    return linear if a < SMALL else difference(u, ul, v, vl)
