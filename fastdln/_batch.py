"""Many configurations of plain gradient descent that share A, stepped together."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._threads import run_together, thread_count
from fastdln.kernels import descent_batch as kernels
from fastdln.kernels.descent_plain import psi_of
from fastdln.kernels.descent_tickets import new_clock
from fastdln.results import Status

__all__ = ["Batch"]

Array = NDArray[np.float64]

_GROUPED_FROM = 1 << 19  # entries of A times configurations
_GROUPS = 8
_SECONDS = 0.1


class Batch:
    """B configurations (alpha, step size), in float64."""

    def __init__(self, A: Array, y: Array, p: float, alphas: Array, step_sizes: Array) -> None:
        self.A, self.y, self.p, self.size = A, y, p, len(alphas)
        m, N = A.shape
        width = -(-self.size // kernels.WIDTH) * kernels.WIDTH
        blocks = -(-N // kernels.BLOCK)
        groups = min(_GROUPS, blocks) if m * N * width >= _GROUPED_FROM else 1
        self.cuts = np.array([min(N, blocks * i // groups * kernels.BLOCK) for i in range(groups)])
        self.cuts = np.append(self.cuts, N)
        self.rates = np.zeros(width)
        self.rates[: self.size] = step_sizes * p
        self.alphas = alphas
        self.state = np.zeros((2, 2, N, width))
        self.at = np.zeros(2, dtype=np.int64)
        rows = -(-m // kernels.TILE) * kernels.TILE
        self.R, self.totals = np.zeros((rows, width)), np.zeros((groups, rows, width))
        self.flags = np.zeros((groups, 2, width), dtype=np.int64)
        self.status = [Status.ALL_STEPS] * self.size
        self.ends: dict[int, Array] = {}
        self._pace = 1.0 / max(1e-6, 2e-10 * m * N * width)

    def begin(self) -> None:
        """Set the weights of each configuration to its alpha."""
        self.state[0] = 0.0
        self.state[0, :, :, : self.size] = self.alphas
        rates, self.rates = self.rates, np.zeros_like(self.rates)
        self._run(1)  # with no step size: the residual
        self.rates, self.at[0] = rates, 0

    def resume(self, step: int, kept: tuple[Any, ...]) -> None:
        """Continue from a copy of the state taken by `snapshot`."""
        self.state[0], self.R[:], ended, status, ends = kept
        self.rates[ended] = 0.0
        self.status, self.ends = list(status), dict(ends)
        self.at[:] = (step, 0)

    def snapshot(self) -> tuple[Any, ...]:
        """The present state."""
        state = self.state[self.at[1]].copy(), self.R.copy()
        return *state, self.rates == 0.0, list(self.status), dict(self.ends)

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return int(self.at[0])

    def rows(self) -> tuple[Array, Array, Array]:
        """u, v and psi now, (B, N) each; those of lost configurations as they were last."""
        weights = np.ascontiguousarray(np.moveaxis(self.state[self.at[1]][:, :, : self.size], 2, 1))
        for k, end in self.ends.items():
            weights[:, k] = end
        u, v = weights
        psi, work = np.empty_like(u), np.empty((2, u.size))
        psi_of(u.ravel(), v.ravel(), self.p, work[0], work[1], psi.ravel())
        return u, v, psi

    def advance(self, target: int) -> None:
        """Step on to step `target`, or until every configuration is at rest or lost."""
        while self.step < target and any(s is Status.ALL_STEPS for s in self.status):
            before, started = self.step, time.perf_counter()
            self._run(min(target - before, max(1, int(_SECONDS * self._pace))))
            elapsed = time.perf_counter() - started
            self._pace = min(4.0 * self._pace, (self.step - before) / max(elapsed, 1e-9))
            self._look()

    def _run(self, count: int) -> None:
        """Up to count steps, by this thread and others: the same sums in the same order."""
        clock, rates = new_clock(), np.tile(self.rates, kernels.BLOCK)

        def share() -> None:
            kernels.run(
                *(self.A, self.y, self.p, rates, self.state, self.at),
                *(self.R, self.totals, self.flags, self.cuts, clock, count),
            )

        run_together(share, thread_count() if self.cuts.size > 2 else 1)

    def _look(self) -> None:
        """Name the configurations that stand still, and take out those that are lost."""
        moved, lost = self.flags.sum(axis=0)
        now = int(self.at[1])
        for k in self._present():
            if lost[k]:
                self.status[k] = Status.DIVERGED
                self.ends[k] = self.state[1 - now, :, :, k].copy()
            elif not moved[k]:
                self.status[k] = Status.STALLED
            if lost[k]:
                self.state[:, :, :, k] = 0.0
                self.R[:, k] = 0.0
            if lost[k] or not moved[k]:
                self.rates[k] = 0.0  # out of the count; a zero rate moves nothing

    def _present(self) -> Iterable[int]:
        return [k for k in range(self.size) if self.rates[k] > 0.0]
