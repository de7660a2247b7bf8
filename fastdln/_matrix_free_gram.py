"""flow_limit where N is too large for A to be held, but m x m matrices are not.

A is read piece by piece; of each piece an m-vector and an m x m matrix are kept. The
columns that matter most, a working set found by their tau, are solved as a dense
problem: that gives the basis and the start. Newton's method on all columns then runs in basis
coordinates with double-double residuals, as in `kernels.polish`, two readings of A a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._matrix_free import BROKEN, LIMITED, SOLVED, STALLED, Answer
from fastdln._operator import Matrix
from fastdln._threads import in_order
from fastdln.kernels.compensated import matvec_dd
from fastdln.kernels.linear import cholesky, cholesky_solve, invert, multiply
from fastdln.kernels.select import select_basis
from fastdln.kernels.sparse_points import finish_near, finish_points
from fastdln.kernels.sparse_rows import (
    add_to_sum,
    basis_tau,
    clean_solve,
    row_balance,
    shift_slacks,
)
from fastdln.kernels.tableau import solve_dd

__all__ = ["MOST_ROWS", "follow_pieces"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
# (columns of A, y, p, log_alpha) -> (psi, slack, dual), or None where they are dependent
DenseLimit = Callable[[Array, Array, float, float], tuple[Array, Array, Array] | None]

MOST_ROWS = 2048

_ULP = 2.0**-52
_DEEPEST = 480.0  # L from which rows would need units of their own
_ROUNDS = 20  # of the search for the working set
_VIOLATES = 0.97  # |tau|, relative to 1 or the largest, from which a column joins it
_INSIDE = 0.95  # where |tau| is drawn to if columns outside remain beyond
_SPREAD = 1e4  # largest diagonal of K K^T before the basis is chosen anew
_WIDE = 30.0  # the same, close to the solution
_CLOSE = 0.1  # size of a correction there
_NOISE = 1e-10  # size from which one that does not shrink is rounding
_AT_A_TIME = 1 << 18
_RESOLVED = 1e-8  # least slack outside the basis for which tau alone is vouched for


class _Basis(NamedTuple):
    columns: Indices
    matrix: Array
    inverse: Array
    transpose: Array
    inverse_t: Array
    x_hi: Array  # A_B^-1 y
    x_lo: Array


def _make_basis(A_B: Array, columns: Indices, y: Array) -> _Basis:
    inverse, transpose = invert(A_B), np.ascontiguousarray(A_B.T)
    x_hi, x_lo = np.empty(y.size), np.empty(y.size)
    clean_solve(A_B, inverse, y, np.zeros(y.size), x_hi, x_lo)
    return _Basis(
        columns, A_B, inverse, transpose, np.ascontiguousarray(inverse.T), x_hi, x_lo
    )  # fmt: skip


class _Reducer:
    """One target: the state in basis coordinates, and readings of A."""

    def __init__(self, matrix: Matrix, y: Array, p: float, L: float, L_low: float) -> None:
        m, N = matrix.shape
        self.matrix, self.y, self.p_is_2 = matrix, y, p == 2.0
        self.b = p / (p - 2.0) if p > 2.0 else 1.0
        self.L, self.L_low = L, L_low
        self.sigma = math.exp(-L / self.b) * (1.0 - L_low / self.b)
        self.top, self.top_low = (L, L_low) if self.p_is_2 else (1.0, 0.0)
        self.psi, self.D, self.slack, self.log_abs = (np.empty(N) for _ in range(4))
        self.inside = np.zeros(N, bool)
        self.dual_hi, self.dual_lo = np.empty(m), np.empty(m)

    def set_state(self, basis: _Basis, sgn: Array, s: Array) -> None:
        """Begin at these slacks of a basis."""
        self.basis, self.sgn = basis, sgn
        self.s_hi, self.s_lo = s, np.zeros_like(s)
        self.inside[:] = False
        self.inside[basis.columns] = True

    def read(self) -> tuple[Array, Array]:
        """Fill the N-vectors; returns the rows' residual and A_rest D_rest A_rest^T."""
        m, basis = self.y.size, self.basis
        t_hi, t_lo = np.empty(m), np.empty(m)
        basis_tau(self.top, self.top_low, self.sgn, self.s_hi, self.s_lo, t_hi, t_lo)
        solve_dd(basis.transpose, basis.inverse_t, t_hi, t_lo, self.dual_hi, self.dual_lo)
        v_hi, v_lo, gram = np.zeros(m), np.zeros(m), np.zeros((m, m))
        for part_hi, part_lo, part in in_order(self._read_piece, self.matrix.cuts()):
            add_to_sum(v_hi, v_lo, part_hi, part_lo)
            gram += part
        w_hi, w_lo, rows = np.empty(m), np.empty(m), np.empty(m)
        solve_dd(basis.matrix, basis.inverse, v_hi, v_lo, w_hi, w_lo)
        row_balance(basis.x_hi, basis.x_lo, self.psi[basis.columns], w_hi, w_lo, rows)
        return rows, gram

    def _read_piece(self, cut: tuple[int, int]) -> tuple[Array, Array, Array]:
        lo, hi = cut
        piece = self.matrix.piece(lo, hi)
        tau, tau_low = piece.rmatvec_dd(self.dual_hi, self.dual_lo)
        psi, D = self.psi[lo:hi], self.D[lo:hi]
        slack, log_abs = self.slack[lo:hi], self.log_abs[lo:hi]
        finish_points(
            self.p_is_2, self.b, self.L, self.L_low, tau, tau_low, psi, D, slack, log_abs
        )  # fmt: skip
        here = np.flatnonzero((self.basis.columns >= lo) & (self.basis.columns < hi))
        near = here[self.s_hi[here] < 0.5]
        if near.size and not self.p_is_2:
            finish_near(
                self.b, self.sigma, self.basis.columns[near] - lo, self.sgn[near],
                self.s_hi[near], psi, D, slack, log_abs,
            )  # fmt: skip
        outside = ~self.inside[lo:hi]
        part_hi, part_lo = piece.matvec_dd(np.where(outside, psi, 0.0))
        return part_hi, part_lo, piece.gram(np.where(outside, D, 0.0))

    def size(self, dt: Array) -> tuple[float, float]:
        """Size of a step dt of tau_B over all columns: about that of psi, and of log psi.

        Where eps is large all tau are small, and the first is relative to the largest.
        """
        dual = self.basis.inverse_t @ dt
        scale = max(1.0, self.b / 3.0)

        def largest(cut: tuple[int, int]) -> tuple[float, float, float]:
            lo, hi = cut
            step = np.abs(self.matrix.piece(lo, hi).rmatvec(dual))
            step[self.inside[lo:hi]] = 0.0
            move = step if self.p_is_2 else step * (scale / self.slack[lo:hi])
            tau = self.top - float(np.min(self.slack[lo:hi]))
            return float(np.max(step)), float(np.max(move)), tau

        own = np.abs(dt) if self.p_is_2 else scale * np.abs(dt) / self.s_hi
        parts = [(float(np.max(np.abs(dt))), float(np.max(own)), 0.0)]
        parts.extend(in_order(largest, self.matrix.cuts()))
        step, move, tau = (max(values) for values in zip(*parts, strict=True))
        return max(move, step / max(min(tau, 1.0), step)), move

    def newton(self, gram: Array) -> tuple[Array, Array, float] | None:
        """S = I + K K^T factored, the scaling C, and the largest diagonal of K K^T."""
        m = self.y.size
        scale = 1.0 / np.sqrt(self.D[self.basis.columns])
        product, S = np.empty((m, m)), np.empty((m, m))
        multiply(self.basis.inverse, gram, product)
        multiply(product, self.basis.inverse_t, S)
        S *= scale[:, np.newaxis] * scale
        worst = float(np.max(np.diagonal(S)))
        S[np.diag_indices(m)] += 1.0
        return (S, scale, worst) if math.isfinite(worst) and cholesky(S) else None

    def solve(self, limit: int) -> tuple[int, int, float]:
        """Newton's method: (code, corrections, error bound)."""
        last, refreshed, fresh = math.inf, False, False
        for count in range(1, limit + 1):
            rows, gram = self.read()
            factored = self.newton(gram)
            if factored is None:
                return STALLED, count, math.inf
            S, scale, worst = factored
            if worst > (_WIDE if last < _CLOSE else _SPREAD) and not (fresh or refreshed):
                fresh, refreshed, last = True, last < _CLOSE, math.inf
                if not self.reselect():
                    return STALLED, count, math.inf
                continue
            fresh = False
            step = rows * scale
            cholesky_solve(S, step)
            step *= scale
            size, move = self.size(step)
            if not math.isfinite(move):
                return STALLED, count, math.inf
            if size < 2.0 * _ULP or (size < _NOISE and size > 0.25 * last):
                return SOLVED, count, self.bound(S, scale, rows)
            shift_slacks(self.s_hi, self.s_lo, self.sgn * step * self.damping(move))
            last = size
        return LIMITED, limit, math.inf

    def damping(self, move: float) -> float:
        """The part to take of a step that changes log psi by `move`."""
        longest = 2.0 if self.p_is_2 else 0.7
        return longest / move if move > longest else 1.0

    def reselect(self) -> bool:
        """Choose the basis by the D of the last reading."""
        found = choose_basis(self.matrix, self.D, self.basis.columns)
        if found is None:
            return False
        columns, A_B = found
        old = dict(zip(self.basis.columns.tolist(), range(self.y.size), strict=True))
        basis = _make_basis(A_B, columns, self.y)
        t_hi, t_lo = np.empty(self.y.size), np.empty(self.y.size)
        matvec_dd(basis.transpose, self.dual_hi, self.dual_lo, t_hi, t_lo)
        sgn = np.where(t_hi >= 0.0, 1.0, -1.0)
        s_hi, s_lo = np.full_like(t_hi, self.top), np.full_like(t_hi, self.top_low)
        add_to_sum(s_hi, s_lo, -sgn * t_hi, -sgn * t_lo)
        for i, j in enumerate(columns.tolist()):
            if j in old:  # keeps its relative accuracy, however small
                s_hi[i], s_lo[i], sgn[i] = (
                    values[old[j]] for values in (self.s_hi, self.s_lo, self.sgn)
                )
        self.set_state(basis, sgn, s_hi)
        self.s_lo = s_lo
        return True

    def bound(self, S: Array, scale: Array, rows: Array) -> float:
        """As `kernels.bound`: rounding in the rows, carried through to every coordinate."""
        basis = self.basis
        evaluation = (3.0 if self.p_is_2 else 3.0 + 0.5 * self.b) * _ULP
        if not self.p_is_2 and np.min(self.slack[~self.inside], initial=1.0) < _RESOLVED:
            return math.inf

        def sums(cut: tuple[int, int]) -> Array:
            lo, hi = cut
            rest = np.where(self.inside[lo:hi], 0.0, np.abs(self.psi[lo:hi]))
            out: Array = self.matrix.piece(lo, hi).absolute() @ rest
            return out

        total = sum(in_order(sums, self.matrix.cuts()), np.zeros(rows.size))
        rho = np.abs(basis.inverse) @ total + np.abs(self.psi[basis.columns])
        rho = evaluation * rho + np.abs(rows)
        inverse = np.eye(rows.size)
        for column in inverse:
            cholesky_solve(S, column)
        dtau = scale * (np.abs(inverse) @ (scale * rho))
        dual = np.abs(basis.inverse).T @ dtau

        def worst(cut: tuple[int, int]) -> float:
            lo, hi = cut
            psi = np.abs(self.psi[lo:hi])
            moved = self.matrix.piece(lo, hi).absolute().T @ dual * self.D[lo:hi]
            counted = ~self.inside[lo:hi] & (psi > 0.0)
            return float(np.max(moved[counted] / psi[counted], initial=0.0))

        own = np.abs(self.psi[basis.columns])
        first = np.max(dtau * self.D[basis.columns] / np.where(own > 0.0, own, np.inf))
        return evaluation + max(float(first), *in_order(worst, self.matrix.cuts()))


