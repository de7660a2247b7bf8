"""h_p, h_p', H_p where they are elementary: p = 2 (hyperbolic) and b = 2, 3, 5, 3/2 (rational).

``d = 1 - t**2``; b = p/(p-2) is 2, 3, 5, 3/2 for p = 4, 3, 2.5, 6. The numerators
come from the binomial theorem; nothing cancels. Numerator and denominator are carried
as sums, so that one rounding remains. h_2.5, h_3, h_4, h_6 take t with its sign, and also give
d; the others take ``a = |t| < 1`` (p = 2: ``a <= 1500``).
"""

from __future__ import annotations

from fastdln._jit import jit_inline
from fastdln.kernels.elementary import (
    LN2_HI,
    LN2_LO,
    LOG2_E,
    SHIFT,
    SHIFT_BITS,
    reciprocal,
    sinh_cosh_bends,
    sinh_cosh_parts,
)
from fastdln.kernels.extended import dd_mul, fast_two_sum, two_product, two_sum
from fastdln.kernels.intrinsics import bits_to_float, float_to_bits, fma, inverse, root

INF = float("inf")
ONE_BITS = 0x3FF0000000000000

__all__ = [
    "h_2",
    "h_2_small",
    "h_3",
    "h_4",
    "h_5_halves",
    "h_6",
    "h_prime_2",
    "h_prime_3",
    "h_prime_4",
    "h_prime_5_halves",
    "integral_2",
]


@jit_inline
def one_minus_square(a: float) -> tuple[float, float, float, float]:
    """``a**2`` and ``1 - a**2`` as sums."""
    z, zl = two_product(a, a)
    s, e = two_sum(1.0, -z)
    d, dl = fast_two_sum(s, e - zl)
    return z, zl, d, dl


@jit_inline
def quotient(n: float, nl: float, d: float, dl: float) -> float:
    """``(n + nl) / (d + dl)`` with one division."""
    r = 1.0 / d
    q = n * r
    return fma(fma(-q, d, n) + fma(-q, dl, nl), r, q)


@jit_inline
def distance(t: float) -> tuple[float, float, float, float]:
    """``d + dl = 1 - t**2`` for ``|t| <= 1``, and ``f - w = t**2``, each sum exact.

    d is rounded once; ``f = 1 - d`` loses ``(1 - f) - d``, and with that no bit is lost.
    """
    d = fma(-t, t, 1.0)
    f = 1.0 - d
    w = fma(-t, t, f)
    return d, w + ((1.0 - f) - d), f, w


@jit_inline
def ratio(n: float, nl: float, c: float, cl: float) -> float:
    """``(n + nl) / (c + cl)``, half a unit and very little (the sign of 0 is not kept)."""
    return ratio_by(reciprocal(c), n, nl, c, cl)


@jit_inline
def ratio_by(r: float, n: float, nl: float, c: float, cl: float) -> float:
    """`ratio` from a value of ``1 / c``, whose error enters by its square."""
    q = n * r
    return fma(-r, fma(q, cl, fma(q, c, -n)) - nl, q)


@jit_inline
def h_4(t: float) -> tuple[float, float]:
    """``4 t / d**2``; and d, which is positive only for ``|t| < 1``."""
    d, dl, _, _ = distance(t)
    s = d * d
    return ratio(4.0 * t, 0.0, s, fma(d, dl + dl, fma(d, d, -s))), d


@jit_inline
def h_3(t: float) -> tuple[float, float]:
    """``(8 t - 2 t d) / d**3``; and d."""
    d, dl, _, _ = distance(t)
    s = d * d
    c = s * d
    cl = fma(s, 3.0 * dl, fma(fma(d, d, -s), d, fma(s, d, -c)))
    n = 2.0 * t
    m = fma(-n, d, 4.0 * n)
    return ratio(m, fma(-n, d, 4.0 * n - m), c, cl), d


@jit_inline
def h_5_halves(t: float) -> tuple[float, float]:
    """``2 t (5 + 10 z + z**2) / d**5``, ``z = t**2``; and d."""
    d, dl, f, w = distance(t)
    s = d * d
    g = s * s
    c = g * d
    el = fma(2.0 * s, fma(d, d, -s), fma(s, s, -g))
    cl = fma(g, 5.0 * dl, fma(el, d, fma(g, d, -c)))
    u = fma(10.0, f, 5.0)
    v = fma(f, f, u)
    vl = fma(-10.0, w, fma(f, f, u - v) + fma(10.0, f, 5.0 - u))
    n = 2.0 * t
    m = n * v
    return ratio_by(inverse(c), m, fma(n, vl, fma(n, v, -m)), c, cl), d


@jit_inline
def cube_parts(d: float, dl: float) -> tuple[float, float]:
    """``(d + dl)**3`` as a sum."""
    s, e = two_product(d, d)
    e = fma(2.0 * d, dl, e)
    c, f = two_product(s, d)
    return c, fma(e, d, fma(s, dl, f))


