"""A point near a limit in basis coordinates, and what readings of A piece by piece tell about it.

The unknowns are the slacks of m independent columns of large weight, the basis: as in
`kernels.polish` the Newton matrix is identity plus a bounded term there, and the slacks keep
their relative accuracy, however small.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import _piece_work as work
from fastdln._held_columns import Held, Model
from fastdln._piece_work import Heaviest, Look, Point, Reading, Wanted
from fastdln._working_set import WorkingSet, choose_basis, merged, sampling
from fastdln.kernels.compensated import matvec_dd
from fastdln.kernels.linear import cholesky, cholesky_solve, inverse_of, multiply
from fastdln.kernels.sparse_rows import (
    add_to_sum,
    basis_tau,
    clean_solve,
    row_balance,
    shift_slacks,
)
from fastdln.kernels.tableau import solve_dd

__all__ = ["Basis", "Factored", "State", "largest_of", "make_basis"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Factored = tuple[Array, Array, float]  # see `State.newton`

_ROUGH = 1e-5  # size of a correction above which plain sums do
_PLAIN_DIGITS = 1e-10  # what these cannot see, beside psi
_TIGHT = 1e-6  # least slack for which tau does without a low part


class Basis(NamedTuple):
    columns: Indices
    matrix: Array
    inverse: Array
    transpose: Array
    inverse_t: Array
    x_hi: Array  # A_B^-1 y
    x_lo: Array


def make_basis(A_B: Array, columns: Indices, y: Array) -> Basis:
    inverse, transpose = inverse_of(A_B), np.ascontiguousarray(A_B.T)
    x_hi, x_lo = np.empty(y.size), np.empty(y.size)
    clean_solve(A_B, inverse, y, np.zeros(y.size), x_hi, x_lo)
    return Basis(
        columns, A_B, inverse, transpose, np.ascontiguousarray(inverse.T), x_hi, x_lo
    )  # fmt: skip


def largest_of(found: Iterable[Look]) -> Look:
    return Look(*np.max(list(found), axis=0).tolist())


class State:
    """One target: the state in basis coordinates, and readings of A."""

    def __init__(self, working: WorkingSet, L: float, L_low: float) -> None:
        self.working = working
        matrix, y, p, m = working.matrix, working.y, working.p, working.y.size
        self.matrix, self.y, self.p, self.p_is_2 = matrix, y, p, p == 2.0
        self.b = p / (p - 2.0) if p > 2.0 else 1.0
        self.scale = max(1.0, self.b / 3.0)
        self.L, self.L_low = L, L_low
        self.top, self.top_low = (L, L_low) if self.p_is_2 else (1.0, 0.0)
        self.parts = matrix.parts()
        self.dual_hi, self.dual_lo = np.empty(m), np.empty(m)
        self.psi_B, self.D_B = np.empty(m), np.zeros(m)
        self.every = sampling(matrix)
        self.held: Held | None = None
        self.no_offset()
        self.systems = 0
        self.residual = math.nan
        self.longest = self.steepest = self.tightest = self.apart = math.inf

    def no_offset(self) -> None:
        """Take A psi and A D A^T to be those of a sample."""
        m = self.y.size
        self.offset = np.zeros(m), np.zeros((m, m)), np.zeros(m)  # at the dual that comes last

    def set_state(self, basis: Basis, sgn: Array, s: Array) -> None:
        """Begin at these slacks of a basis."""
        self.basis, self.sgn = basis, sgn
        self.s_hi, self.s_lo = s, np.zeros_like(s)

    def state(self) -> tuple[Any, ...]:
        """What `back_to` needs."""
        values = self.sgn, self.s_hi, self.s_lo, self.psi_B, self.D_B
        return self.basis, *(array.copy() for array in values)

    def back_to(self, state: tuple[Any, ...]) -> None:
        """Where the state was."""
        self.basis, self.sgn, self.s_hi, self.s_lo, self.psi_B, self.D_B = state

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
        m = self.y.size
        self.set_dual()
        v_hi, v_lo, gram = np.zeros(m), np.zeros(m), np.zeros((m, m))
        self.sums = np.zeros(m)
        self.longest, self.steepest = 0.0, 0.0
        self.tightest = self.apart = self.far = math.inf
        for part in self.parts.each(work.read, self.point(), wanted):
            add_to_sum(v_hi, v_lo, part.v_hi, part.v_lo)
            if part.gram is not None:
                gram += part.gram
            if part.sums is not None:
                self.sums += part.sums
            self.take_in(part)
        self.v = v_hi
        return self.balance(v_hi, v_lo), gram

    def take_in(self, part: Reading) -> None:
        """What a reading tells beside its sums."""
        here, psi, D = part.basis
        self.psi_B[here], self.D_B[here] = psi, D
        self.longest = max(self.longest, part.longest)
        self.steepest = max(self.steepest, part.steepest)
        self.tightest = min(self.tightest, part.tightest)
        self.apart = min(self.apart, part.apart)
        self.far = min(self.far, part.far)

    def read_model(self, held: Held, sample: int, keep: bool = False) -> Model:
        """Sums of the held columns and of a sample at the present slacks (see `Held.sums`)."""
        self.set_dual()
        return held.sums(self.point(), sample, keep)

    def take_model(self, model: Model) -> None:
        """What takes the place of a reading's state."""
        self.tightest = self.apart = self.far = math.inf
        self.take_in(model.basis)
        self.longest, self.steepest, self.far = model.longest, model.steepest, model.far
        self.tightest = min(self.tightest, model.far)

    def point(self) -> Point:
        """Where A is to be read."""
        return Point(
            self.p, self.L, self.L_low, self.dual_hi, self.dual_lo, self.basis.columns, self.sgn,
            self.s_hi, self.s_lo,
        )  # fmt: skip

    def balance(self, v_hi: Array, v_lo: Array) -> Array:
        """The rows' residual in basis coordinates."""
        m, basis = self.y.size, self.basis
        w_hi, w_lo, rows = np.empty(m), np.empty(m), np.empty(m)
        solve_dd(basis.matrix, basis.inverse, v_hi, v_lo, w_hi, w_lo)
        row_balance(basis.x_hi, basis.x_lo, self.psi_B, w_hi, w_lo, rows)
        left = (self.y - basis.matrix @ self.psi_B) - (v_hi + v_lo)
        self.residual = float(np.linalg.norm(left))
        return rows

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
        found = Look(step, step if self.p_is_2 else self.scale * length * self.steepest)
        return largest_of([found, self.at_least(dual)])

    def at_least(self, dual: Array) -> Look:
        """What it does to those that are held."""
        return Look(0.0, 0.0) if self.held is None else self.held.look(*self.given(dual))

    def look(self, dual: Array) -> Look:
        """What it does do."""
        return largest_of(self.parts.each(work.look, *self.given(dual)))

    def given(self, dual: Array) -> tuple[Array, Indices, bool, float]:
        """What `work.look` needs."""
        return dual, self.basis.columns, self.p_is_2, self.scale

    def newton(self, gram: Array) -> Factored | None:
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

    def step(self, factored: Factored, rows: Array) -> tuple[Array, Array, float, float]:
        """Newton's step, of tau_B and of the dual, and no less than its `size`."""
        S, scale, _ = factored
        step = rows * scale
        cholesky_solve(S, step)
        step *= scale
        dual = self.basis.inverse_t @ step
        return step, dual, *self.size(step, self.at_most(dual))

    def move(self, step: Array, move: float) -> None:
        """By a step, or as far along it as log psi may change."""
        damp = self.longest_move / move if move > self.longest_move else 1.0
        shift_slacks(self.s_hi, self.s_lo, self.sgn * step * damp)

    @property
    def longest_move(self) -> float:
        """Of log psi in one step."""
        return 2.0 if self.p_is_2 else 0.7

    def reselect(self, held: Held | None) -> bool:
        """Choose the basis by the D of the last reading, of all columns or of those held."""
        self.set_dual()
        source: Any = self.matrix if held is None else held

        def candidates(count: int) -> Heaviest:
            found = self.parts.each(work.heaviest, count) if held is None else held.heaviest(count)
            return merged(found, count)

        also = Heaviest(self.basis.columns, self.D_B)
        found = choose_basis(source, candidates, also)
        if found is None:
            return False
        columns, A_B = found
        old = dict(zip(self.basis.columns.tolist(), range(self.y.size), strict=True))
        basis = make_basis(A_B, columns, self.y)
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
