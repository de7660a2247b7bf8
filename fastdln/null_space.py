"""Null space constants: how strongly ker A ties the support to what is off it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._chebyshev import least_maximum
from fastdln._display import Displayed
from fastdln._support import Split, lift, split_at
from fastdln.minimizer import l1_minimizer
from fastdln.problem import Problem
from fastdln.results import Status

__all__ = ["NullSpaceConstants", "Vertex", "least_sup_norm", "null_space_constants"]

Array = NDArray[np.float64]

_ENUMERATED = 6  # |S| up to which 2^|S| linear programs are solved for an exact value
_LARGE = 2048  # entries of the linear program from which homotopy is tried first
_TIE = 1e-9  # |s_i| this close to the largest, as a fraction of 1 + the largest, is a candidate
_EXACT = 1e-12  # residual up to which the equations of the active columns are consistent


@dataclass(frozen=True, repr=False)
class NullSpaceConstants(Displayed):
    """Null space constants of A at the l1 minimiser x, with support S and signs sigma.

    All are suprema over n in ker A, n off S not zero (Matt and Stoeger, arXiv 2506.01143).

    Attributes
    ----------
    rho : float
        ``sup -sum_S sigma_i n_i / ||n_Sc||_1``; below 1 where S is that of the minimiser
        of largest support. The error of the limit is of order eps^(1 - rho) at p = 2.
    rho_minus : float
        The same with the positive terms ``-sigma_i n_i`` alone in the sum.
    rho_tilde : float
        ``sup ||n_S||_1 / ||n_Sc||_1``. Infinite, like `rho_minus`, where the minimiser is not
        unique: then some n in ker A lives on S alone.
    rho_exact : bool
        True where the minimiser is decided: one linear program at most, solved to rounding.
    rho_minus_exact : bool
        Whether `rho_minus` is exact, to rounding; otherwise it is an upper bound.
    rho_tilde_exact : bool
        The same of `rho_tilde`.
    status : Status
        That of the minimiser; all constants are NaN where it is ``UNDECIDED``.
    """

    rho: float
    rho_minus: float
    rho_tilde: float
    rho_exact: bool
    rho_minus_exact: bool
    rho_tilde_exact: bool
    status: Status


class Vertex(NamedTuple):
    """A mu of least ``max abs(A_off^T mu)`` among those with given ``A_on^T mu``."""

    dual: Array
    rho: float  # that least value
    active: NDArray[np.int64]  # columns of A_off that are at +-rho for every such mu
    sign: Array  # theirs


def null_space_constants(problem: Problem) -> NullSpaceConstants:
    """Null space constants at the l1 minimiser, each exact or marked as an upper bound.

    Parameters
    ----------
    problem : Problem
        A and y. Where the minimiser is not unique, the one of largest support is meant.

    Returns
    -------
    NullSpaceConstants
        rho <= rho_minus <= rho_tilde, with a flag each.

    Notes
    -----
    With |S| = rank A a vector n of ker A is free off S, and convex functions on the l1
    ball are largest at its vertices: maxima over columns of ``K = A_S^-1 A_Sc``. With fewer,
    the numerators are maxima of linear forms ``-sum zeta_i n_i``, a linear program for each
    zeta: solved for |S| <= 6, bounded by the columns of ``pinv(A_S) A_Sc`` beyond.

    Examples
    --------
    >>> import fastdln as fd
    >>> constants = fd.null_space_constants(fd.datasets.kink(0.25))
    >>> constants.rho, constants.rho_minus, constants.rho_tilde
    (0.75, 0.75, 0.75)
    >>> constants.rho_exact, constants.rho_minus_exact, constants.rho_tilde_exact
    (True, True, True)
    """
    # the support is the same for every depth, and p = 4 proves degenerate faces directly
    minimizer = l1_minimizer(problem, 4.0)
    if minimizer.status is not Status.PROVED:
        nan = math.nan
        return NullSpaceConstants(nan, nan, nan, False, False, False, minimizer.status)
    if minimizer.support.size == 0:
        return NullSpaceConstants(0.0, 0.0, 0.0, True, True, True, minimizer.status)
    split = split_at(problem, minimizer)
    rho = least_sup_norm(split, split.sign).rho
    if not minimizer.unique:
        return NullSpaceConstants(rho, math.inf, math.inf, True, True, True, minimizer.status)
    minus, tilde, exact = _one_sided(split)
    # rounding must not upset the order that the definitions imply
    minus = max(minus, rho)
    return NullSpaceConstants(
        rho, minus, max(tilde, minus), True, exact, exact, minimizer.status
    )  # fmt: skip


def _one_sided(split: Split) -> tuple[float, float, bool]:
    """rho_minus, rho_tilde, and whether they are exact."""
    k = split.on.size
    signed = split.sign[:, np.newaxis] * split.coupling
    up = np.maximum(signed, 0.0).sum(axis=0)
    down = np.maximum(-signed, 0.0).sum(axis=0)
    minus = float(np.max(np.maximum(up, down), initial=0.0))
    tilde = float(np.max(up + down, initial=0.0))
    if split.free.shape[1] == 0 or split.off.size == 0:
        return minus, tilde, True
    if k > _ENUMERATED:
        return minus, tilde, False
    chosen = np.array(list(itertools.product((0.0, 1.0), repeat=k)))
    minus = max(least_sup_norm(split, split.sign * part).rho for part in chosen)
    tilde = max(least_sup_norm(split, 2.0 * part - 1.0).rho for part in chosen[: len(chosen) // 2])
    return minus, tilde, True


def least_sup_norm(split: Split, target: Array) -> Vertex:
    """Minimise ``max abs(A_off^T mu)`` over ``A_on^T mu = target``.

    The dual of ``max -sum target_i n_i`` over n in ker A with ||n_off||_1 <= 1. HiGHS finds
    a vertex; the equations of the columns with a nonzero multiplier there are then solved
    to rounding. Active are those that have one at some optimal multiplier
    (strict complementarity, Goldman and Tucker 1956).
    """
    mu = lift(split, target)
    if split.off.size == 0:
        return Vertex(mu, 0.0, np.empty(0, np.int64), np.empty(0))
    if split.free.shape[1] == 0:
        s = split.A_off.T @ mu
        rho = float(np.max(np.abs(s)))
        tied = np.flatnonzero(np.abs(s) >= rho - _EXACT * (1.0 + rho))
        return Vertex(mu, rho, tied, np.sign(s[tied]))
    start, directions = split.A_off.T @ mu, split.A_off.T @ split.free
    found = least_maximum(start, directions) if directions.size >= _LARGE else None
    if found is not None:
        z, basis, only = found
        nearly = mu + split.free @ z
        mu, rho, residual = _refined(split, target, nearly, basis)
        if only and residual <= _EXACT * (1.0 + rho):
            return Vertex(mu, rho, basis, np.sign((split.A_off.T @ mu)[basis]))
    else:
        z, basis = _linear_program(start, directions)
        mu, rho, _ = _refined(split, target, mu + split.free @ z, basis)
    s = split.A_off.T @ mu
    near = np.flatnonzero(np.abs(s) >= rho - _TIE * (1.0 + rho))
    active = _complementary(split, near, np.sign(s[near]))
    again, value, residual = _refined(split, target, mu, active)
    if active.size and residual <= _EXACT * (1.0 + rho):
        mu, rho = again, value
    else:
        active = basis
    return Vertex(mu, rho, active, np.sign((split.A_off.T @ mu)[active]))


def _linear_program(start: Array, directions: Array) -> tuple[Array, NDArray[np.int64]]:
    """z of least ``max abs(start + directions z)``, and the rows with a multiplier."""
    from scipy.optimize import linprog  # slow to import, and not always needed

    n, free = directions.shape
    one = -np.ones((n, 1))
    solution = linprog(
        np.r_[np.zeros(free), 1.0],
        A_ub=np.block([[directions, one], [-directions, one]]),
        b_ub=np.r_[-start, start],
        bounds=[(None, None)] * free + [(0.0, None)],
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not solution.success:
        raise ArithmeticError(f"the linear program for rho was not solved: {solution.message}")
    weight = np.abs(solution.ineqlin.marginals)
    rows = np.flatnonzero(np.maximum(weight[:n], weight[n:]) > 1e-9)
    return solution.x[:free], rows


def _refined(
    split: Split, target: Array, mu: Array, active: NDArray[np.int64]
) -> tuple[Array, float, float]:
    """Newton on ``A_on^T mu = target``, ``sign a_j^T mu = rho`` for j active, from a near mu."""
    s = split.A_off.T @ mu
    rho = float(np.max(np.abs(s)))
    sign = np.sign(s[active])
    columns = np.hstack((split.A_on, split.A_off[:, active] * sign))
    last = np.r_[np.zeros(split.on.size), -np.ones(active.size)]
    M = np.column_stack((columns.T, last))
    rhs = np.r_[target, np.zeros(active.size)]
    wide, x = M.astype(np.longdouble), np.r_[mu, rho]
    for _ in range(2):
        x = x + _solve(M, (rhs - wide @ x).astype(float))
    residual = float(np.max(np.abs(rhs - wide @ x), initial=0.0))
    return x[:-1], float(x[-1]), residual


def _solve(M: Array, rhs: Array) -> Array:
    """By LU where M is square and far from singular, else by least squares."""
    if M.shape[0] == M.shape[1] > _ENUMERATED:
        try:
            x = np.linalg.solve(M, rhs)
        except np.linalg.LinAlgError:
            x = np.full(rhs.size, np.inf)
        size = np.max(np.abs(M)) * np.max(np.abs(x))
        if np.max(np.abs(M @ x - rhs)) <= 1e-13 * size and size < 1e6 * np.max(np.abs(rhs)):
            return np.asarray(x)
    return np.asarray(np.linalg.lstsq(M, rhs, rcond=1e-13)[0])


def _complementary(split: Split, near: NDArray[np.int64], sign: Array) -> NDArray[np.int64]:
    """Those of the columns `near` that carry weight in some optimal multiplier.

    Multipliers form the cone of w >= 0 with ``A_near diag(sign) w`` in the range of A_on;
    the sum of min(w_j, 1) over it is largest where every w_j that can be is at least 1.
    """
    from scipy.optimize import linprog

    n = near.size
    rows = split.free.T @ (split.A_off[:, near] * sign)
    solution = linprog(
        np.r_[-np.ones(n), np.zeros(n)],
        A_eq=np.hstack((rows, rows)),
        b_eq=np.zeros(rows.shape[0]),
        bounds=[(0.0, 1.0)] * n + [(0.0, None)] * n,
        method="highs-ds",
    )
    return near[solution.x[:n] > 0.5] if solution.success else near[:0]
