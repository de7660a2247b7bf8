"""What `gradient_descent` returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._display import Displayed
from fastdln.results import Status

__all__ = ["DescentPath", "DescentStats"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DescentStats:
    """The work behind a `DescentPath`.

    Attributes
    ----------
    single_steps : int
        Steps taken one by one.
    leapt_steps : int or float
        Steps leapt over; infinity where the limit was asked for.
    leaps : int
        Leaps taken.
    rejected : int
        Leaps tried and taken back.
    iterations : int
        Newton iterations, over all leaps.
    factorisations : int
        m x m matrices reduced for them.
    """

    single_steps: int = 0
    leapt_steps: int | float = 0
    leaps: int = 0
    rejected: int = 0
    iterations: int = 0
    factorisations: int = 0


@dataclass(frozen=True, repr=False)
class DescentPath(Displayed):
    """Iterates of gradient descent at the steps saved.

    With B configurations (arrays of step sizes or alphas) every attribute but `steps`,
    `stats` and `method` has that axis first.

    Attributes
    ----------
    steps : ndarray of int, shape (S,)
        Numbers of the steps saved; step 0 is the initialisation. With ``n_steps=inf`` they
        are floats and the last one is infinity.
    psi : ndarray, shape (..., S, N)
        Outputs u^p - v^p.
    loss : ndarray, shape (..., S)
        1/2 ||A psi - y||^2 of the numbers in `psi`.
    u, v : ndarray, shape (..., S, N)
        Weights.
    stats : DescentStats
        The work done.
    status : Status or ndarray of Status
        How it ended.
    method : str
        "plain", "compensated" or "leap".
    error_bound : float or ndarray
        With ``n_steps=inf``: bound on the relative error of the last row; else NaN.
    """

    steps: NDArray[Any]
    psi: Array
    loss: Array
    u: Array
    v: Array
    stats: DescentStats
    status: Status | NDArray[np.object_]
    method: str
    error_bound: float | Array = np.nan
    _resume: Any = field(default=None, repr=False, compare=False)
