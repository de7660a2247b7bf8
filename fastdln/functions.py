"""The coordinate functions of a diagonal linear network, on arrays, as NumPy's ufuncs are.

All take real arrays of any shape and memory layout, broadcast p against them, accept
``out=``, return scalars for scalars, and heed `numpy.errstate`. float32 in gives
float32 out, computed in float64; integers are promoted to float64. Large arrays run on
all cores; the bits do not depend on how many. Accuracy: docs/functions.md.
"""

from __future__ import annotations

import functools
from decimal import Context, Decimal, localcontext
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastdln._elementwise import Loop, apply
from fastdln.kernels import coordinate_arrays as loops
from fastdln.kernels.coordinate import is_fast_inverse
from fastdln.kernels.coordinate_fast import FAST_BELOW

__all__ = [
    "h",
    "h_integral",
    "h_inverse",
    "h_inverse_slack",
    "h_of_slack",
    "h_prime",
    "potential_q",
    "selector_g",
]

_H: dict[float, Loop] = {
    2.0: loops.h_hyperbolic,
    2.5: loops.h_five_halves,
    3.0: loops.h_cubic,
    4.0: loops.h_quartic,
    6.0: loops.h_sextic,
}
_H_INVERSE: dict[float, Loop] = {
    2.0: loops.h_inverse_hyperbolic,
    3.0: loops.h_inverse_cubic,
    4.0: loops.h_inverse_quartic,
}
_H_PRIME: dict[float, Loop] = {
    2.0: loops.h_prime_hyperbolic,
    2.5: loops.h_prime_five_halves,
    3.0: loops.h_prime_cubic,
    4.0: loops.h_prime_quartic,
}


