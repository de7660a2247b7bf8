"""Limits at one eps by primal-dual methods, step by step; see kernels/centre.py and entropic.py.

The loops are here, not in kernels, so that A D A^T is formed on all cores, and Ctrl-C is heard.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._pursuit import pursue
from fastdln._threads import in_order
from fastdln.kernels.centre import (
    choose_at,
    factor,
    finish,
    improve,
    new_sides,
    open_vertex,
    prepare,
)
from fastdln.kernels.deep import assess_deep, choose_columns, go_deeper, open_at
from fastdln.kernels.entropic import assess, choose_below, go_down, new_halves, open_least_norm
from fastdln.kernels.linear import add_columns, padded_size, unfold, weighted_gram
from fastdln.kernels.state import Point
from fastdln.kernels.tableau import open_basis
from fastdln.problem import Constraints

__all__ = ["Start", "from_least_norm", "from_minimizer", "go_on"]

Array = NDArray[np.float64]

_STEPS = 25  # at most, of each method
_PLAIN = -23.0  # log eps to which A D A^T itself is good enough (p = 2)
_DONE = 0.1  # size of a step, about that of log psi, from which `polish` takes over (p > 2)
_DONE_LOG = 1.0  # mismatch of a log (p = 2)
_ON_THE_WAY = 3.0  # the same, where the method goes on from there
_REACH = 3.0  # times log eps: as far as it goes from where it has settled
_SHORTEST = 1.0  # least change of log eps worth a stage
_GROWTH, _SHRINK = 2.0, 4.0  # of a stage after one that succeeded, and one that failed
_IN_A_STAGE = 15  # steps
_MOST = 200  # in all
_DONE_PLAIN, _DONE_DEEP = 1e-3, 0.1  # of a row: over y, or over the D of its basis coordinate
_ASTRAY = 30.0  # mismatch of a log from which steps in a basis do not come back
_SPREAD = 1e4  # largest diagonal of K K^T before the basis is chosen anew
_OUTGROWN = 100.0  # mismatch of a row from which the basis is chosen anew before any factor
_AGAIN, _AGAIN_DEEP = 1, 3  # corrections of a step by the matrix that it was taken with
_PIECE = 4e7  # multiplications in A D A^T worth a piece of their own
_MOST_PIECES = 8


class Start(NamedTuple):
    """Where a method got to: a state in the form of kernels.state, in its basis of largest D."""

    factorisations: int
    columns: NDArray[np.int64]
    sgn: Array
    s: Array
    log_eps: float


class _State:
    """The unknowns, and room for the matrices."""

    def __init__(self, constraints: Constraints) -> None:
        self.A, self.y, self.squares = constraints.A, constraints.y, constraints.squares
        m, N = self.A.shape
        self.columns, self.sgn, self.s = np.empty(m, np.int64), np.empty(m), np.empty(m)
        self.gram, self.S, self.scale = np.empty((m, m)), np.empty((m, m)), np.empty(m)
        self.weights = np.empty(N)
        self.point = Point(*(np.ones(N) for _ in range(6)))
        self.count = 0

    def sum_up(self, weights: Array) -> None:
        """gram = A diag(weights) A^T. The pieces do not depend on how many threads there are."""
        m, N = self.A.shape
        pieces = min(_MOST_PIECES, int(m * m * N / _PIECE))
        if pieces < 2:
            weighted_gram(self.A, weights, self.gram)
            return
        cuts = [N * i // pieces for i in range(pieces + 1)]

        def part(i: int) -> Array:
            total = np.zeros(padded_size(m))
            add_columns(self.A, weights, cuts[i], cuts[i + 1], total)
            return total

        parts = in_order(part, range(pieces))
        total = next(parts)
        for one in parts:
            total += one
        unfold(total, self.gram)

    def factor(self, basis: Any, apart: Any) -> tuple[bool, bool]:
        """Factor S of the weights: whether it is definite, and whether the basis still fits."""
        self.sum_up(self.weights)
        self.count += 1
        definite, spread = factor(basis, apart, self.point.D, self.scale, self.gram, self.S)
        return definite, definite and not spread > _SPREAD

    def start(self, log_eps: float) -> Start | None:
        """A copy of the state, at log eps; None where rounding has spoilt it."""
        if not np.all(np.isfinite(self.s)):
            return None
        return Start(self.count, self.columns.copy(), self.sgn.copy(), self.s.copy(), log_eps)


def from_least_norm(constraints: Constraints, goal: float, limit: int = _MOST) -> Start | None:
    """p = 2: down from the least-norm solution, with A D A^T itself, then in a basis.

    As far as that leads: to `goal`, or to a log eps above it.
    """
    state = _State(constraints)
    plain = _approach(state, max(goal, _PLAIN), _DONE_LOG if goal >= _PLAIN else _ON_THE_WAY)
    return plain if plain is None else _descend_in_stages(state, plain, goal, limit)


def go_on(constraints: Constraints, start: Start, goal: float, limit: int) -> Start:
    """p = 2: from a state below _PLAIN towards `goal`, as far as steps in a basis lead."""
    state = _State(constraints)
    _open(state, start)
    return _descend_in_stages(state, start, goal, limit)


def _open(state: _State, start: Start) -> None:
    state.columns[:], state.sgn[:], state.s[:] = start.columns, start.sgn, start.s
    basis, apart = open_basis(state.A, state.y, state.columns)
    open_at(state.A, start.log_eps, basis, apart, state.sgn, state.s, state.point)


def _descend_in_stages(state: _State, start: Start, goal: float, limit: int) -> Start:
    """Settle now and then: from a state that has not, a long step often leads astray.

    Where that happens stages are shorter; too short ones are left to the path.
    """
    stage = (1.0 - _REACH) * start.log_eps
    while start.log_eps > goal and stage > _SHORTEST and state.count < min(limit, _MOST):
        target = max(goal, start.log_eps - stage)
        done = _DONE_LOG if target == goal else _ON_THE_WAY
        below = _descend(state, start.log_eps, target, done)
        if below is None:
            stage = (start.log_eps - target) / _SHRINK
            _open(state, start)
        else:
            start, stage = below, min(_GROWTH * stage, (1.0 - _REACH) * below.log_eps)
    return start._replace(factorisations=state.count)


def _approach(state: _State, target: float, done: float) -> Start | None:
    A, y, point = state.A, state.y, state.point
    state.sum_up(np.ones(A.shape[1]))
    state.count += 1
    log_eps, fine = open_least_norm(A, y, state.gram, point)
    if not fine or log_eps <= target:
        return None
    (minus, plus), rows = new_halves(point), np.empty((2, y.size))
    while state.count <= _STEPS:
        worst, left = assess(A, y, log_eps, minus, plus, point, rows)
        if log_eps <= target and worst < done and left < _DONE_PLAIN:
            place = (state.columns, state.sgn, state.s, point)
            fine = choose_below(A, state.squares, log_eps, *place)
            return state.start(log_eps) if fine else None
        if not (worst < 1e300 and left < 1e300):
            return None
        state.sum_up(point.D)
        state.count += 1
        log_eps, fine = go_down(A, y, log_eps, target, state.gram, minus, plus, point, rows, _AGAIN)
        if not fine:
            return None
    return None


def _descend(state: _State, log_eps: float, target: float, done: float) -> Start | None:
    A, point, most = state.A, state.point, state.count + _IN_A_STAGE
    basis, apart = open_basis(A, state.y, state.columns)
    (minus, plus), fresh, rows = new_halves(point), False, np.empty((2, state.y.size))
    while state.count < most:
        worst, left = assess_deep(
            A, log_eps, basis, apart, minus, plus, point, state.scale, state.weights, rows
        )
        if log_eps <= target and worst < done and left < _DONE_DEEP:
            place = (state.columns, state.sgn, state.s, point)
            fine = choose_below(A, state.squares, log_eps, *place)
            return state.start(log_eps) if fine else None
        if not (worst < _ASTRAY and left < 1e300):
            return None
        definite, fits = True, False
        if fresh or left < _OUTGROWN:
            definite, fits = state.factor(basis, apart)
        if not (fits or fresh):
            if not choose_columns(A, state.squares, state.columns, point):
                return None
            basis, apart = open_basis(A, state.y, state.columns)
            fresh = True
            continue
        if not definite:
            return None
        fresh = False
        log_eps = go_deeper(
            A, log_eps, target, basis, apart, state.S, state.scale, minus, plus, point, rows,
            _AGAIN_DEEP,
        )  # fmt: skip
    return None


def from_minimizer(constraints: Constraints, goal: float, b: float, limit: int) -> Start | None:
    """p > 2: from the minimiser, where it is the only one and near."""
    state, sigma = _State(constraints), math.exp(goal / b)
    A, y, squares, point = state.A, state.y, state.squares, state.point
    place = (state.columns, state.sgn, state.s, point)
    vertex = pursue(A, y)
    if vertex is None or not open_vertex(
        A, squares, b, sigma, vertex.support, vertex.values, vertex.dual, *place
    ):
        return None
    slacks = np.ones((2, A.shape[1]))
    exact = point._replace(slack_minus=slacks[0], slack_plus=slacks[1])
    basis, apart = open_basis(A, y, state.columns)
    (minus, plus), fresh = new_sides(point), False
    while state.count < min(limit, _STEPS):
        apart = prepare(
            A, b, sigma, basis, apart, state.sgn, state.s, exact, point, minus, plus,
            state.scale, state.weights,
        )  # fmt: skip
        definite, fits = state.factor(basis, apart)
        if not (fits or fresh):
            if not choose_at(A, squares, sigma, *place):
                return None
            basis, apart = open_basis(A, y, state.columns)
            fresh = True
            continue
        if not definite:
            return None
        fresh = False
        size = improve(
            A, b, sigma, basis, apart, state.S, state.scale, minus, plus, state.sgn, state.s
        )
        if not size < math.inf:
            return None
        if size < _DONE:
            fine = finish(A, squares, b, sigma, basis, apart, *place)
            return state.start(goal) if fine else None
    return None
