"""The inverse of h_p and its slack in few instructions: p = 2 and 2.0203 <= p <= 1000.

The steps of `coordinate_inverse`, with two divisions and a square root besides those in
the logarithms, and with the logarithms of `coordinate_fast`.
"""

from __future__ import annotations

from fastdln._jit import jit_inline
from fastdln.kernels.coordinate_fast import decay, growth, join, log1p_reduced, log_1_plus
from fastdln.kernels.coordinate_power import exponent_b
from fastdln.kernels.elementary import (
    LOG2_E,
    SQRT_HALF_BITS,
    int_to_float,
    pow2,
    reciprocal,
    reciprocal_root,
    round_to_int,
    split_exponent,
    with_sign,
)
from fastdln.kernels.intrinsics import float_to_bits, fma

__all__ = [
    "FAST_DEPTH_TO",
    "exp_rough",
    "finish",
    "finish_slack",
    "guess_first",
    "guess_last",
    "inverse_2_fast",
    "inverse_pair_fast",
    "log1p_rough",
    "log_mixed",
    "refine",
    "usual",
]

FAST_DEPTH_TO = 1000.0  # above it the slack of a finite x can be subnormal
TINY = 1e-40
INF = float("inf")
NAN = float("nan")


@jit_inline
def log1p_rough(x: float) -> float:
    """log(1 + x) for ``x >= 0`` to 1e-8 relative; 1/(2 + x) is a polynomial and Newton's step."""
    k, m = split_exponent(1.0 + x)
    y = x if k == 0 else m - 1.0
    d = y + 2.0
    r = fma(
        fma(fma(y, -0.05713502926786465, 0.12813334129586446), y, -0.25038622760373885),
        y,
        0.4999570121526621,
    )
    r = fma(r, fma(-d, r, 1.0), r)
    f = y * r
    z = f * f
    q = fma(0.2984707038408463, z, 0.39978628382343334)
    q = fma(q, z, 0.6666676525358197)
    return fma(int_to_float(k), 0.6931471805599453, fma(q * z, f, 2.0 * f))


@jit_inline
def exp_rough(x: float) -> tuple[float, float]:
    """``e**x`` and ``e**x - 1`` to 2**-24 relative, ``-708.3 < x <= 0``."""
    k, kf = round_to_int(x * LOG2_E)
    r = fma(-kf, 0.6931471805599453, x)
    q = fma(0.0013946088282424114, r, 0.008366394667848418)
    q = fma(q, r, 0.04166628896526876)
    q = fma(q, r, 0.16666545012534734)
    q = fma(q, r, 0.5000000058872294)
    c = pow2(k)
    p = fma(q * r, r, r)
    return fma(c, p, c), fma(c, p, c - 1.0)


@jit_inline
def guess_first(x: float, ib: float) -> tuple[float, float]:
    """e, the first guess at ``n**-b - 1``, and log(n), ``x >= 0``."""
    nu = 2.0 / (1.0 + ib)
    xc = x if x < 1e150 else 1e150
    square = fma(xc, xc, nu * nu)
    e = 0.5 * (x + fma(square, reciprocal_root(square), -nu))
    e = x if x > 1e15 else e
    e = fma(x * x, 0.25 / nu, 0.5 * x) if x < 1e-5 else e
    return e, -ib * log1p_rough(e)


@jit_inline
def guess_last(
    x: float, e: float, n: float, drop: float, v: float, ib: float
) -> tuple[float, float]:
    """A Halley step from n, ``drop = n - 1``, ``v = (2 - n)**-b - 1``: a and ``1 - a``."""
    d = 1.0 - drop
    grown = 1.0 + e
    dq = 0.25 * d  # quarters: grown can be near the largest double
    g = 0.25 * (n * (1.0 + v))  # times 4/d: the slope less 1, times grown
    r = reciprocal(dq * fma(grown, dq, g))
    rho = ((x - e) + v) * (dq * dq) * r
    bend = rho * (0.25 * (1.0 + ib)) * (g * r)
    rho = rho * fma(bend, bend, 1.0 + bend)
    theta = fma(rho, fma(rho, fma(rho, fma(rho, 0.2, -0.25), 1.0 / 3), -0.5), 1.0) * rho * ib
    drop2 = theta * fma(theta, fma(theta, fma(theta, -1.0 / 24, 1.0 / 6), -0.5), 1.0)
    return fma(n, drop2, -drop), fma(-n, drop2, n)


@jit_inline
def log_mixed(a: float, n: float) -> tuple[float, float]:
    """log(1 - a) as a sum; exact is a below 1/2, else ``n = 1 - a``."""
    near = a < 0.5
    j = (SQRT_HALF_BITS + 0xFFFFFFFFFFFFF - float_to_bits(1.0 - a if near else n)) >> 52
    c = pow2(j)
    return log1p_reduced(int_to_float(-j), fma(-c, a, c - 1.0) if near else fma(n, c, -1.0))


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
    b, bl = exponent_b(p)
    ib = (p - 2.0) / p
    y = usual(x)
    e, log_n = guess_first(y, ib)
    n, drop = exp_rough(log_n)
    v = exp_rough(-b * log1p_rough(-drop))[1]
    a, n = guess_last(y, e, n, drop, v, ib)
    u, ul = log_mixed(a, n)
    w = log_1_plus(a)
    k, g = growth(u, ul, b, bl)
    q, ql = decay(u, ul, w, b, bl)
    t, s = refine(y, a, n, pow2(2 - k), g, q, ql, b, ib)
    return finish(x, p, t), finish_slack(x, s)


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
def refine(
    x: float, a: float, n: float, c: float, p: float, q: float, ql: float, b: float, ib: float
) -> tuple[float, float]:
    """One step from ``a``, ``n = 1 - a``, where ``h = 4 (1 + p) (q + ql) / c``."""
    near = a < 0.5
    rho = ((0.25 * x) * c - q) - join(p, q, ql)
    d = 1.0 + a if near else 2.0 - n
    m = 1.0 - a if near else n
    grown = 1.0 + p
    en = ((1.0 - q) - ql) * m
    s = reciprocal(d * grown * (d + en))
    step = rho * ib * (d * d) * s
    bend = 0.5 * (b + 1.0) * step * (fma(d, d, -en * m) * (s * grown))
    step = m * fma(-step, bend, step)
    high = a if near else 1.0 - n
    low = 0.0 if near else (1.0 - high) - n
    rest = (1.0 - m) - a if near else 0.0
    return high + (low + step), m + (rest - step)


@jit_inline
def argument_2(x: float) -> tuple[float, float]:
    """e as a sum, ``asinh(x/2) = log(1 + e)``, ``e = x/2 + x**2 / (2 (2 + sqrt(4 + x**2)))``.

    The root and the quotient are rounded: they weigh at most half, where log(1 + e) is above 1.
    """
    far = x > 1e18
    y = 1.0 if far else x
    square = fma(y, y, 4.0)
    i = reciprocal_root(square)
    s = square * i
    t = fma(fma(-s, s, square), 0.5 * i, s) + 2.0
    i = reciprocal(t)
    r = y * i
    r = fma(fma(-r, t, y), i, r)
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
