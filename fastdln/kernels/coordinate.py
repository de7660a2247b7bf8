"""The coordinate functions as scalars: numbers in, a number out, for anyone's kernels.

    h_p(t) = (1 - t)**-b - (1 + t)**-b,  b = p/(p - 2),  |t| < 1      (p > 2)
    h_2(t) = 2 sinh t

and its derivative, integral and inverse; the potential ``q_p``, the integral of the
inverse; the selector ``g_p``. Definitions: Wind, Antun, Hansen, arXiv 2307.07410.
Every function may be called from `numba.njit` and `numba.vectorize` code; none
raises: outside its domain, or for p < 2, it is NaN. The slack forms take t and
``s = 1 - |t|`` both: neither alone keeps its digits at both ends.
"""

from __future__ import annotations

from fastdln._jit import jit_for_users, jit_inline
from fastdln.kernels.coordinate_closed import (
    h_2,
    h_2_small,
    h_3,
    h_4,
    h_5_halves,
    h_6,
    h_prime_2,
    h_prime_3,
    h_prime_4,
    h_prime_5_halves,
    integral_2,
)
from fastdln.kernels.coordinate_fast import FAST_BELOW, h_fast
from fastdln.kernels.coordinate_inverse import (
    inverse_power,
    potential_2,
    potential_power,
    selector_near,
    selector_zero,
)
from fastdln.kernels.coordinate_inverse_algebraic import LINEAR, inverse_3, inverse_4
from fastdln.kernels.coordinate_inverse_fast import (
    FAST_DEPTH_TO,
    inverse_2_fast,
    inverse_pair_fast,
)
from fastdln.kernels.coordinate_power import (
    INF,
    NAN,
    exponent_b,
    h_power,
    h_prime_power,
    integral_power,
    log_pair,
    log_pair_slack,
)
from fastdln.kernels.elementary import with_sign
from fastdln.kernels.intrinsics import fma

__all__ = [
    "h",
    "h_integral",
    "h_integral_slack",
    "h_inverse",
    "h_inverse_pair",
    "h_inverse_slack",
    "h_of_slack",
    "h_prime",
    "h_prime_slack",
    "h_slack",
    "potential_q",
    "selector_g",
]


@jit_inline
def inside(t: float) -> float:
    """|t| where it is below 1, else 0.5: arithmetic that cannot fail."""
    a = abs(t)
    return a if a < 1.0 else 0.5


@jit_inline
def edge_odd(y: float, t: float) -> float:
    """The value y of an odd function with a pole at 1; its edges."""
    a = abs(t)
    y = y if a < 1.0 else (INF if a == 1.0 else NAN)
    return with_sign(y, t)


@jit_inline
def edge_even(y: float, t: float) -> float:
    """The value y of an even function with a pole at 1; its edges."""
    a = abs(t)
    return y if a < 1.0 else (INF if a == 1.0 else NAN)


@jit_inline
def h_cubic(t: float) -> float:
    """``h_3``."""
    return edge_odd(h_3(inside(t))[0], t)


@jit_inline
def h_quartic(t: float) -> float:
    """``h_4``."""
    return edge_odd(h_4(inside(t))[0], t)


@jit_inline
def h_five_halves(t: float) -> float:
    """``h_2.5``."""
    return edge_odd(h_5_halves(inside(t))[0], t)


@jit_inline
def h_sextic(t: float) -> float:
    """``h_6``."""
    return edge_odd(h_6(inside(t))[0], t)


@jit_inline
def h_prime_cubic(t: float) -> float:
    """``h_3'``."""
    return edge_even(h_prime_3(inside(t)), t)


@jit_inline
def h_prime_quartic(t: float) -> float:
    """``h_4'``."""
    return edge_even(h_prime_4(inside(t)), t)


@jit_inline
def h_prime_five_halves(t: float) -> float:
    """``h_2.5'``."""
    return edge_even(h_prime_5_halves(inside(t)), t)


@jit_inline
def h_general(t: float, p: float) -> float:
    """`h` without the closed forms, p > 2."""
    a = inside(t)
    u, ul, v, vl = log_pair(a)
    b, bl = exponent_b(p)
    return edge_odd(h_power(a, u, ul, v, vl, b, bl), t)


@jit_inline
def h_moderate(t: float, p: float) -> float:
    """`h_general` for ``b <= FAST_BELOW``, in fewer steps."""
    return edge_odd(h_fast(inside(t), p), t)


