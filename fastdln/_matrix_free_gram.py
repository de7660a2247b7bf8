"""flow_limit where N is too large for A to be held, but m x m matrices are not.

A is read piece by piece; of each piece an m-vector and an m x m matrix are kept. The
columns that matter most, a working set found by their tau, are solved as a dense
problem: that gives the basis and the start. Newton's method on all columns then runs in basis
coordinates with double-double residuals, as in `kernels.polish`, one reading of A a step.

Of many rows A D A^T is what costs, and readings of a large file. Newton's method on columns that
are held in memory and a sample of the others comes first; made to agree with each reading of
all, it tells how A D A^T has changed since that of all columns was formed, once. Where nothing can
be held A D A^T of a sample of the light columns takes its place far from the solution (it affects
the steps, but not where they lead).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastdln import _piece_work as work
from fastdln._basis_state import Factored, State, make_basis
from fastdln._doubt import largest_doubt
from fastdln._held_columns import Held, Model
from fastdln._matrix_free import BROKEN, LIMITED, SOLVED, STALLED, Answer
from fastdln._operator import Matrix
from fastdln._piece_work import Heaviest, Wanted
from fastdln._working_set import (
    COSTLY,
    DenseLimit,
    Start,
    WorkingSet,
    choose_basis,
)
from fastdln.kernels.bound import EVALUATION
from fastdln.kernels.linear import cholesky_solve
from fastdln.kernels.select import select_basis
from fastdln.kernels.sparse_points import finish_near, finish_points

__all__ = ["MOST_ROWS", "follow_pieces"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Bound = tuple[float, float]  # relative and absolute

MOST_ROWS = 2048

_LAST = 2.0 * 2.0**-52  # size of a correction that changes nothing
_DEEPEST = 480.0  # L from which rows would need units of their own
_SPREAD = 1e4  # largest diagonal of K K^T before the basis is chosen anew
_WIDE = 30.0  # the same, close to the solution
_CLOSE = 0.1  # size of a correction there
_CHORD = 0.01  # size of a correction from which a matrix that cost much is kept
_SAMPLED = 12  # readings after which a sample has not led there
_NEAR = 0.3  # size of a correction from which the next are smaller, if S is right
_NEARLY = 64.0 * 2.0**-52  # bound on the size of one that may be rounding
_NOISE = 1e-10  # size from which one that does not shrink is rounding
_SMALL = 1e-5  # size of a correction from which what a sample tells does
_SHRINKS = 0.1  # by which factor corrections become smaller while S is good enough
_SETTLED = 1e-7  # size of a correction after which the matrix is not made anew
_FINE = 2.0**-100  # of products in double-double
_NO_BOUND = math.inf, math.inf
_SETTLES = 40  # steps with a sample
_SETTLED_HELD = 0.03  # size of a correction after which more of them are of no use
_FINEST = 1e-4  # the least that is asked of them
_LEADS = 0.05  # how much smaller the next correction is then, about
_INNER = 1e-3  # size of a correction from which they go on from there
_GATHERINGS = 3  # of columns to be held, at most
_FAR = 0.1, 1.0  # slack below which a column weighs much, for p > 2 and p = 2
_RESOLVED = 1e-8  # least slack outside the basis for which tau alone is vouched for


class _Reducer(State):
    """One target: where Newton's method begins, goes and ends."""

    def share(self, last: float, before: float, held: int) -> int:
        """`Wanted.every` of the next reading, after corrections of these sizes; 0: keep S."""
        if last <= _SETTLED and held == 1:  # a new matrix would hardly differ from the last
            return 0
        if self.held is not None:
            return self.share_held(last, before, held)
        if self.y.size < COSTLY or last > _CHORD:
            return self.every
        return 0 if held == 1 and last < _SHRINKS * before else 1

    @staticmethod
    def share_held(last: float, before: float, held: int) -> int:
        """The same, where a sample and held columns tell about as much."""
        if last == math.inf:
            return 0
        shrinks = last < _SHRINKS * before
        if shrinks and (held == 1 or last < _SMALL or last > _CLOSE):
            return 0
        return 1

    def settle(self, held: Held, sample: int, goal: float, model: Model | None = None) -> bool:
        """Newton's method with a sample in place of what is not held, at first from `model`."""
        fresh, last = 0, math.inf
        for _ in range(_SETTLES):
            # psi of what is not held is hardly bent there, and a sample tells it to a percent
            model = model or self.read_model(held, sample, keep=last < _CLOSE)
            self.take_model(model)
            offset, matrix, origin = self.offset
            factored = None
            if self.far > 0.0 or self.p_is_2:
                factored = self.newton(model.gram + matrix)
            self.systems += 1
            if factored is None:
                return False
            v = model.v + (offset + matrix @ (self.dual_hi - origin))
            rows = self.balance(v, np.zeros_like(v))
            step, dual, size, move = self.step(factored, rows)
            if not math.isfinite(move):
                return False
            if move > self.longest_move and size < 2.0 * last:
                move = min(move, self.ahead(held, sample, step, dual))
            self.move(step, move)
            if size < goal:
                return True
            last, model = size, None
            if factored[2] > (_WIDE if size < _CLOSE else _SPREAD) and fresh < 2:
                fresh += 1
                if not self.reselect(held):
                    return False
        return False

    def ahead(self, held: Held, sample: int, step: Array, dual: Array) -> float:
        """The move of a step, where slacks may grow more than shrink."""
        own = self.sgn * step
        return max(
            work.eased(own if self.p_is_2 else self.scale * own / self.s_hi),
            held.look_ahead(*self.given(dual)),
            held.look_around(dual, self.point(), sample, self.scale),
        )

    def solve(self, limit: int) -> tuple[int, int, Bound]:
        """Newton's method: (code, corrections, error bounds)."""
        last, before, refreshed, fresh, held = math.inf, math.inf, False, False, 0
        least = math.inf  # size from which a small correction is rounding
        factored: Factored | None = None
        for count in range(1, limit + 1):
            every = self.share(last, before, held)
            fine = not self.rough_will_do(last)
            wanted = Wanted(every, fine, fine and last < _NOISE, self.held_index)
            rows, gram = self.read(wanted)
            if self.missed():
                again = count <= _GATHERINGS and self._begin_held(self.dual_hi.copy())
                if not again and not self.begin_again():
                    return STALLED, count, _NO_BOUND
                continue
            model = None
            if self.held is not None and last > _SETTLED:
                model, gram = self.compare(self.held, every, gram)
            if every > 0 or model is not None:
                factored, held = self.newton(gram), every or held
                self.systems += 1
            if factored is None:
                return STALLED, count, _NO_BOUND
            step, dual, size, move = self.step(factored, rows)
            if size < _NOISE and wanted.fine and (size < _NEARLY or size > least):
                size = self.looks_last(step, dual, size, least)
                if size < _LAST or size > least:
                    return SOLVED, count, self.bound(factored, rows)
            elif model is not None and size > _INNER and not fine and self.led(model, size):
                size, move = _LEADS * size, 0.0
            elif move > self.longest_move:  # then it matters how much
                size, move = self.size(step, self.look(dual))
            if not math.isfinite(move):
                return STALLED, count, _NO_BOUND
            if move > 0.0:
                self.move(step, move)
            if held != 1 and (count > _SAMPLED or 0.5 * last < size < _NEAR):
                self.every = 1  # a sample says too little about these columns
            before, last, least = last, size, 0.25 * size if wanted.fine else math.inf
            fresh = not (fresh or refreshed) and factored[2] > (
                _WIDE if last < _CLOSE and self.held is None else _SPREAD
            )
            if fresh:
                refreshed, held = last < _CLOSE, 0
                if not self.reselect(self.held):
                    return STALLED, count, _NO_BOUND
        return LIMITED, limit, _NO_BOUND

    def compare(self, held: Held, every: int, gram: Array) -> tuple[Model, Array]:
        """What the sample tells at a reading; A D A^T as the two tell it together."""
        model = self.read_model(held, -1)
        matrix = gram - model.gram if every == 1 else self.offset[1]
        self.offset = self.v - model.v, matrix, self.dual_hi.copy()
        return model, model.gram + matrix

    def led(self, model: Model, size: float) -> bool:
        """Whether the sample, made to agree with a reading, leads on from there."""
        assert self.held is not None
        before = self.state()
        if self.settle(self.held, -1, max(_SETTLED_HELD * min(size, 1.0), _FINEST), model):
            return True
        self.back_to(before)
        return False

    @property
    def held_index(self) -> Indices:
        """Columns that are held."""
        return np.empty(0, np.int64) if self.held is None else self.held.index

    def looks_last(self, step: Array, dual: Array, size: float, least: float) -> float:
        """A step's size, as exactly as must be known to tell whether it is the last.

        `size` is no less; what it does to the basis and to held columns is no more.
        """
        less, _ = self.size(step, self.at_least(dual))
        if size < _LAST or less > least or (less >= _LAST and size <= least):
            return size
        return self.size(step, self.look(dual))[0]

    def bound(self, factored: Factored, rows: Array) -> Bound:
        """On the errors of psi, relative and absolute.

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
        if not self.p_is_2 and self.apart < _RESOLVED:
            return _NO_BOUND
        own, moved = np.abs(self.psi_B), dtau * self.D_B
        relative = np.divide(moved, own, out=np.full_like(own, math.inf), where=own > 0.0)
        outside = largest_doubt(self.matrix, self.parts, doubt, basis.columns)
        largest = np.max([(np.max(relative), np.max(moved), np.max(own)), outside], axis=0).tolist()
        first = evaluation + largest[0]
        first = first / (1.0 - first) if first < 1.0 else math.inf  # relative to the true psi
        return first, evaluation * largest[2] + largest[1]

    def begin(self) -> bool:
        """Set the state near the solution; False if no basis is found."""
        m, working = self.y.size, self.working
        if working.L_start + 1.0 < self.L:
            return self._begin_held() or self.begin_again()

        def nearest(count: int) -> Heaviest:  # psi is nearly linear in lambda
            columns = working.nearest(count).columns
            return Heaviest(columns, np.ones(columns.size))

        also = Heaviest(working.index, np.ones(working.index.size))
        chosen = choose_basis(self.matrix, nearest, also)
        if chosen is None:
            return False
        basis = make_basis(chosen[1], chosen[0], self.y)
        self.set_state(basis, np.ones(m), np.full(m, self.top))
        return True

    def _begin_held(self, dual: Array | None = None) -> bool:
        """Near the solution by columns that weigh much at a dual, and a sample of the others."""
        for _ in range(_GATHERINGS):
            held = self.working.hold(self.L, dual, self.held)
            self.held, before = held, None if dual is None else self.state()
            self.no_offset()
            if held is None:
                return False
            if dual is not None and (self.p_is_2 or held.fits(dual, self.basis.columns)):
                assert before is not None
                goals = [_CLOSE, _SETTLED_HELD][-len(held.samples) :]
                if not all(self.settle(held, k, goal) for k, goal in enumerate(goals)):
                    self.back_to(before)
                return True
            if not self._take_over(self.working.solve_held(self.L, held)):
                self.held = None
                return False
            before = self.state()
            if not (self.rough_will_do(math.inf) and self.settle(held, 0, _CLOSE)):
                self.back_to(before)
                return True
            self.set_dual()
            dual = self.dual_hi.copy()  # others may weigh more there
        return True

    def begin_again(self) -> bool:
        """By readings of all columns until none violates."""
        self.held = None
        return self._take_over(self.working.solve(self.L))

    def missed(self) -> bool:
        """Whether a column that is not held weighs more than all that are, or is out of bounds."""
        if self.held is None:
            return False
        out = not self.p_is_2 and self.apart <= 0.0
        return out or (self.far < _FAR[self.p_is_2] and self.far <= self.tightest)

    def _take_over(self, start: Start | None) -> bool:
        """The basis and slacks of a dense solution, as the start on all columns."""
        if start is None:
            return False
        index, A, psi, slack, _ = start
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
            make_basis(A_B, index[chosen], self.y),
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
        return Answer(psi, spare, slack, dual, self.residual, code, count, self.systems)


def follow_pieces(
    matrix: Matrix, y: Array, p: float, L_high: Array, L_low: Array, limit: int, dense: DenseLimit
) -> tuple[list[Answer], Array]:
    """Limits at each L, and bounds on their relative and absolute errors."""
    working = WorkingSet(matrix, y, p, dense)
    answers, bounds = [], np.full((L_high.size, 2), math.inf)
    for k, (high, low) in enumerate(zip(L_high.tolist(), L_low.tolist(), strict=True)):
        reducer = _Reducer(working, high, low)
        code, count = STALLED, 0
        if working.singular:
            code = BROKEN
        elif high < _DEEPEST and reducer.begin():
            code, count, bounds[k] = reducer.solve(limit)
        answers.append(reducer.answer(code, count))
    return answers, bounds
