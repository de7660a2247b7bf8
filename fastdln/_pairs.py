"""Logarithms and exponents as unevaluated sums of two doubles.

Where eps is 1e-300 a plain log(eps) would be wrong by 1e-13, and psi with it.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["exponent_pair", "log_eps_pair"]

Array = NDArray[np.float64]

_DIGITS = decimal.Context(prec=40)


def log_eps_pair(array: Array, p: float, are_logs: bool) -> tuple[Array, Array]:
    """log eps = p log(alpha), from an array of alpha or of log(alpha), to 2**-104.

    An error of log eps is one of log psi: the 64 bits of a long double would leave 1e-17.
    """
    high, low = np.empty_like(array), np.empty_like(array)
    for index, value in np.ndenumerate(array):
        exact = Decimal(float(value))
        log_alpha = exact if are_logs else exact.ln(_DIGITS)
        high[index], low[index] = _split(_DIGITS.multiply(Decimal(p), log_alpha))
    return high, low


def exponent_pair(p: float) -> tuple[float, float]:
    """b = p / (p - 2)."""
    exact = Fraction(p) / (Fraction(p) - 2)
    return float(exact), float(exact - Fraction(float(exact)))


def _split(exact: Decimal) -> tuple[float, float]:
    high = float(exact)
    return high, float(_DIGITS.subtract(exact, Decimal(high)))