@jit_inline
def h_hyperbolic(t: float) -> float:
    """``2 sinh t``."""
    y, near = h_2_small(abs(t))
    return with_sign(y if near >= 0 else h_2(abs(t)), t)


@jit_inline
def h_prime_general(t: float, p: float) -> float:
    """`h_prime` without the closed forms, p > 2."""
    u, ul, v, vl = log_pair(inside(t))
    return edge_even(h_prime_power(u, ul, v, vl, p), t)


@jit_inline
def h_prime_hyperbolic(t: float) -> float:
    """``2 cosh t``."""
    return h_prime_2(abs(t))


@jit_inline
def h_integral_general(t: float, p: float) -> float:
    """`h_integral` for p > 2."""
    a = inside(t)
    u, ul, v, vl = log_pair(a)
    return edge_even(integral_power(a, u, ul, v, vl, p), t)


@jit_inline
def h_integral_hyperbolic(t: float) -> float:
    """``2 cosh t - 2``."""
    return integral_2(abs(t))


@jit_for_users
def h(t: float, p: float) -> float:
    """``h_p(t)``; odd; +-inf at +-1 for p > 2."""
    if p == 2.0:
        return h_hyperbolic(t)
    if p == 3.0:
        return h_cubic(t)
    if p == 4.0:
        return h_quartic(t)
    if p == 2.5:
        return h_five_halves(t)
    if p == 6.0:
        return h_sextic(t)
    if p > 2.0:
        fast = p <= FAST_BELOW * (p - 2.0)
        return h_moderate(t, p) if fast else h_general(t, p)
    return NAN


@jit_for_users
def h_prime(t: float, p: float) -> float:
    """``h_p'(t)``; even, positive."""
    if p == 2.0:
        return h_prime_hyperbolic(t)
    if p == 3.0:
        return h_prime_cubic(t)
    if p == 4.0:
        return h_prime_quartic(t)
    if p == 2.5:
        return h_prime_five_halves(t)
    if p > 2.0:
        return h_prime_general(t, p)
    return NAN


@jit_for_users
def h_integral(t: float, p: float) -> float:
    """``H_p(t)``, the integral of h_p from 0; even."""
    if p == 2.0:
        return h_integral_hyperbolic(t)
    if p > 2.0:
        return h_integral_general(t, p)
    return NAN


@jit_for_users
def h_slack(t: float, s: float, p: float) -> float:
    """``h_p(t)`` from t and its slack ``s = 1 - |t|``, p > 2: right for s down to 5e-324."""
    good = (s > 0.0) & (s <= 1.0)
    s = s if good else 0.5
    a = abs(t) if good else 0.5
    u, ul, v, vl = log_pair_slack(a, s)
    b, bl = exponent_b(p)
    y = h_power(a, u, ul, v, vl, b, bl)
    return with_sign(y, t) if good else NAN


@jit_for_users
def h_prime_slack(t: float, s: float, p: float) -> float:
    """``h_p'(t)`` from t and its slack ``s = 1 - |t|``, p > 2."""
    good = (s > 0.0) & (s <= 1.0)
    s = s if good else 0.5
    u, ul, v, vl = log_pair_slack(abs(t) if good else 0.5, s)
    y = h_prime_power(u, ul, v, vl, p)
    return y if good else NAN


@jit_for_users
def h_integral_slack(t: float, s: float, p: float) -> float:
    """``H_p(t)`` from t and its slack ``s = 1 - |t|``, p > 2."""
    good = (s > 0.0) & (s <= 1.0)
    s = s if good else 0.5
    a = abs(t) if good else 0.5
    u, ul, v, vl = log_pair_slack(a, s)
    y = integral_power(a, u, ul, v, vl, p)
    return y if good else NAN


@jit_for_users
def h_of_slack(s: float, p: float) -> float:
    """``h_p(1 - s)`` for 0 <= s <= 2, p > 2; odd about s = 1."""
    t = 1.0 - s
    r = s if s <= 1.0 else 2.0 - s  # exact
    y = h_slack(t, r, p)
    return with_sign(INF, t) if r == 0.0 else y


@jit_inline
def is_fast_inverse(p: float) -> bool:
    """Does the shorter form of the inverse serve this depth?"""
    return (p <= FAST_BELOW * (p - 2.0)) & (p <= FAST_DEPTH_TO)


@jit_for_users
def h_inverse_pair(x: float, p: float) -> tuple[float, float]:
    """``t = h_p^-1(x)`` and its slack ``1 - |t|``, each right to its last place, p > 2."""
    return inverse_pair_fast(x, p) if is_fast_inverse(p) else h_inverse_general(x, p)


