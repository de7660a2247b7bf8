"""Steps taken one by one: the loop around the kernels, which keeps Ctrl-C alive.

A kernel returns after about a tenth of a second. What it has done by then is in
`state` and `at`, both complete: an interrupt between two calls loses nothing.
"""

from __future__ import annotations

import copy
import time
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._threads import run_tasks, thread_count
from fastdln.kernels import descent_compensated, descent_plain
from fastdln.kernels.descent_plain import DIVERGED, MOVING, STALLED

__all__ = ["DIVERGED", "MOVING", "STALLED", "RowStepper", "Stepper"]

Array = NDArray[np.float64]

_GROUPED_FROM = 1 << 20  # entries of A: from here on rows are split into groups
_GROUPS = 8
_SECONDS = 0.1
_DRAWS = 1 << 16  # random numbers at a time


class Stepper:
    """One configuration, stepped singly in float64 or in double-double."""

    def __init__(self, A: Array, y: Array, p: float, step_size: float, compensated: bool) -> None:
        self.A, self.y, self.p = A, y, p
        self.compensated = compensated
        self.rows = 6 if compensated else 3
        m, N = A.shape
        groups = min(_GROUPS, m) if m * N >= _GROUPED_FROM else 1
        self.cuts = np.array([m * i // groups for i in range(groups + 1)])
        rate = step_size * p
        low = float(Fraction(step_size) * Fraction(p) - Fraction(rate))
        self.rate = np.array([rate, low]) if compensated else rate
        self.state = np.zeros((2, self.rows, N))
        self.at = np.zeros(2, dtype=np.int64)
        self._pace = 1.0 / max(1e-7, 2e-10 * m * N * (4 if compensated else 1))
        self._space: tuple[Array, Array] | None = None

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
        threaded = self.cuts.size > 2 and thread_count() > 1
        run = self._run_threaded if threaded else self._run
        while self.step < target:
            started, before = time.perf_counter(), self.step
            flag = run(min(target - before, max(1, int(_SECONDS * self._pace))))
            if flag != MOVING:
                return flag
            elapsed = time.perf_counter() - started
            # grow carefully: a loop that was timed too short may be slow on a busy machine
            self._pace = min(4.0 * self._pace, (self.step - before) / max(elapsed, 1e-9))
        return MOVING

    def _run(self, n_steps: int) -> int:
        return int(
            self.kernel.run(
                self.A, self.y, self.p, self.rate, self.state, self.at, self.cuts, n_steps
            )
        )

    def _run_threaded(self, n_steps: int) -> int:
        """As `_run`, the groups of rows on all cores: the same sums in the same order."""
        groups, N = self.cuts.size - 1, self.A.shape[1]
        if self._space is None:
            shape = (groups, 2, N) if self.compensated else (groups, N)
            self._space = np.empty(shape), np.empty((self.rows, N))
        g, work = self._space
        kernel, cuts = self.kernel, self.cuts
        for k in range(n_steps):
            now = int(self.at[1])
            old, new = self.state[now], self.state[1 - now]

            def sweep(i: int, old: Array = old) -> None:
                part = slice(cuts[i], cuts[i + 1])
                if self.compensated:
                    kernel.sweep(self.A[part], self.y[part], old[4], old[5], g[i, 0], g[i, 1])
                else:
                    kernel.sweep(self.A[part], self.y[part], old[2], g[i])

            run_tasks(sweep, groups)
            flag = int(kernel.update(old, new, g, self.p, self.rate, work, k > 0))
            if flag != MOVING:
                return flag
            self.at[:] = (self.at[0] + 1, 1 - now)  # one assignment: an interrupt sees both
        return MOVING


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
