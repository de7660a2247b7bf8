"""Plain descent where A is used piece by piece, or through its products alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._operator import Matrix
from fastdln._threads import in_order
from fastdln.kernels.descent_plain import DIVERGED, MOVING, STALLED, fill, update

__all__ = ["ProductStepper"]

Array = NDArray[np.float64]


class ProductStepper:
    """As `Stepper` in float64: a step reads A once, for each piece first A^T r and then A psi."""

    def __init__(self, matrix: Matrix, y: Array, p: float, step_size: float) -> None:
        self._matrix, self._y, self._p, self._rate = matrix, y, p, step_size * p
        self._cuts = [(0, matrix.shape[1])] if matrix.remote else matrix.cuts()
        self._states = [np.zeros((2, 3, hi - lo)) for lo, hi in self._cuts]
        self._at = (0, 0)  # steps taken, and which copy of the state is the present one
        self._residual: Array | None = None

    def begin(self, alpha: float) -> None:
        """Set all weights to alpha."""
        for state in self._states:
            state[0, :2] = alpha
            fill(state, self._p)
        self._at, self._residual = (0, 0), None

    def resume(self, step: int, weights: Any) -> None:
        """Continue from a copy of the state taken by `snapshot`."""
        for state, (lo, hi) in zip(self._states, self._cuts, strict=True):
            state[0] = weights[:, lo:hi]
        self._at, self._residual = (step, 0), None

    def snapshot(self) -> Any:
        """The present state, (3, N)."""
        return np.stack([self._row(k) for k in range(3)])

    def _row(self, k: int) -> Array:
        return np.concatenate([state[self._at[1], k] for state in self._states])

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self._at[0]

    @property
    def u(self) -> Array:
        """Present u."""
        return self._row(0)

    @property
    def v(self) -> Array:
        """Present v."""
        return self._row(1)

    @property
    def psi(self) -> Array:
        """Present psi."""
        return self._row(2)

    def advance(self, target: int) -> int:
        """Step on to step `target`; MOVING, or what ended it before."""
        if self._residual is None and self.step < target:
            pieces = range(len(self._cuts))
            self._residual = sum(in_order(self._product, pieces), -self._y)
        while self.step < target:
            flags, sums = [], -self._y
            for flag, part in in_order(self._one, range(len(self._cuts))):
                flags.append(flag)
                sums = sums + part
            if DIVERGED in flags:
                return DIVERGED
            if all(flag == STALLED for flag in flags):
                return STALLED
            self._at, self._residual = (self.step + 1, 1 - self._at[1]), sums
        return MOVING

    def _piece(self, k: int) -> Any:
        return self._matrix if self._matrix.remote else self._matrix.piece(*self._cuts[k])

    def _product(self, k: int) -> Array:
        """The part of A psi that belongs to a piece."""
        product: Array = self._piece(k).matvec(self._states[k][self._at[1], 2])
        return product

    def _one(self, k: int) -> tuple[int, Array]:
        """One step of the weights that belong to a piece, and its part of A psi after it."""
        assert self._residual is not None
        piece = self._piece(k)
        now, state = self._at[1], self._states[k]
        g = piece.rmatvec(self._residual)[np.newaxis]
        work, n = np.empty((2, g.shape[1])), g.shape[1]
        flag = int(update(state[now], state[1 - now], g, self._p, self._rate, work, False, 0, n))
        return flag, piece.matvec(state[1 - now, 2])
