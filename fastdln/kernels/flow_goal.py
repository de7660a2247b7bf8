"""What every method of integrating a flow is asked for, a piece at a time, and what it answers.

A piece ends when its steps are used up or the segments it keeps fill their arrays, so that
Python hears Ctrl-C and nothing grows with the number of steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner

__all__ = [
    "ARRIVED",
    "CONVERGED",
    "INVALID",
    "LEAST_ERROR",
    "PIECE",
    "STIFF",
    "STUCK",
    "Goal",
    "at_rest",
    "longer",
    "part_of_way",
]

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


LEAST_ERROR = 1e-6  # of the tolerance: smaller errors tell no trend
_NEAR = 0.9
_SAFETY = 0.9  # of the stride at which the error would be that allowed
_GROWTH = 8.0  # of a stride from one step to the next
_FALL = 0.2


@jit_inner
def longer(H, error, tol, stages, last, last_error):
    """Factor of the stride after a step of collocation; an error that grew goes on to grow.

    (Gustafsson's predictive control: Hairer, Wanner, "Solving Ordinary Differential Equations
    II", section IV.8.)
    """
    if not error > 0.0:
        return _GROWTH
    part = 1.0 / (stages + 1)
    factor = _SAFETY * (tol / error) ** part
    if last > 0.0 and last_error > 0.0:
        factor = min(factor, max(factor * (H / last) * (last_error / error) ** part, _FALL))
    return min(_GROWTH, factor)


@jit_inner
def part_of_way(stages, rtol, b, log_eps, room, pull):
    """Part of its slack that a coordinate may be expected to lose in a step of collocation.

    psi has a pole where the slack ends. A step of h that starts a distance d before it errs about
    like (h/d)^(2 stages + 2), and its own estimate tells when it is done, not before. That is
    none of lambda's business while psi is too small to move it: by less than rtol, at the end of
    the longest step that is allowed at all. room: the slack; pull: ||a||^2 over the rate of tau
    in c t.
    """
    grown = log_eps - b * math.log((1.0 - _NEAR) * room)
    if grown + math.log(pull) < math.log(rtol):
        return _NEAR
    return _NEAR * min(1.0, rtol ** (1.0 / (2 * stages + 2)))


@jit_inner
def at_rest(psi, eps, goal):
    """Whether psi agrees with its limit to rtol in every coordinate."""
    for j in range(goal.limit.size):
        x = goal.limit[j]
        if not abs(psi[j] - x) <= goal.rtol * (abs(x) + eps):
            return False
    return True