@jit_inline
def h_inverse_general(x: float, p: float) -> tuple[float, float]:
    """`h_inverse_pair` for any p > 2."""
    a = abs(x)
    finite = a < INF
    ah, al, nh, nl = inverse_power(a if finite else 1.0, p)
    t = ah + al if finite else (1.0 if a == INF else NAN)
    s = nh + nl if finite else (0.0 if a == INF else NAN)
    return with_sign(t, x), s


@jit_inline
def h_inverse_general_alone(x: float, p: float) -> float:
    """`h_inverse` for any p > 2."""
    return h_inverse_general(x, p)[0]


@jit_inline
def h_inverse_slack_general(x: float, p: float) -> float:
    """`h_inverse_slack` for any p > 2."""
    return h_inverse_general(x, p)[1]


@jit_inline
def h_inverse_hyperbolic(x: float) -> float:
    """``asinh(x/2)``."""
    return inverse_edges(x, inverse_2_fast(finite_or_1(x)))


@jit_inline
def is_algebraic(a: float) -> bool:
    """Is ``a = |x|`` where `inverse_3` and `inverse_4` hold?"""
    return (a >= LINEAR) & (a < INF)


@jit_inline
def h_inverse_quartic(x: float) -> float:
    """``h_4^-1``."""
    a = abs(x)
    good = is_algebraic(a)
    end = 0.25 * a if a < LINEAR else (1.0 if a == INF else NAN)
    return with_sign(inverse_4(a if good else 1.0) if good else end, x)


@jit_inline
def h_inverse_cubic(x: float) -> float:
    """``h_3^-1``."""
    a = abs(x)
    good = is_algebraic(a)
    sixth = fma(a, 0.16666666666666666, a * 9.25185853854297e-18)
    end = sixth if a < LINEAR else (1.0 if a == INF else NAN)
    return with_sign(inverse_3(a if good else 1.0) if good else end, x)


@jit_inline
def finite_or_1(x: float) -> float:
    """|x| where it is finite, else 1."""
    a = abs(x)
    return a if a < INF else 1.0


@jit_inline
def inverse_edges(x: float, t: float) -> float:
    """``t = asinh(|x|/2)`` with its sign and its edges."""
    a = abs(x)
    t = 0.5 * a if a < 1e-100 else t
    return with_sign(t if a < INF else a, x)


@jit_for_users
def h_inverse(x: float, p: float) -> float:
    """``h_p^-1(x)``; odd."""
    if p == 2.0:
        return h_inverse_hyperbolic(x)
    if p == 3.0:
        return h_inverse_cubic(x)
    if p == 4.0:
        return h_inverse_quartic(x)
    if p > 2.0:
        return h_inverse_pair(x, p)[0]
    return NAN


@jit_for_users
def h_inverse_slack(x: float, p: float) -> float:
    """``1 - |h_p^-1(x)|``, relatively right however large x is, p > 2."""
    return h_inverse_pair(x, p)[1] if p > 2.0 else NAN


@jit_inline
def potential_hyperbolic(x: float) -> float:
    """``q_2(x) = 2 - sqrt(4 + x**2) + x asinh(x/2)``."""
    a = abs(x)
    return potential_2(a) if a < INF else a


@jit_inline
def potential_general(x: float, p: float) -> float:
    """`potential_q` for p > 2."""
    a = abs(x)
    y = potential_power(a if a < INF else 1.0, p)
    return y if a < INF else a


@jit_for_users
def potential_q(x: float, p: float) -> float:
    """``q_p(x)``, the integral of h_p^-1 from 0; even."""
    if p == 2.0:
        return potential_hyperbolic(x)
    if p > 2.0:
        return potential_general(x, p)
    return NAN


@jit_inline
def selector_from_zero(x: float, p: float, zero: float, zero_low: float) -> float:
    """``g_p(x)``, p >= 2, from the place of its zero (see `selector_near`)."""
    a = abs(x)
    usual = (a > 0.0) & (a < INF)
    y = selector_near(a if usual else 1.0, p, zero, zero_low)
    return y if usual else a


@jit_for_users
def selector_g(x: float, p: float) -> float:
    """``g_2 = |x| (log|x| - 1)``, ``g_p = |x| - (p/2) |x|**(2/p)``; even."""
    if p >= 2.0 and p < INF:
        zero, zero_low = selector_zero(p)
        return selector_from_zero(x, p, zero, zero_low)
    return NAN
