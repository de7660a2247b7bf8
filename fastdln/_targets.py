"""The initialisations asked for, in the order of the path that passes through them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._check import check_scale

__all__ = ["Targets", "check_targets"]

Array = NDArray[np.float64]

_LN2_HIGH = 0x162E42FEFA3 / 2**41  # log(2) in 41 bits: its products with exponents are exact
_LN2_LOW = 2.8235290563031577e-13


class Targets(NamedTuple):
    """T values of log eps = p log(alpha), and their descending order."""

    log_eps: Array
    high: Array  # log(1/eps) ascending, as a double-double pair
    low: Array
    back: NDArray[np.intp]  # from the path's order to the caller's
    scalar: bool

    def in_units_of(self, scale: float) -> tuple[Array, Array]:
        """log(scale / eps), of a power of two, as a double-double pair."""
        if scale == 1.0:
            return self.high, self.low
        exponent = math.frexp(scale)[1] - 1
        shift = exponent * _LN2_HIGH  # exact
        s = self.high + shift
        z = s - self.high
        low = ((self.high - (s - z)) + (shift - z)) + (self.low + exponent * _LN2_LOW)
        high = s + low
        return high, low - (high - s)

    @property
    def pick(self) -> Any:
        """Index of arrays in the path's order that gives the caller's order and shape."""
        return 0 if self.scalar else self.back

    def plain(self, values: NDArray[Any]) -> Any:
        """Values in the path's order as the caller's: an array, or one Python number."""
        return values[0:1].tolist()[0] if self.scalar else values[self.back]


def check_targets(alpha: Any, log_alpha: Any, p: float) -> Targets:
    """From whichever of alpha and log_alpha was given."""
    log_eps, low = check_scale(alpha, log_alpha, p)
    scalar = log_eps.ndim == 0
    log_eps, low = np.atleast_1d(log_eps), np.atleast_1d(low)
    order = np.argsort(-log_eps, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return Targets(log_eps, -log_eps[order], -low[order], back, scalar)
