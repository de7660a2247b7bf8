"""What every method of integrating a flow is asked for, a piece at a time, and what it answers.

A piece ends when its steps are used up or the segments it keeps fill their arrays, so that
Python hears Ctrl-C and nothing grows with the number of steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner

__all__ = ["ARRIVED", "CONVERGED", "INVALID", "PIECE", "STIFF", "STUCK", "Goal", "at_rest"]

PIECE, ARRIVED, CONVERGED, STIFF, STUCK, INVALID = 0, 1, 2, 3, 4, 5


class Goal(NamedTuple):
    """Where to go, and what to keep on the way."""

    end: float
    grid: np.ndarray  # times asked for: steps that hold one are kept as segments
    keep: bool  # all of them
    limit: np.ndarray  # psi to converge to, or empty
    rtol: float
    tol: float  # of the error of a step
    budget: int  # attempts of a step


@jit_inner
def at_rest(psi, eps, goal):
    """Whether psi agrees with its limit to rtol in every coordinate."""
    for j in range(psi.size):
        x = goal.limit[j]
        if not abs(psi[j] - x) <= goal.rtol * (abs(x) + eps):
            return False
    return True
