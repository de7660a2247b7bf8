"""flow_limit where N is too large for A to be held, but m x m matrices are not.

A is read piece by piece; of each piece an m-vector and an m x m matrix are kept. The
columns that matter most, a working set found by their tau, are solved as a dense
problem: that gives the basis and the start. Newton's method on all columns then runs in basis
coordinates with double-double residuals, as in `kernels.polish`, one reading of A a step.

Of many rows A D A^T is what costs. Far from the solution that of a sample of the light columns
takes its place (it affects the steps, but not where they lead); close to it that of all columns is
formed once and kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import _piece_work as work
from fastdln._matrix_free import BROKEN, LIMITED, SOLVED, STALLED, Answer
from fastdln._operator import Matrix
from fastdln._piece_work import Heaviest, Look, Point, Wanted
from fastdln._working_set import COSTLY, DenseLimit, WorkingSet, choose_basis, merged, sampling
from fastdln.kernels.bound import EVALUATION
from fastdln.kernels.compensated import matvec_dd
from fastdln.kernels.linear import cholesky, cholesky_solve, inverse_of, multiply
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
Bound = tuple[float, float]  # relative and absolute

MOST_ROWS = 2048

_ULP = 2.0**-52
_DEEPEST = 480.0  # L from which rows would need units of their own
_SPREAD = 1e4  # largest diagonal of K K^T before the basis is chosen anew
_WIDE = 30.0  # the same, close to the solution
_CLOSE = 0.1  # size of a correction there
_CHORD = 0.01  # size of a correction from which a matrix that cost much is kept
_SAMPLED = 12  # readings after which a sample has not led there
_NEAR = 0.3  # size of a correction from which the next are smaller, if S is right
_ROUGH = 1e-5  # size of a correction above which plain sums do
_PLAIN_DIGITS = 1e-10  # what these cannot see, beside psi
_TIGHT = 1e-6  # least slack for which tau does without a low part
_NEARLY = 64.0 * 2.0**-52  # bound on the size of one that may be rounding
_NOISE = 1e-10  # size from which one that does not shrink is rounding
_SHRINKS = 0.1  # by which factor corrections become smaller while S is good enough
_SETTLED = 1e-7  # size of a correction after which the matrix is not made anew
_FINE = 2.0**-100  # of products in double-double
_NO_BOUND = math.inf, math.inf
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
    inverse, transpose = inverse_of(A_B), np.ascontiguousarray(A_B.T)
    x_hi, x_lo = np.empty(y.size), np.empty(y.size)
    clean_solve(A_B, inverse, y, np.zeros(y.size), x_hi, x_lo)
    return _Basis(
        columns, A_B, inverse, transpose, np.ascontiguousarray(inverse.T), x_hi, x_lo
    )  # fmt: skip


def _largest(found: Iterable[Look]) -> Look:
    return Look(*np.max(list(found), axis=0).tolist())


class _Reducer:
    """One target: the state in basis coordinates, and readings of A."""

    def __init__(self, matrix: Matrix, y: Array, p: float, L: float, L_low: float) -> None:
        m = y.size
        self.matrix, self.y, self.p, self.p_is_2 = matrix, y, p, p == 2.0
        self.b = p / (p - 2.0) if p > 2.0 else 1.0
        self.scale = max(1.0, self.b / 3.0)
        self.L, self.L_low = L, L_low
        self.top, self.top_low = (L, L_low) if self.p_is_2 else (1.0, 0.0)
        self.parts = matrix.parts()
        self.dual_hi, self.dual_lo = np.empty(m), np.empty(m)
        self.psi_B, self.D_B = np.empty(m), np.zeros(m)
        self.every = sampling(matrix)
        self.residual = math.nan
        self.longest = self.steepest = self.tightest = self.apart = math.inf

    def set_state(self, basis: _Basis, sgn: Array, s: Array) -> None:
        """Begin at these slacks of a basis."""
        self.basis, self.sgn = basis, sgn
        self.s_hi, self.s_lo = s, np.zeros_like(s)

    def set_dual(self) -> None:
        """The dual of the slacks."""
        t_hi, t_lo = np.empty(self.y.size), np.empty(self.y.size)
        basis_tau(self.top, self.top_low, self.sgn, self.s_hi, self.s_lo, t_hi, t_lo)
        transpose, inverse_t = self.basis.transpose, self.basis.inverse_t
        solve_dd(transpose, inverse_t, t_hi, t_lo, self.dual_hi, self.dual_lo)

    def rough_will_do(self, last: float) -> bool:
        """Whether sums in double tell a step after one of this size from their rounding."""
        if last < _ROUGH or (not self.p_is_2 and self.tightest < _TIGHT):
            return False
        seen = min(last, 1.0) * float(np.min(self.D_B))  # of the last reading
        return seen > _PLAIN_DIGITS * float(np.max(np.abs(self.basis.x_hi)))

    def read(self, wanted: Wanted) -> tuple[Array, Array]:
        """Fill the N-vectors; returns the rows' residual and A_rest D_rest A_rest^T."""
        m, basis = self.y.size, self.basis
        self.set_dual()
        point = Point(
            self.p, self.L, self.L_low, self.dual_hi, self.dual_lo, basis.columns, self.sgn,
            self.s_hi, self.s_lo,
        )  # fmt: skip
        v_hi, v_lo, gram = np.zeros(m), np.zeros(m), np.zeros((m, m))
        self.sums = np.zeros(m)
        self.longest, self.steepest = 0.0, 0.0
        self.tightest = self.apart = math.inf
        for part in self.parts.each(work.read, point, wanted):
            add_to_sum(v_hi, v_lo, part.v_hi, part.v_lo)
            if part.gram is not None:
                gram += part.gram
            if part.sums is not None:
                self.sums += part.sums
            here, psi, D = part.basis
            self.psi_B[here], self.D_B[here] = psi, D
            self.longest = max(self.longest, part.longest)
            self.steepest = max(self.steepest, part.steepest)
            self.tightest = min(self.tightest, part.tightest)
            self.apart = min(self.apart, part.apart)
        w_hi, w_lo, rows = np.empty(m), np.empty(m), np.empty(m)
        solve_dd(basis.matrix, basis.inverse, v_hi, v_lo, w_hi, w_lo)
        row_balance(basis.x_hi, basis.x_lo, self.psi_B, w_hi, w_lo, rows)
        left = (self.y - basis.matrix @ self.psi_B) - (v_hi + v_lo)
        self.residual = float(np.linalg.norm(left))
        return rows, gram

    def size(self, dt: Array, look: Look) -> tuple[float, float]:
        """Size of a step dt of tau_B: about that of psi, and of log psi.

        Where eps is large all tau are small, and the first is relative to the largest.
        """
        own = np.abs(dt) if self.p_is_2 else self.scale * np.abs(dt) / self.s_hi
        step = max(float(np.max(np.abs(dt))), look.step)
        move = max(float(np.max(own)), look.move)
        tau = max(self.top - self.tightest, 0.0)
        return max(move, step / max(min(tau, 1.0), step)), move

    def at_most(self, dual: Array) -> Look:
        """What a step of the dual can do to the columns outside: no reading of A is needed."""
        length = float(np.linalg.norm(dual))
        step = length * self.longest
        return Look(step, step if self.p_is_2 else self.scale * length * self.steepest)

    def look(self, dual: Array) -> Look:
        """What it does do."""
        return _largest(self.parts.each(work.look, *self.given(dual)))

    def given(self, dual: Array) -> tuple[Array, Indices, bool, float]:
        """What `work.look` needs."""
        return dual, self.basis.columns, self.p_is_2, self.scale

    def newton(self, gram: Array) -> tuple[Array, Array, float] | None:
        """S = I + K K^T factored, the scaling C, and the largest diagonal of K K^T."""
        m = self.y.size
        scale = 1.0 / np.sqrt(self.D_B)
        product, S = np.empty((m, m)), np.empty((m, m))
        multiply(self.basis.inverse, gram, product)
        multiply(product, self.basis.inverse_t, S)
        S *= scale[:, np.newaxis] * scale
        worst = float(np.max(np.diagonal(S)))
        S[np.diag_indices(m)] += 1.0
        return (S, scale, worst) if math.isfinite(worst) and cholesky(S) else None

    def share(self, last: float, before: float, held: int) -> int:
        """`Wanted.every` of the next reading, after corrections of these sizes; 0: keep S."""
        if last <= _SETTLED and held == 1:  # a new matrix would hardly differ from the last
            return 0
        if self.y.size < COSTLY or last > _CHORD:
            return self.every
        return 0 if held == 1 and last < _SHRINKS * before else 1

    def solve(self, limit: int) -> tuple[int, int, Bound]:
        """Newton's method: (code, corrections, error bounds)."""
        last, before, refreshed, fresh, held = math.inf, math.inf, False, False, 0
        least = math.inf  # size from which a small correction is rounding
        factored: tuple[Array, Array, float] | None = None
        for count in range(1, limit + 1):
            every = self.share(last, before, held)
            wanted = Wanted(every, not self.rough_will_do(last))
            rows, gram = self.read(wanted)
            if every > 0:
                factored, held = self.newton(gram), every
            if factored is None:
                return STALLED, count, _NO_BOUND
            S, scale, worst = factored
            step = rows * scale
            cholesky_solve(S, step)
            step *= scale
            dual = self.basis.inverse_t @ step
            size, move = self.size(step, self.at_most(dual))
            if size < _NOISE and wanted.fine and (size < _NEARLY or size > least):
                size, bound = self.last_look(factored, rows, step, dual)
                if size < 2.0 * _ULP or size > least:
                    return SOLVED, count, bound
            elif move > self.longest_move:  # then it matters how much
                size, move = self.size(step, self.look(dual))
            if not math.isfinite(move):
                return STALLED, count, _NO_BOUND
            damp = self.longest_move / move if move > self.longest_move else 1.0
            shift_slacks(self.s_hi, self.s_lo, self.sgn * step * damp)
            if held > 1 and (count > _SAMPLED or 0.5 * last < size < _NEAR):
                self.every = 1  # a sample says too little about these columns
            before, last, least = last, size, 0.25 * size if wanted.fine else math.inf
            fresh = not (fresh or refreshed) and worst > (_WIDE if last < _CLOSE else _SPREAD)
            if fresh:
                refreshed, held = last < _CLOSE, 0
                if not self.reselect():
                    return STALLED, count, _NO_BOUND
        return LIMITED, limit, _NO_BOUND

    @property
    def longest_move(self) -> float:
        """Of log psi in one step."""
        return 2.0 if self.p_is_2 else 0.7

    def reselect(self) -> bool:
        """Choose the basis by the D of the last reading."""
        self.set_dual()

        def candidates(count: int) -> Heaviest:
            return merged(self.parts.each(work.heaviest, count), count)

        also = Heaviest(self.basis.columns, self.D_B)
        found = choose_basis(self.matrix, candidates, also)
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

    def last_look(
        self, factored: tuple[Array, Array, float], rows: Array, step: Array, dual: Array
    ) -> tuple[float, Bound]:
        """The size of a step, exactly; and the bound.

        As in `kernels.bound`: rounding in the rows, carried through to every coordinate.
        """
        basis, (S, scale, _) = self.basis, factored
        if not self.sums.any():
            self.sums = sum(self.parts.each(work.sums_of, basis.columns), self.sums)
        evaluation = EVALUATION
        rho = np.abs(basis.inverse) @ self.sums + np.abs(self.psi_B)
        rho = evaluation * rho + np.abs(rows)
        inverse = np.eye(rows.size)
        for column in inverse:
            cholesky_solve(S, column)
        dtau = scale * (np.abs(inverse) @ (scale * rho))
        doubt = np.abs(basis.inverse).T @ dtau + _FINE * np.abs(self.dual_hi)
        found = list(self.parts.each(work.last_look, self.given(dual), doubt))
        size, _ = self.size(step, _largest(look for look, _ in found))
        if not self.p_is_2 and self.apart < _RESOLVED:
            return size, _NO_BOUND
        own, moved = np.abs(self.psi_B), dtau * self.D_B
        relative = np.divide(moved, own, out=np.full_like(own, math.inf), where=own > 0.0)
        sizes = [(np.max(relative), np.max(moved), np.max(own)), *(worst for _, worst in found)]
        largest = np.max(sizes, axis=0).tolist()
        first = evaluation + largest[0]
        first = first / (1.0 - first) if first < 1.0 else math.inf  # relative to the true psi
        return size, (first, evaluation * largest[2] + largest[1])

    def begin(self, working: WorkingSet) -> bool:
        """Set the state near the solution; False if no basis is found."""
        m = self.y.size
        if working.L_start + 1.0 < self.L:
            found = working.solve(self.L)
            return found is not None and self._take_over(working.index, *found)

        def nearest(count: int) -> Heaviest:  # psi is nearly linear in lambda
            columns = working.nearest(count).columns
            return Heaviest(columns, np.ones(columns.size))

        also = Heaviest(working.index, np.ones(working.index.size))
        chosen = choose_basis(self.matrix, nearest, also)
        if chosen is None:
            return False
        basis = _make_basis(chosen[1], chosen[0], self.y)
        self.set_state(basis, np.ones(m), np.full(m, self.top))
        return True

    def _take_over(self, index: Indices, A: Array, psi: Array, slack: Array) -> bool:
        """The basis and slacks of a dense solution, as the start on all columns."""
        D = np.empty_like(psi)
        tau = np.copysign(self.top - slack, psi)
        spare = np.empty_like(psi), np.empty_like(psi), np.empty_like(psi)
        zero = np.zeros_like(psi)
        finish_points(self.p, self.L, self.L_low, tau, zero, spare[0], D, *spare[1:])
        near = np.flatnonzero(slack < 0.5)
        if near.size and not self.p_is_2:
            finish_near(
                self.p, self.L, self.L_low, near, np.sign(psi[near]), slack[near], zero[near],
                spare[0], D, *spare[1:],
            )  # fmt: skip
        chosen = np.empty(self.y.size, np.int64)
        if not select_basis(A, D, np.einsum("ij,ij->j", A, A), chosen):
            return False
        A_B = np.ascontiguousarray(A[:, chosen])
        self.D_B, self.tightest = D[chosen], float(np.min(slack))
        self.set_state(
            _make_basis(A_B, index[chosen], self.y),
            np.where(psi[chosen] >= 0.0, 1.0, -1.0), slack[chosen].copy(),
        )  # fmt: skip
        return True

    def answer(self, code: int, count: int) -> Answer:
        """What the public result needs, at the last reading."""
        psi, spare, slack = self.parts.arrays()
        if count == 0:
            for values in (psi, spare, slack, self.dual_hi, self.dual_lo):
                values[:] = math.nan
        np.abs(psi, out=spare)  # D is not needed any more
        with np.errstate(divide="ignore"):
            np.log(spare, out=spare)
        dual = self.dual_hi + self.dual_lo
        return Answer(psi, spare, slack, dual, self.residual, code, count, count)


def follow_pieces(
    matrix: Matrix, y: Array, p: float, L_high: Array, L_low: Array, limit: int, dense: DenseLimit
) -> tuple[list[Answer], Array]:
    """Limits at each L, and bounds on their relative and absolute errors."""
    working = WorkingSet(matrix, y, p, dense)
    answers, bounds = [], np.full((L_high.size, 2), math.inf)
    for k, (high, low) in enumerate(zip(L_high.tolist(), L_low.tolist(), strict=True)):
        reducer = _Reducer(matrix, y, p, high, low)
        code, count = STALLED, 0
        if working.singular:
            code = BROKEN
        elif high < _DEEPEST and reducer.begin(working):
            code, count, bounds[k] = reducer.solve(limit)
        answers.append(reducer.answer(code, count))
    return answers, bounds
