"""h_p^-1 where h_p is rational, p = 3 and 4: one step of fourth order, its residual exact.

With b = 3, 2, ``d = 1 - t**2``: ``F(t) = x d**3 - 2 t (3 + t**2)`` and ``x d**2 - 4 t`` are 0. The
first guess, ``n**-b - 1 = (x + sqrt(x**2 + nu**2) - nu) / 2``, nu = 2b/(b + 1), gives
``n = 1 - t`` to 1.4e-3, a polynomial in it to 2e-5; small t are a series in x
(``benchmarks/functions/fit_inverse.py``). Of t below 1/2, else of n, 26 bits are kept, so that d
is exact in two doubles. Then ``t + y (1 - c2 y + (2 c2**2 - c3) y**2)``, ``y = -F/F'``,
``c2 = F''/(2 F')``, ``c3 = F'''/(6 F')``.
"""

from __future__ import annotations

import math

from fastdln._jit import jit_inline
from fastdln.kernels.intrinsics import bits_to_float, float_to_bits, fma

__all__ = [
    "LINEAR",
    "inverse_3",
    "inverse_4",
    "last_3",
    "last_4",
    "slack_3",
    "slack_4",
    "start_3",
    "start_4",
]

LINEAR = 1e-60  # below it h^-1 is linear
TOP = 1e60  # from here on h^-1 rounds to 1
THIRD = 0x55555555  # of 2**32
CUBE_ROOT_HALF = 0x553EF0FF  # upper half of the bits
KEEP = -0x8000000  # the mask of 26 bits


@jit_inline
def grown_4(x: float) -> float:
    """``E = n**-2``, nu = 4/3."""
    return fma(0.5, x + math.sqrt(fma(x, x, 1.7777777777777777)), 1.0 / 3)


@jit_inline
def grown_3(x: float) -> float:
    """``E = n**-3``, nu = 3/2."""
    return fma(0.5, x + math.sqrt(fma(x, x, 2.25)), 0.25)


@jit_inline
def reciprocal_cube_root(c: float) -> float:
    """``c**(-1/3)`` to 1e-11."""
    upper = CUBE_ROOT_HALF - (((float_to_bits(c) >> 32) * THIRD) >> 32)
    r = bits_to_float(upper << 32)
    e = fma(-c * r, r * r, 1.0)
    r = fma(r, e * fma(0.2222222222222222, e, 0.3333333333333333), r)
    e = fma(-c * r, r * r, 1.0)
    return fma(r, e * fma(0.2222222222222222, e, 0.3333333333333333), r)


@jit_inline
def shorten(n: float, small: float, near: bool) -> tuple[float, float, float, float]:
    """t and ``d = 1 - t**2`` as sums, from n, or from t where it is small; both shortened."""
    t = small if near else 1.0 - n
    inner = t < 0.5
    k = bits_to_float(float_to_bits(t if inner else n) & KEEP)
    a = 1.0 if inner else k + k
    z = k * k  # exact
    d = a - z
    dl = (a - d) - z
    other = 1.0 - k
    low = (1.0 - other) - k
    return k if inner else other, 0.0 if inner else low, d, dl


@jit_inline
def step(y: float, c2: float, c3: float) -> float:
    """The change of t."""
    return y * fma(y, fma(y, fma(2.0 * c2, c2, -c3), -c2), 1.0)


@jit_inline
def slack_4(x: float) -> float:
    """``1 - h_4^-1(x)`` to 2e-5."""
    n = 1.0 / math.sqrt(grown_4(x if x < TOP else TOP))
    q = fma(n, -0.02143115682385277, 0.008022591372343816)
    q = fma(q, n, 0.08738998796201422)
    q = fma(q, n, -0.11479893230005853)
    q = fma(q, n, 0.04075908143025897)
    q = fma(q, n, -1.1207536424237118e-06)
    return n * fma(q, n, 1.000001322393665)


@jit_inline
def slack_3(x: float) -> float:
    """``1 - h_3^-1(x)`` to 2e-5."""
    n = reciprocal_cube_root(grown_3(x if x < TOP else TOP))
    q = fma(n, -0.12683736491269862, 0.32422827094819034)
    q = fma(q, n, -0.24583385945371014)
    q = fma(q, n, 0.026168084421971945)
    q = fma(q, n, 0.019730610062027525)
    q = fma(q, n, 0.002584428378744063)
    q = fma(q, n, -0.00011425997924366263)
    return n * fma(q, n, 1.000000825175671)


@jit_inline
def start_4(x: float, n: float) -> tuple[float, float, float, float, float]:
    """t and d as sums, and what 1/F' has of a reciprocal."""
    x = x if x < TOP else TOP
    z = x * x
    s = fma(z, -0.002625110486954654, 0.0087094530040885)
    s = fma(z, fma(z, s, -0.031246215117261104), 0.24999997161873724)
    t, tl, d, dl = shorten(n, x * s, x < 0.4)
    return t, tl, d, dl, 1.0 / fma(x * d, t, 1.0)


@jit_inline
def start_3(x: float, n: float) -> tuple[float, float, float, float, float]:
    """t and d as sums, and what 1/F' has of a reciprocal."""
    x = x if x < TOP else TOP
    z = x * x
    s = fma(z, -0.0006877083909194523, 0.0032966184910246587)
    s = fma(z, fma(z, s, -0.015422325452903823), 0.1666664979920138)
    t, tl, d, dl = shorten(n, x * s, x < 0.6)
    return t, tl, d, dl, 1.0 / fma(x * d * d, t, fma(t, t, 1.0))


@jit_inline
def last_4(x: float, t: float, tl: float, d: float, dl: float, r: float) -> float:
    """The step."""
    x = x if x < TOP else TOP
    s = d * d
    f = fma(x, s, -4.0 * t) + x * fma(d + d, dl, fma(d, d, -s))
    g = x * r
    return t + (tl + step(0.25 * f * r, g * fma(t * t, -1.5, 0.5), -g * t))


@jit_inline
def last_3(x: float, t: float, tl: float, d: float, dl: float, r: float) -> float:
    """The step."""
    x = x if x < TOP else TOP
    s = d * d
    c = s * d
    cl = fma(s, 3.0 * dl, fma(fma(d, d, -s), d, fma(s, d, -c)))
    m = t + t
    v = m * d
    u = x * c
    low = fma(x, c, -u) + fma(m, d, -v) + fma(m, dl, x * cl)
    f = ((u - 4.0 * m) + v) + low
    z = t * t
    c2 = fma(x * d, fma(z, -2.5, 0.5), t) * r
    c3 = fma(x * t, fma(z, 10.0 / 3, -2.0), 1.0 / 3) * r
    return t + (tl + step((1.0 / 6) * f * r, c2, c3))


@jit_inline
def inverse_4(x: float) -> float:
    """``h_4^-1(x)`` for ``LINEAR <= x``: the steps, which in arrays are a loop each."""
    t, tl, d, dl, r = start_4(x, slack_4(x))
    return last_4(x, t, tl, d, dl, r)


@jit_inline
def inverse_3(x: float) -> float:
    """``h_3^-1(x)`` for ``LINEAR <= x``: the steps, which in arrays are a loop each."""
    t, tl, d, dl, r = start_3(x, slack_3(x))
    return last_3(x, t, tl, d, dl, r)
