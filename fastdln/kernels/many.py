"""Many small problems of one shape, each taken from a large alpha to its limits in one call.

Between calls of kernels Python holds its lock and needs longer than a small problem's path
does. What is done to each problem is what `_solver.solve_curve` does along the path: the
same kernels in the same order, hence the same bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.ends import START_OK, residual_norm, start_state
from fastdln.kernels.face import FOUND, deviation, other_depth, prove
from fastdln.kernels.kept import no_factor
from fastdln.kernels.linear import cholesky, squares_of, weighted_gram
from fastdln.kernels.path import REACHED, follow
from fastdln.kernels.polish import Root, polish

__all__ = ["PROVED_BY", "Answers", "Proof", "solve_many", "surely_plain"]

PROVED_BY = -12.0  # log eps at which a proof of the face is first sought

_LARGEST, _SPREAD = 60, 20  # powers of two: see `surely_plain`


class Proof(NamedTuple):
    """How far the path is followed for a proof of the face."""

    sought: float  # log eps; above that of the path's end where another depth may do better
    b: float  # of that depth
    deepest: float  # log eps at which its path ends


class Answers(NamedTuple):
    """For B problems and T targets, in descending order of eps."""

    L: np.ndarray  # (B, T) log(1/eps) as used
    psi: np.ndarray  # (B, T, N)
    log_abs: np.ndarray
    slack: np.ndarray
    dual: np.ndarray  # (B, T, m) for eps = exp(-L), L as used
    unresolved: np.ndarray  # (B, T, N)
    measures: np.ndarray  # (B, T, 5) log unit, residual, bounds
    codes: np.ndarray  # (B, T, 2) of the path and of the polishing
    work: np.ndarray  # (B, T, 2) factorisations and iterations
    columns: np.ndarray  # (B, m) the state at the last target
    sgn: np.ndarray
    s: np.ndarray
    log_eps: np.ndarray  # (B,) NaN where there is no state
    scaled: np.ndarray  # (B, T, N) psi - W_p over exp(unit); of length 0 while not asked for
    unit: np.ndarray  # (B, T)
    known: np.ndarray  # (B,) whether these two were found


@jit_inner
def _exponent_of_largest(values):
    largest = 0.0
    for value in values:
        largest = max(largest, abs(value))
    return math.frexp(largest)[1] if largest > 0.0 else 10_000


@jit
def surely_plain(A, Y, out):
    """Which problems (A[k], Y[k]) serve as they are: full rank, y not 0, no extreme scales.

    A is (B, m, N), or (1, m, N) shared by all. Where the answer is no, `Problem` looks closer.
    """
    m, N = A.shape[1:]
    gram, one, plain = np.empty((m, m)), np.ones(N), False
    for k in range(Y.shape[0]):
        if k < A.shape[0]:
            low, high = 10_000, -10_000
            for i in range(m):
                e = _exponent_of_largest(A[k, i])
                low, high = min(low, e), max(high, e)
            plain = high - low < _SPREAD and low > -_LARGEST and high < _LARGEST and m <= N
            if plain:
                weighted_gram(A[k], one, gram)
                trace = 0.0
                for i in range(m):
                    trace += gram[i, i]
                for i in range(m):
                    gram[i, i] -= 4e-10 * trace
                plain = cholesky(gram)
        e = _exponent_of_largest(Y[k])
        out[k] = plain and -_LARGEST + 1 < e < _LARGEST


class _Case(NamedTuple):
    """One problem."""

    A: np.ndarray
    y: np.ndarray
    squares: np.ndarray
    p: float
    b: float


@jit_inner
def _target(case, L, L_low, deepest, limit, state, log_eps, root):
    """Follow the path to L and polish: (path's results, polishing's, the state there)."""
    A, y, squares, p, b = case
    p_is_2 = p == 2.0
    columns, sgn, s = state
    goal = max(-L, deepest)
    if goal > log_eps:  # above the start of the path the problem is nearly linear
        log_eps = goal
        for i in range(s.size):
            sgn[i] = 1.0
            s[i] = -goal if p_is_2 else 1.0
    path = follow(
        A, y, squares, p_is_2, b, log_eps, goal, limit, columns, sgn, s, no_factor(s.size)
    )  # fmt: skip
    here = columns.copy(), sgn.copy(), s.copy()
    last = polish(
        A, y, squares, p, L, L_low, -goal, False, here[0], here[1], here[2], no_factor(s.size),
        root,
    )  # fmt: skip
    return path, last, here if path[0] == REACHED and goal <= -L else state


@jit_inner
def _solve(case, L_high, L_low, slope_range, deepest, limit, k, out):
    """All targets of problem k."""
    A, y, squares, p, _ = case
    state = out.columns[k], out.sgn[k], out.s[k]
    code, log_eps = start_state(A, y, squares, p == 2.0, state[0], state[1], state[2])
    if code != START_OK:
        return
    least = -log_eps - slope_range
    for i in range(L_high.size):
        L = max(L_high[i], least)
        root = Root(
            out.psi[k, i], out.log_abs[k, i], out.slack[k, i], out.dual[k, i], out.unresolved[k, i]
        )  # fmt: skip
        low = L_low[i] if L_high[i] == L else 0.0
        path, last, state = _target(case, L, low, deepest, limit, state, log_eps, root)
        log_eps = path[2]
        out.L[k, i] = L
        out.measures[k, i, 0] = last[3]
        out.measures[k, i, 1] = residual_norm(A, y, root.psi)
        out.measures[k, i, 2] = last[4][0]
        out.measures[k, i, 3] = last[4][1]
        out.measures[k, i, 4] = last[4][2]
        out.codes[k, i, 0] = path[0]
        out.codes[k, i, 1] = last[0]
        out.work[k, i, 0] = path[1] + last[2]
        out.work[k, i, 1] = last[1]
    out.log_eps[k] = log_eps
    for i in range(y.size):
        out.columns[k, i], out.sgn[k, i], out.s[k, i] = state[0][i], state[1][i], state[2][i]


@jit_inner
def _search(case, p_is_2, b, log_eps, deepest, sought, limit, columns, sgn, s):
    """The face, as `_solver._search` finds it; overwrites the state."""
    A, y, squares = case.A, case.y, case.squares
    goal = min(log_eps, PROVED_BY)
    while True:
        path = follow(
            A, y, squares, p_is_2, b, log_eps, goal, limit, columns, sgn, s, no_factor(s.size)
        )  # fmt: skip
        log_eps = path[2]
        face = prove(A, y, squares, p_is_2, b, log_eps, columns, sgn, s)
        if face.code == FOUND or path[0] != REACHED or goal <= sought:
            return face
        goal = max(2.0 * goal, deepest)


@jit_inner
def _deviate(case, deepest, proof, limit, k, out):
    """psi - W_p of problem k, as `_solver.locate_face` and `deviations` find it."""
    A, y, squares, p, b = case
    p_is_2 = p == 2.0
    for i in range(out.unit.shape[1]):
        if out.measures[k, i, 0] != 0.0:  # exponentials of vectors are NumPy's
            return
    columns, sgn, s = out.columns[k].copy(), out.sgn[k].copy(), out.s[k].copy()
    log_eps = out.log_eps[k]
    face = _search(case, p_is_2, b, log_eps, deepest, proof.sought, limit, columns, sgn, s)
    if face.code != FOUND and proof.sought > deepest:
        code, log_eps = start_state(A, y, squares, False, columns, sgn, s)
        if code == START_OK:
            end = proof.deepest
            other = _search(case, False, proof.b, log_eps, end, end, limit, columns, sgn, s)
            if other.code == FOUND:
                face = other_depth(p_is_2, b, other)
    if face.code != FOUND:
        return
    for i in range(out.unit.shape[1]):
        out.unit[k, i] = deviation(
            A, p_is_2, b, out.L[k, i], face, out.psi[k, i], 0.0, out.scaled[k, i]
        )
    out.known[k] = True


@jit
def solve_many(A, Y, p, b, L_high, L_low, slope_range, deepest, proof, limit, out):
    """Fill `out` for problems (A[k], Y[k]) of depth b (see `path`) at ascending L = log(1/eps).

    A is (B, m, N), or (1, m, N) shared by all. L beyond `slope_range` above the path's start
    is cut there: psi no longer changes.

    Where `out` has room for deviations, these alone are found for the limits that are in it,
    the face being proved as `proof` says: one kernel, for both follow the path, and that takes
    long to compile.
    """
    squares = np.empty(A.shape[2])
    for k in range(Y.shape[0]):
        i = k if A.shape[0] > 1 else 0
        if k == i:
            squares_of(A[i], squares)
        case = _Case(A[i], Y[k], squares, p, b)
        if out.known.size > 0:
            if out.log_eps[k] == out.log_eps[k]:
                _deviate(case, deepest, proof, limit, k, out)
            continue
        _solve(case, L_high, L_low, slope_range, deepest, limit, k, out)
