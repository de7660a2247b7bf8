"""The inverse of h_p and its slack in few instructions: p = 2 and 2.0203 <= p <= 1000.

The unknown is U, ``E = n**-b = 2**U``, ``n = 1 - a``: then a and n are one exponential,
``F = (1 + a)**-b`` a logarithm and another, and ``x = (E - 1) + (1 - F)`` leaves a residual
right to 2**-57 (docs/functions.md). A guess at E, to 2.3e-6, gives a U of 33 bits; one Halley
step follows.
"""

from __future__ import annotations

import math

from fastdln._jit import jit_inline
from fastdln.kernels.coordinate_fast import (
    LN2_REST,
    ONE_BITS,
    Exponents,
    decline,
    exp2_bend,
    exponents,
    log1p_reduced,
)
from fastdln.kernels.elementary import (
    LN2,
    SHIFT,
    SQRT_HALF_BITS,
    int_to_float,
    pow2,
    split_exponent,
    with_sign,
)
from fastdln.kernels.intrinsics import bits_to_float, float_to_bits, fma

__all__ = [
    "FAST_DEPTH_TO",
    "TINY",
    "argument_2",
    "finish",
    "finish_slack",
    "guess_constants",
    "guess_u",
    "inverse_2_fast",
    "inverse_constants",
    "inverse_pair_fast",
    "inverse_step",
    "is_usual",
    "log1p_sum",
    "slack_parts",
    "usual",
]

FAST_DEPTH_TO = 1000.0  # above it the slack of a finite x can be subnormal
TINY = 1e-40
INF = float("inf")
NAN = float("nan")
KEEP_33 = -(1 << 20)  # masks: the product of the two is exact
KEEP_20 = -(1 << 33)
FOUR_BITS = 1025 << 52
# the guess's polynomial: rows by powers of sqrt(1 - w), columns by powers of 1/b
# (benchmarks/functions/fit_inverse.py)
GUESS = (
    (-0.515700791, -0.363172481, 6.26960464, -17.2240848, 24.199551, -18.0333442, 5.59667971),
    (0.792268052, 10.486782, -63.2973278, 154.892469, -207.501975, 150.776113, -46.3467339),
    (-0.0309799434, -41.7509494, 225.059376, -534.807645, 702.103439, -504.135204, 154.875758),
    (-1.71466201, 76.5173626, -396.741987, 929.326524, -1204.80603, 859.411921, -264.862754),
    (2.27080282, -68.1362002, 346.33529, -803.936637, 1033.34885, -734.327723, 227.308689),
    (-0.803769118, 23.3649958, -118.23595, 273.129011, -349.035248, 247.483703, -76.9508992),
)
G0, G1, G2, G3, G4, G5 = GUESS

Guess = tuple[float, float, float, float, float, float, float]


@jit_inline
def guess_row(g: Guess, ib: float) -> float:
    """One coefficient of the guess at 1/b; it is exact at b = 1 and b = infinity."""
    q = fma(fma(fma(g[6], ib, g[5]), ib, g[4]), ib, g[3])
    q = fma(fma(fma(q, ib, g[2]), ib, g[1]), ib, g[0])
    return (ib - ib * ib) * q


@jit_inline
def guess_constants(p: float) -> Guess:
    """What `guess_u` needs of p: nu, and six coefficients."""
    i = (p - 2.0) / p
    nu = p / (p - 1.0)
    return (
        nu,
        guess_row(G0, i),
        guess_row(G1, i),
        guess_row(G2, i),
        guess_row(G3, i),
        guess_row(G4, i),
        guess_row(G5, i),
    )


@jit_inline
def inverse_constants(p: float) -> tuple[float, float, float]:
    """1/b as a double, and as the sum of one of 20 bits and another."""
    i = (p - 2.0) / p
    high = bits_to_float(float_to_bits(i) & KEEP_20)
    return i, high, (i - high) + fma(-i, p, p - 2.0) / p


@jit_inline
def guess_u(x: float, g: Guess) -> float:
    """U to 2.3e-6, of 33 bits, ``x >= 0``.

    ``e = E - 1`` is ``(x + sqrt(x**2 + nu**2) - nu) / 2 = (x + x w) / 2``, nu = 2b/(b + 1), to
    4e-3; to it comes its product with ``w**2 (1 - w)`` and a polynomial.
    """
    nu, g0, g1, g2, g3, g4, g5 = g
    xc = x if x < 1e150 else 1e150
    w = xc / (math.sqrt(fma(xc, xc, nu * nu)) + nu)
    l = 1.0 - w
    odd = fma(fma(g5, l, g3), l, g1)
    even = fma(fma(g4, l, g2), l, g0)
    q = fma(odd, math.sqrt(l), even)
    h = 0.5 * x
    e = fma(h, w, h)
    e = fma(e, (w * w) * (l * q), e)
    k, m = split_exponent(1.0 + e)
    y = e if k == 0 else m - 1.0
    f = y / (y + 2.0)
    z = f * f
    c = fma(fma(0.5958048657842151, z, 0.9615876763684368), z, 2.88539042639913)
    return bits_to_float(float_to_bits(fma(f, c, int_to_float(k))) & KEEP_33)