def _largest(values: Array, count: int) -> Indices:
    """Indices of the `count` largest, without a copy of the values."""
    kept = np.empty(0, np.int64)
    for lo in range(0, values.size, _AT_A_TIME):
        kept = np.concatenate((kept, np.arange(lo, min(lo + _AT_A_TIME, values.size))))
        if kept.size > count:
            kept = kept[np.argpartition(values[kept], kept.size - count)[kept.size - count :]]
    return kept


def choose_basis(matrix: Matrix, weight: Array, also: Indices) -> tuple[Indices, Array] | None:
    """m independent columns of large weight, and A there; None if there are not so many."""
    m, N = matrix.shape
    count = min(N, 8 * m)
    while True:
        some = np.union1d(_largest(weight, count), also)
        A, chosen = matrix.columns(some), np.empty(m, np.int64)
        if select_basis(A, weight[some], np.einsum("ij,ij->j", A, A), chosen):
            return some[chosen], np.ascontiguousarray(A[:, chosen])
        if count == N:
            return None
        count = min(N, 4 * count)


class _WorkingSet:
    """The columns that a dense problem can hold, grown until no other one violates."""

    def __init__(self, matrix: Matrix, y: Array, p: float, dense: DenseLimit) -> None:
        self.matrix, self.y, self.p, self.dense = matrix, y, p, dense
        m, N = matrix.shape
        gram: Any = np.zeros((m, m))
        for part in in_order(self._plain_gram, matrix.cuts()):
            gram += part
        sizes, vectors = np.linalg.eigh(gram)
        self.singular = not sizes[0] > 1e-10 * sizes[-1]
        self.index = np.empty(0, np.int64)
        if not self.singular:
            least = matrix.rmatvec(vectors @ ((vectors.T @ y) / sizes))
            np.abs(least, out=least)
            self.index = np.sort(_largest(least, min(N, 6 * m)))
            self.L_start = -math.log(4.0 * float(np.max(least)))

    def _plain_gram(self, cut: tuple[int, int]) -> Array:
        return self.matrix.piece(*cut).gram(np.ones(cut[1] - cut[0]))

    def start(self, reducer: _Reducer) -> bool:
        """Set the state of `reducer` near the solution; False if no basis is found."""
        m, N = self.matrix.shape
        if self.L_start + 1.0 >= reducer.L:  # psi is nearly linear in lambda
            found = choose_basis(self.matrix, np.ones(N), self.index)
            if found is None:
                return False
            s = np.full(m, reducer.top)
            reducer.set_state(_make_basis(found[1], found[0], self.y), np.ones(m), s)
            return True
        beyond, most = math.inf, 1.0
        for _ in range(_ROUNDS):
            A = self.matrix.columns(self.index)
            limit = self.dense(A, self.y, self.p, -reducer.L / self.p)
            if limit is None:
                if self.index.size == N:
                    return False
                self._add(np.setdiff1d(np.arange(min(N, 4 * self.index.size)), self.index))
                continue
            psi, slack, dual = limit
            tau = self.matrix.rmatvec(dual)
            np.abs(tau, out=tau)
            most = float(np.max(tau[self.index])) if self.p == 2.0 else 1.0
            tau[self.index] = 0.0
            beyond = float(np.max(tau)) / most
            if beyond <= _VIOLATES:
                break
            outside = np.flatnonzero(tau > _VIOLATES * most)
            first = np.argsort(-tau[outside], kind="stable")[: 3 * m]
            self._add(outside[first])
        else:
            return False
        return self._hand_over(reducer, A, psi, slack)

    def _add(self, columns: Indices) -> None:
        self.index = np.union1d(self.index, columns)

    def _hand_over(self, reducer: _Reducer, A: Array, psi: Array, slack: Array) -> bool:
        """The basis and slacks of the dense solution, as the start on all columns."""
        D = np.empty_like(psi)
        tau = np.copysign(reducer.top - slack, psi)
        spare = np.empty_like(psi), np.empty_like(psi), np.empty_like(psi)
        zero = np.zeros_like(psi)
        finish_points(
            reducer.p_is_2, reducer.b, reducer.L, reducer.L_low, tau, zero, spare[0], D,
            *spare[1:],
        )  # fmt: skip
        near = np.flatnonzero(slack < 0.5)
        if near.size and not reducer.p_is_2:
            finish_near(
                reducer.b, reducer.sigma, near, np.sign(psi[near]), slack[near], spare[0], D,
                *spare[1:],
            )  # fmt: skip
        chosen = np.empty(self.y.size, np.int64)
        if not select_basis(A, D, np.einsum("ij,ij->j", A, A), chosen):
            return False
        A_B = np.ascontiguousarray(A[:, chosen])
        reducer.set_state(
            _make_basis(A_B, self.index[chosen], self.y),
            np.where(psi[chosen] >= 0.0, 1.0, -1.0), slack[chosen].copy(),
        )  # fmt: skip
        return True


def follow_pieces(
    matrix: Matrix, y: Array, p: float, L_high: Array, L_low: Array, limit: int, dense: DenseLimit
) -> tuple[list[Answer], Array]:
    """Limits at each L, and bounds on their relative errors."""
    working = _WorkingSet(matrix, y, p, dense)
    answers, bounds = [], np.full(L_high.size, math.inf)
    for k, (high, low) in enumerate(zip(L_high.tolist(), L_low.tolist(), strict=True)):
        reducer = _Reducer(matrix, y, p, high, low)
        code, count = STALLED, 0
        if working.singular:
            code = BROKEN
        elif high < _DEEPEST and working.start(reducer):
            code, count, bounds[k] = reducer.solve(limit)
        if count == 0:
            for values in (reducer.psi, reducer.log_abs, reducer.slack):
                values[:] = math.nan
            reducer.dual_hi[:] = reducer.dual_lo[:] = math.nan
        residual = float(np.linalg.norm(y - matrix.matvec(reducer.psi)))
        answers.append(
            Answer(
                reducer.psi,
                reducer.log_abs,
                reducer.slack,
                reducer.dual_hi + reducer.dual_lo,
                residual,
                code,
                count,
                count,
            )
        )
    return answers, bounds
