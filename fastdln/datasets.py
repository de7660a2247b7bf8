"""Published problems, and random ones whose sparse solution is known exactly."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._check import check_count
from fastdln.problem import Problem

__all__ = ["Planted", "gaussian", "kink", "line", "plane", "random"]

Array = NDArray[np.float64]


def line() -> Problem:
    """Three coordinates whose l1 minimisers form a line segment (arXiv 2307.07410, figure 1).

    Returns
    -------
    Problem
        A = [[1, 1, 1], [3, 0, 1]], y = (3, 3).

    Examples
    --------
    >>> import fastdln as fd
    >>> fd.datasets.line()
    Problem('line', m=2, N=3)
    """
    return Problem([[1.0, 1.0, 1.0], [3.0, 0.0, 1.0]], [3.0, 3.0], name="line")


def plane() -> Problem:
    """Four coordinates whose l1 minimisers form a line segment (arXiv 2307.07410, figure 1).

    Returns
    -------
    Problem
        A = [[2, -1, 0, 1], [0, 3, 2, 0]], y = (0, 6).

    Examples
    --------
    >>> import fastdln as fd
    >>> fd.datasets.plane()
    Problem('plane', m=2, N=4)
    """
    return Problem([[2.0, -1.0, 0.0, 1.0], [0.0, 3.0, 2.0, 0.0]], [0.0, 6.0], name="plane")


def random() -> Problem:
    """Five coordinates drawn at random, one minimiser (arXiv 2307.07410, figure 1).

    Returns
    -------
    Problem
        The published matrix of three decimals.

    Examples
    --------
    >>> import fastdln as fd
    >>> fd.datasets.random()
    Problem('random', m=3, N=5)
    """
    A = [
        [-0.111, 0.120, -0.370, -0.240, -1.197],
        [0.209, -0.972, -0.755, 0.324, -0.109],
        [0.210, -0.391, 0.235, 0.665, 0.353],
    ]
    return Problem(A, [0.973, -0.039, -0.886], name="random")


def kink(delta: float) -> Problem:
    """Two coordinates, nearly tied: generalised hardness of approximation.

    A = (1, 1 - delta), y = 1: the minimiser is (1, 0), and rho = 1 - delta.

    Parameters
    ----------
    delta : float
        Distance from the tie, 0 < delta < 1.

    Returns
    -------
    Problem
        (A, y) (arXiv 2307.07410, figure 2).

    Raises
    ------
    ValueError
        If delta is not between 0 and 1.

    Examples
    --------
    >>> import fastdln as fd
    >>> fd.datasets.kink(0.25).A
    array([[1.  , 0.75]])
    """
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta must lie between 0 and 1, got {delta!r}")
    return Problem([[1.0, 1.0 - delta]], [1.0], name=f"kink {delta:g}")


class Planted(NamedTuple):
    """A problem together with the sparse vector x it was made from: y = A x exactly."""

    problem: Problem
    x: Array

    def __repr__(self) -> str:
        return f"Planted({self.problem!r}, x with {np.count_nonzero(self.x)} nonzeros)"


def gaussian(m: int, N: int, sparsity: int, rng: Any = 0) -> Planted:
    """Gaussian matrix and sparse signal on coarse grids, so that y = A x holds in float64.

    Entries of A and of x are standard normal, rounded to multiples of 2^-k with k so
    large as products and sums stay exact (at most 16). A signal with a zero entry
    after rounding gets 2^-k there: its support has exactly `sparsity` elements.

    Parameters
    ----------
    m, N : int
        Shape of A.
    sparsity : int
        Number of nonzero coordinates of x, at most N.
    rng : int, numpy.random.Generator or other seed, optional
        As for `numpy.random.default_rng` (SPEC 7).

    Returns
    -------
    Planted
        ``problem`` and ``x``.

    Raises
    ------
    ValueError
        If a size is not positive, or sparsity exceeds N.

    Examples
    --------
    >>> import fastdln as fd
    >>> problem, x = fd.datasets.gaussian(4, 10, 2, rng=0)
    >>> bool((problem.A @ x == problem.y).all())
    True
    """
    m, N = check_count("m", m, 1), check_count("N", N, 1)
    sparsity = check_count("sparsity", sparsity, 1)
    if sparsity > N:
        raise ValueError(f"sparsity must be at most N = {N}, got {sparsity}")
    generator = np.random.default_rng(rng)
    # |A|, |x| < 8: products below 64 in multiples of 4^-k, sums of `sparsity` of them
    bits = min(16, (53 - 6 - math.ceil(math.log2(sparsity + 1))) // 2)
    grid = 2.0**-bits
    A = np.clip(np.round(generator.standard_normal((m, N)) / grid) * grid, -8.0, 8.0)
    values = np.clip(np.round(generator.standard_normal(sparsity) / grid) * grid, -8.0, 8.0)
    x = np.zeros(N)
    x[generator.choice(N, sparsity, replace=False)] = np.where(values == 0.0, grid, values)
    return Planted(Problem(A, A @ x, name=f"gaussian {m} x {N}"), x)