@jit_inline
def slack_parts(u: float, ih: float, il: float) -> tuple[float, float, float, float]:
    """``a = 1 - n`` and ``n = 2**(-u/b)`` as sums, each relatively right."""
    v = u * ih  # exact
    vl = u * il
    shifted = SHIFT - v
    w = (SHIFT - shifted) - v
    r = w - vl
    rl = (w - r) - vl
    c = bits_to_float((float_to_bits(shifted) << 52) + ONE_BITS)
    s = r * r
    main = r * LN2
    bend = s * exp2_bend(r, s)
    q = main + bend
    ql = ((main - q) + bend) + fma(LN2, fma(LN2_REST, r, rl), fma(r, LN2, -main))
    q, ql = c * q, c * ql
    one = 1.0 - c
    a = one - q
    n = c + q
    return a, ((one - a) - q) - ql, n, ((c - n) + q) + ql


@jit_inline
def inverse_step(x: float, u: float, a: float, n: float, v: float, vl: float, ib: float) -> float:
    """The change of a, that of n with the other sign: Halley's step in U.

    All is scaled by 2**-k, k the integer nearest to u.
    """
    up = u + SHIFT
    r = u - (up - SHIFT)
    down = SHIFT - v
    w = (SHIFT - down) - v
    c = 0.25 * bits_to_float(FOUR_BITS - (float_to_bits(up) << 52))  # can be 2**-1024
    d = c * bits_to_float((float_to_bits(down) << 52) + ONE_BITS)
    one = 1.0 - d
    y = d * w
    z = r - y
    low = fma(LN2_REST, z, fma(d, vl, (r - z) - y))
    s, t = r * r, w * w
    er = s * exp2_bend(r, s)
    et = t * exp2_bend(w, t)
    main = LN2 * z
    low = fma(LN2, low, ((1.0 - one) - d) + fma(LN2, z, -main))
    residual = ((c * x - one) - main) - (er + fma(-d, et, low))
    e = 1.0 + fma(r, LN2, er)
    f = fma(d, fma(w, LN2, et), d) * n
    h = 1.0 + a
    square = h * h
    i = 1.0 / (fma(e, h, f) * h)  # h**2 times the slope's reciprocal, over h**2
    y = (residual * square) * i
    z = (0.5 * y) * (i * fma(e, square, -f * (n + (ib + ib))))
    change = ib * fma(y, fma(z, z, -z), y)
    step = n * change
    return fma(-0.5 * change, step, step)


@jit_inline
def is_usual(x: float) -> bool:
    """Is x where the steps work: neither so small that h is linear, nor infinite, nor NaN?"""
    y = abs(x)
    return (y >= TINY) & (y < INF)


@jit_inline
def usual(x: float) -> float:
    """|x|, or 1 outside the range of the steps."""
    return abs(x) if is_usual(x) else 1.0


@jit_inline
def inverse_pair_fast(x: float, p: float) -> tuple[float, float]:
    """``h_p^-1(x)`` and its slack: all the steps, which in arrays are a loop each."""
    e: Exponents = exponents(p)
    ib, ih, il = inverse_constants(p)
    y = usual(x)
    u = guess_u(y, guess_constants(p))
    a, al, n, nl = slack_parts(u, ih, il)
    v, vl = decline(a, al, e)
    step = inverse_step(y, u, a, n, v, vl, ib)
    return finish(x, p, a + (al + step)), finish_slack(x, n + (nl - step))


@jit_inline
def finish(x: float, p: float, t: float) -> float:
    """t with its sign; h is linear below TINY, where its low parts would underflow."""
    i = (p - 2.0) / p
    il = fma(-i, p, p - 2.0) / p
    y = abs(x)
    end = fma(0.5 * i, y, 0.5 * il * y) if y < TINY else (1.0 if y == INF else NAN)
    return with_sign(t if is_usual(x) else end, x)


@jit_inline
def finish_slack(x: float, s: float) -> float:
    """The slack with its edges."""
    y = abs(x)
    return s if is_usual(x) else (1.0 if y < TINY else (0.0 if y == INF else NAN))


@jit_inline
def argument_2(x: float) -> tuple[float, float]:
    """e as a sum, ``asinh(x/2) = log(1 + e)``, ``e = x/2 + x**2 / (2 (2 + sqrt(4 + x**2)))``.

    The root and the quotient are rounded: they weigh at most half, where log(1 + e) is above 1.
    """
    far = x > 1e18
    y = 1.0 if far else x
    square = fma(y, y, 4.0)
    r = y / (math.sqrt(square) + 2.0)
    h = 0.5 * y
    e = fma(h, r, h)
    return x if far else e, 0.0 if far else fma(h, r, h - e)


@jit_inline
def log1p_sum(e: float, el: float) -> float:
    """log(1 + e + el), ``e >= 0``."""
    k = (float_to_bits(1.0 + e) - SQRT_HALF_BITS) >> 52
    c = 0.25 * pow2(2 - k)  # 2**-1024 is subnormal, and exact
    one = c - 1.0
    m = fma(c, e, one)
    ml = fma(c, el, fma(c, e, one - m))
    h, hl = log1p_reduced(int_to_float(k), m)
    return h + fma(ml, fma(m, m, 1.0 - m), hl)


@jit_inline
def inverse_2_fast(x: float) -> float:
    """``asinh(x/2)``, ``x >= 0``."""
    e, el = argument_2(x)
    return log1p_sum(e, el)
