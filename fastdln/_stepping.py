"""Steps taken one by one: the loop around the kernels, which keeps Ctrl-C alive.

A kernel returns after about a tenth of a second. What it has done by then is in
`state` and `at`, both complete: an interrupt between two calls loses nothing.
"""

from __future__ import annotations

import copy
import math
import time
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._threads import run_together, thread_count
from fastdln.kernels import descent_compensated, descent_plain
from fastdln.kernels.descent_plain import DIVERGED, MOVING, STALLED
from fastdln.kernels.descent_tickets import new_clock, reason

__all__ = [
    "DIVERGED",
    "GROUPED_FROM",
    "GROUPS",
    "MOVING",
    "STALLED",
    "RowStepper",
    "Stepper",
]

Array = NDArray[np.float64]

GROUPED_FROM = 1 << 20  # entries of A: from here on rows are split into groups
GROUPS = 8
_SECONDS = 0.1
_DRAWS = 1 << 16  # random numbers at a time


def _aligned(*shape: int) -> Array:
    """Zeros that begin with a cache line: wide loads that straddle two cost twice as much."""
    size = math.prod(shape)
    room = np.zeros(size + 8)
    first = -room.ctypes.data // 8 % 8
    return room[first : first + size].reshape(shape)


class Stepper:
    """One configuration, stepped singly in float64 or in double-double."""

    def __init__(self, A: Array, y: Array, p: float, step_size: float, compensated: bool) -> None:
        self.A, self.y, self.p = A, y, p
        self.compensated = compensated
        self.rows = 6 if compensated else 3
        m, N = A.shape
        groups = min(GROUPS, m) if m * N >= GROUPED_FROM else 1
        self.cuts = np.array([m * i // groups for i in range(groups + 1)])
        self.ends = np.array([N * i // groups for i in range(groups + 1)])  # of what is updated
        rate = step_size * p
        low = float(Fraction(step_size) * Fraction(p) - Fraction(rate))
        self.rate = np.array([rate, low]) if compensated else rate
        self.state = _aligned(2, self.rows, N)
        self.at = np.zeros(2, dtype=np.int64)
        self._pace = 1.0 / max(1e-7, 2e-10 * m * N * (4 if compensated else 1))
        self._space: tuple[Array, Array, NDArray[np.int64]] | None = None

    def begin(self, alpha: float) -> None:
        """Set all weights to alpha."""
        self.state[0, : self.rows - self.rows // 3] = 0.0
        self.state[0, 0] = alpha
        self.state[0, self.rows // 3] = alpha
        self.at[:] = 0
        self.kernel.fill(self.state, self.p)

    def resume(self, step: int, weights: Any) -> None:
        """Continue from a copy of the state taken by `snapshot`."""
        self.state[0] = weights
        self.at[:] = (step, 0)

    def snapshot(self) -> Any:
        """The present state, (3, N) or (6, N)."""
        return self.state[self.at[1]].copy()

    @property
    def kernel(self) -> Any:
        """The module of kernels in use."""
        return descent_compensated if self.compensated else descent_plain

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return int(self.at[0])

    @property
    def u(self) -> Array:
        """Present u, as a view."""
        return self.state[self.at[1], 0]

    @property
    def v(self) -> Array:
        """Present v, as a view."""
        return self.state[self.at[1], self.rows // 3]

    @property
    def psi(self) -> Array:
        """Present psi, as a view."""
        return self.state[self.at[1], 2 * self.rows // 3]

    def advance(self, target: int) -> int:
        """Step on to step `target`; MOVING, or what ended it before."""
        threads = thread_count() if self.cuts.size > 2 else 1
        while self.step < target:
            started, before = time.perf_counter(), self.step
            flag = self._run(min(target - before, max(1, int(_SECONDS * self._pace))), threads)
            if flag != MOVING:
                return flag
            elapsed = time.perf_counter() - started
            # grow carefully: a loop that was timed too short may be slow on a busy machine
            self._pace = min(4.0 * self._pace, (self.step - before) / max(elapsed, 1e-9))
        return MOVING

    def _run(self, n_steps: int, threads: int) -> int:
        """Up to n_steps steps, by this thread and others: the same sums in the same order."""
        clock = new_clock()
        g, work, flags = self._space or self._make_space()

        def share() -> None:
            self.kernel.run(
                *(self.A, self.y, self.p, self.rate, self.state, self.at, self.cuts, self.ends),
                *(g, work, flags, clock, n_steps),
            )

        run_together(share, threads)
        return reason(clock)

    def _make_space(self) -> tuple[Array, Array, NDArray[np.int64]]:
        groups, N = self.cuts.size - 1, self.A.shape[1]
        shape = (groups, 2, N) if self.compensated else (groups, N)
        work = _aligned(6 if self.compensated else 2, N)
        self._space = _aligned(*shape), work, np.zeros(len(self.ends) - 1, dtype=np.int64)
        return self._space


class RowStepper(Stepper):
    """Plain steps, each with `batch_size` rows of A drawn anew: stochastic descent."""

    def __init__(
        self,
        A: Array,
        y: Array,
        p: float,
        step_size: float,
        batch_size: int,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(A, y, p, step_size, compensated=False)
        self.rng, self.batch_size = rng, batch_size
        self._rate = self.rate * (len(y) / batch_size)

    def advance(self, target: int) -> int:
        """Step on to step `target`; the draws do not depend on where this is called."""
        while self.step < target:
            count = min(target - self.step, max(1, _DRAWS // len(self.y)))
            keys = self.rng.random((count, len(self.y)))
            rows = np.argsort(keys, axis=1, kind="stable")[:, : self.batch_size]
            flag = descent_plain.run_rows(
                self.A, self.y, self.p, self._rate, self.state, self.at, rows
            )
            if flag != MOVING:
                return int(flag)
        return MOVING

    def resume(self, step: int, weights: Any) -> None:
        """Continue from a copy of the state taken by `snapshot`, with the draws that follow."""
        super().resume(step, weights[0])
        self.rng = copy.deepcopy(weights[1])

    def snapshot(self) -> Any:
        """The present state, and that of the generator."""
        return super().snapshot(), copy.deepcopy(self.rng)