def h(t: ArrayLike, p: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    """``h_p(t)``: the output of one coordinate, in units of alpha**p, as its dual grows.

    ``h_2(t) = 2 sinh t``; for p > 2, ``h_p(t) = (1 - t)**-b - (1 + t)**-b`` with
    ``b = p / (p - 2)``, for |t| <= 1. Odd, increasing.

    Parameters
    ----------
    t : array_like of float
        Any shape. For p > 2, NaN comes out where |t| > 1 and +-inf at +-1.
    p : array_like of float
        Depth, at least 2 and finite; broadcast against t. A scalar is fastest.
    out : ndarray, optional
        Where to put the result; may overlap t.

    Returns
    -------
    ndarray or scalar
        Of the broadcast shape of t and p.

    Raises
    ------
    ValueError
        If p is below 2, NaN or infinite, or out has the wrong shape.
    TypeError
        If t or p is not real, or out cannot hold floats.

    References
    ----------
    Wind, Antun, Hansen, arXiv 2307.07410, where ``h_p`` is the inverse of ``q_p'``.

    Examples
    --------
    >>> from fastdln.functions import h
    >>> h([0.0, 0.5, -0.5], 4)
    array([ 0.        ,  3.55555556, -3.55555556])
    """
    return apply("h", "t", t, p, out, _h_loop)


def h_prime(t: ArrayLike, p: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    """``h_p'(t)``: 2 cosh t for p = 2, else ``b [(1 - t)**-(b+1) + (1 + t)**-(b+1)]``.

    Parameters
    ----------
    t : array_like of float
        Any shape. For p > 2, NaN comes out where |t| > 1 and inf at +-1.
    p : array_like of float
        Depth, at least 2 and finite; broadcast against t.
    out : ndarray, optional
        Where to put the result; may overlap t.

    Returns
    -------
    ndarray or scalar
        Of the broadcast shape of t and p.

    Raises
    ------
    ValueError
        If p is below 2, NaN or infinite, or out has the wrong shape.
    TypeError
        If t or p is not real, or out cannot hold floats.

    References
    ----------
    The derivative of ``h_p`` of Wind, Antun, Hansen, arXiv 2307.07410.

    Examples
    --------
    >>> from fastdln.functions import h_prime
    >>> h_prime([0.0, 0.5], 4)
    array([ 4.        , 16.59259259])
    """
    return apply("h_prime", "t", t, p, out, lambda q: _H_PRIME.get(q, loops.h_prime_general))


def h_integral(t: ArrayLike, p: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    """``H_p(t)``, the integral of ``h_p`` from 0 to t.

    ``H_2 = 2 cosh t - 2``; for p > 2,
    ``H_p = ((p - 2)/2) [(1 - t)**(1-b) + (1 + t)**(1-b) - 2]``. Even.

    Parameters
    ----------
    t : array_like of float
        Any shape. For p > 2, NaN comes out where |t| > 1 and inf at +-1.
    p : array_like of float
        Depth, at least 2 and finite; broadcast against t.
    out : ndarray, optional
        Where to put the result; may overlap t.

    Returns
    -------
    ndarray or scalar
        Of the broadcast shape of t and p.

    Raises
    ------
    ValueError
        If p is below 2, NaN or infinite, or out has the wrong shape.
    TypeError
        If t or p is not real, or out cannot hold floats.

    References
    ----------
    The convex conjugate of ``q_p`` of Wind, Antun, Hansen, arXiv 2307.07410.

    Examples
    --------
    >>> from fastdln.functions import h_integral
    >>> h_integral([0.0, 0.5], 4)
    array([0.        , 0.66666667])
    """
    return apply("h_integral", "t", t, p, out, _integral_loop)


def h_inverse(x: ArrayLike, p: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    """``h_p^-1(x)``: asinh(x/2) for p = 2; for p > 2 it lies in [-1, 1]. Odd.

    Parameters
    ----------
    x : array_like of float
        Any shape. For p > 2, +-inf gives +-1.
    p : array_like of float
        Depth, at least 2 and finite; broadcast against x.
    out : ndarray, optional
        Where to put the result; may overlap x.

    Returns
    -------
    ndarray or scalar
        Of the broadcast shape of x and p.

    Raises
    ------
    ValueError
        If p is below 2, NaN or infinite, or out has the wrong shape.
    TypeError
        If x or p is not real, or out cannot hold floats.

    References
    ----------
    The derivative of ``q_p`` of Wind, Antun, Hansen, arXiv 2307.07410.

    Examples
    --------
    >>> from fastdln.functions import h, h_inverse
    >>> h_inverse(h([0.25, -0.5], 3), 3)
    array([ 0.25, -0.5 ])
    """
    return apply("h_inverse", "x", x, p, out, _inverse_loop)


def h_of_slack(s: ArrayLike, p: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    """``h_p(1 - s)``, right to the last place however small the slack s is; p > 2.

    Where t is so near 1 that float64 holds only 1 - t. Odd about s = 1.

    Parameters
    ----------
    s : array_like of float
        Any shape; ``s = 1 - t`` in [0, 2], NaN comes out elsewhere, +-inf at 0 and 2.
    p : array_like of float
        Depth, above 2 and finite; broadcast against s.
    out : ndarray, optional
        Where to put the result; may overlap s.

    Returns
    -------
    ndarray or scalar
        Of the broadcast shape of s and p.

    Raises
    ------
    ValueError
        If p is not above 2, is NaN or infinite, or out has the wrong shape.
    TypeError
        If s or p is not real, or out cannot hold floats.

    References
    ----------
    ``h_p`` of Wind, Antun, Hansen, arXiv 2307.07410, at 1 - s.

    Examples
    --------
    >>> from fastdln.functions import h_of_slack
    >>> float(h_of_slack(1e-100, 4))
    1e+200
    """
    return apply("h_of_slack", "s", s, p, out, lambda q: loops.h_of_slack, above_2=True)


def h_inverse_slack(x: ArrayLike, p: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    """``1 - |h_p^-1(x)|``, right to the last place however large x is; p > 2. Even.

    Parameters
    ----------
    x : array_like of float
        Any shape; +-inf gives 0.
    p : array_like of float
        Depth, above 2 and finite; broadcast against x.
    out : ndarray, optional
        Where to put the result; may overlap x.

    Returns
    -------
    ndarray or scalar
        Of the broadcast shape of x and p.

    Raises
    ------
    ValueError
        If p is not above 2, is NaN or infinite, or out has the wrong shape.
    TypeError
        If x or p is not real, or out cannot hold floats.

    References
    ----------
    From the derivative of ``q_p`` of Wind, Antun, Hansen, arXiv 2307.07410.

    Examples
    --------
    >>> from fastdln.functions import h_inverse_slack
    >>> float(h_inverse_slack(1e200, 4))
    1e-100
    """
    return apply("h_inverse_slack", "x", x, p, out, _inverse_slack_loop, above_2=True)


def potential_q(x: ArrayLike, p: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    """``q_p(x)``, the integral of ``h_p^-1`` from 0: what the flow's limit minimises.

    ``q_2(x) = 2 - sqrt(4 + x**2) + x asinh(x/2)``;
    ``q_p(x) = x h_p^-1(x) - H_p(h_p^-1(x))``. Even, convex.

    Parameters
    ----------
    x : array_like of float
        Any shape.
    p : array_like of float
        Depth, at least 2 and finite; broadcast against x.
    out : ndarray, optional
        Where to put the result; may overlap x.

    Returns
    -------
    ndarray or scalar
        Of the broadcast shape of x and p.

    Raises
    ------
    ValueError
        If p is below 2, NaN or infinite, or out has the wrong shape.
    TypeError
        If x or p is not real, or out cannot hold floats.

    References
    ----------
    ``q_p`` of Wind, Antun, Hansen, arXiv 2307.07410.

    Examples
    --------
    >>> from fastdln.functions import potential_q
    >>> potential_q([0.0, 1.0, -1.0], 2)
    array([0.        , 0.24514385, 0.24514385])
    """
    return apply("potential_q", "x", x, p, out, _potential_loop)


def selector_g(x: ArrayLike, p: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    """``g_p(x)``: its sum over coordinates picks the limit among the l1 minimisers.

    ``g_2(x) = |x| (log|x| - 1)``; for p > 2, ``g_p(x) = |x| - (p/2) |x|**(2/p)``. Even.

    Parameters
    ----------
    x : array_like of float
        Any shape.
    p : array_like of float
        Depth, at least 2 and finite; broadcast against x. Where p is an array, digits
        relative to g_p are lost close to its zero at ``x = (p/2)**(p/(p-2))``.
    out : ndarray, optional
        Where to put the result; may overlap x.

    Returns
    -------
    ndarray or scalar
        Of the broadcast shape of x and p.

    Raises
    ------
    ValueError
        If p is below 2, NaN or infinite, or out has the wrong shape.
    TypeError
        If x or p is not real, or out cannot hold floats.

    References
    ----------
    ``g_p`` of Wind, Antun, Hansen, arXiv 2307.07410.

    Examples
    --------
    >>> from fastdln.functions import selector_g
    >>> selector_g([0.0, 1.0, 4.0], 4)
    array([ 0., -1.,  0.])
    """
    return apply("selector_g", "x", x, p, out, _selector_loop)


def _h_loop(p: float) -> Loop:
    fast = p <= FAST_BELOW * (p - 2.0)
    return _H.get(p, loops.h_fast if fast else loops.h_general)


def _integral_loop(p: float) -> Loop:
    return loops.h_integral_hyperbolic if p == 2.0 else loops.h_integral_general


def _inverse_loop(p: float) -> Loop:
    fast = is_fast_inverse(p)
    return _H_INVERSE.get(p, loops.h_inverse_fast if fast else loops.h_inverse_general)


def _inverse_slack_loop(p: float) -> Loop:
    return loops.h_inverse_slack_fast if is_fast_inverse(p) else loops.h_inverse_slack


def _potential_loop(p: float) -> Loop:
    return loops.potential_hyperbolic if p == 2.0 else loops.potential_general


def _selector_loop(p: float) -> Loop:
    zero, low = _selector_zero(p)
    return lambda x, q, out: loops.selector(x, q, zero, low, out)


@functools.lru_cache(maxsize=256)
def _selector_zero(p: float) -> tuple[float, float]:
    """``(p/2)**(p/(p-2))``, or e, to 32 digits: float64 kernels cannot form it themselves."""
    with localcontext(Context(prec=60)):
        depth = Decimal(p)
        power = (depth / (depth - 2) * (depth / 2).ln()).exp() if depth > 2 else Decimal(1).exp()
        high = float(power)
        low = float(power - Decimal(high))
        return high, low if abs(low) > 1e-45 * high else 0.0  # an exact power, but for exp