@jit_inline
def h_6(t: float) -> tuple[float, float]:
    """``2 t (2 + w) / (v w d)``, ``w = sqrt d``, ``v = sqrt(2 + 2 w)``; and d.

    ``r = 1 / (v w d)``, so that 1/w is r v d and 1/v is r w d: one division for three.
    """
    d, dl, _, _ = distance(t)
    w = root(d)
    s = fma(2.0, w, 2.0)
    v = root(s)
    m = w * d
    c = m * v
    r = inverse(c)
    wl = (fma(-w, w, d) + dl) * (0.5 * (r * (v * d)))
    vl = (fma(-v, v, s) + fma(2.0, wl, fma(2.0, w, 2.0 - s))) * (0.5 * (r * m))
    ml = fma(w, dl, fma(wl, d, fma(w, d, -m)))
    cl = fma(m, vl, fma(ml, v, fma(m, v, -c)))
    n, e = fast_two_sum(2.0, w)
    a = 2.0 * t
    g = a * n
    gl = fma(a, e + wl, fma(a, n, -g))
    return ratio_by(r, g, gl, c, cl), d


@jit_inline
def h_prime_4(a: float) -> float:
    """``4 (1 + 3 a**2) / d**3``."""
    z, zl, d, dl = one_minus_square(a)
    c, cl = cube_parts(d, dl)
    g, gl = two_product(12.0, z)
    n, e = two_sum(4.0, g)
    return quotient(n, e + fma(12.0, zl, gl), c, cl)


@jit_inline
def h_prime_3(a: float) -> float:
    """``6 (1 + 6 a**2 + a**4) / d**4``."""
    z, zl, d, dl = one_minus_square(a)
    s, e = two_product(d, d)
    e = fma(2.0 * d, dl, e)
    c, cl = two_product(s, s)
    g, gl = two_product(6.0 * z, z + 6.0)
    g_lost = (z - ((z + 6.0) - 6.0)) * (6.0 * z)
    n, m = two_sum(6.0, g)
    m += gl + g_lost + zl * fma(12.0, z, 36.0)
    # 6 z rounds: its error is put back with the low parts
    m += fma(6.0, z, -(6.0 * z)) * (z + 6.0)
    return quotient(n, m, c, fma(2.0 * s, e, cl))


@jit_inline
def h_prime_5_halves(a: float) -> float:
    """``10 (1 + 15 a**2 + 15 a**4 + a**6) / d**6``."""
    z, zl, d, dl = one_minus_square(a)
    c, cl = cube_parts(d, dl)
    f, fl = two_product(c, c)
    n, nl = two_sum(z, 15.0)
    n, nl = dd_mul(n, nl + zl, z, zl)
    n, e = two_sum(n, 15.0)
    n, nl = dd_mul(n, nl + e, z, zl)
    n, e = two_sum(n, 1.0)
    nl += e
    m, ml = two_product(10.0, n)
    return quotient(m, fma(10.0, nl, ml), f, fma(2.0 * c, cl, fl))


@jit_inline
def sinh_cosh_sum(a: float, minus: float) -> tuple[float, float]:
    """``(e**a + minus e**-a) / 4`` as a sum, minus = 1 or -1; above 710 both overflow later.

    With ``a = k ln 2 + r`` and ``E, F = 2**(+-k) / 4``: ``(E + m F) cosh r + (E - m F) sinh r``.
    """
    k, r, s, c = sinh_cosh_parts(710.4 if a > 710.4 else a)
    up = bits_to_float((k + 1021) << 52)
    down = minus * bits_to_float((1021 - k if k < 1021 else 0) << 52)
    even = up + down
    odd = up - down
    g = odd * r
    y = even + g
    low = fma(odd, r, -g) + (g - (y - even))
    return y, fma(even, c, odd * s) + (low + (down - (even - up)))


@jit_inline
def h_2_small(a: float) -> tuple[float, int]:
    """``2 sinh a`` for ``0 <= a < 690``; and an integer that is negative for larger a.

    With ``a = k ln 2 + r + e`` and ``E, F = 2**(+-k)``: ``(E - F) cosh r + (E + F) sinh r``,
    and e times the slope, for which E + F is near enough.
    """
    shifted = fma(a, LOG2_E, SHIFT)
    kf = shifted - SHIFT
    rest = fma(-kf, LN2_HI, a)
    r = fma(-kf, LN2_LO, rest)
    e = fma(-kf, LN2_LO, rest - r)
    k = float_to_bits(shifted)
    up = bits_to_float((k << 52) + ONE_BITS)
    down = bits_to_float(ONE_BITS - (k << 52))
    z = r * r
    s, c = sinh_cosh_bends(z)
    even = up - down
    odd = up + down
    y = fma(odd, r, even)
    low = fma(odd, r, even - y) + fma(odd, e, (up - even) - down)
    y = y + fma(even * z, c, fma((odd * r) * z, s, low))
    return y, (SHIFT_BITS + 995) - k


@jit_inline
def h_2(a: float) -> float:
    """``2 sinh a``, also where it overflows."""
    y, low = sinh_cosh_sum(a, -1.0)
    return 2.0 * a if a < 1e-290 else 4.0 * (y + low)  # a quarter may be subnormal


@jit_inline
def h_prime_2(a: float) -> float:
    """``2 cosh a``."""
    y, low = sinh_cosh_sum(a, 1.0)
    return 4.0 * (y + low)


@jit_inline
def integral_2(a: float) -> float:
    """``2 cosh a - 2 = (2 sinh(a/2))**2``."""
    y, low = sinh_cosh_sum(0.5 * a, -1.0)
    y, low = fast_two_sum(y, low)
    s, e = two_product(4.0 * y, 4.0 * y)
    square = s + fma(32.0 * y, low, e)
    square = s if s == INF else square
    return a * a if a < 1e-100 else square
