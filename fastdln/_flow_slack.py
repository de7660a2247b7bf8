"""Radau collocation in basis slacks at work on one flow: for any alpha, a dense Newton matrix."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._flow_engine import Observed, observed
from fastdln.kernels.collocation_tables import tables
from fastdln.kernels.flow_goal import ARRIVED, Goal
from fastdln.kernels.flow_rhs import Flow
from fastdln.kernels.flow_slack import Kept, State, observe_slack, slack_piece
from fastdln.kernels.flow_slack_stages import Radau, Where
from fastdln.kernels.select import select_basis

__all__ = ["SlackEngine"]

Array = NDArray[np.float64]

_CAPACITY = 32
_OPERATIONS = 1e7
_SHARE = 0.2  # of rtol that the error of a step may take
_FOREVER = 1e300


class _Segments(NamedTuple):
    p: float
    where: Where
    nodes: Array
    kept: Kept

    @property
    def times(self) -> Array:
        return np.append(self.kept.t[:1, 0], self.kept.t[:, 1])

    def observe(self, times: Array) -> Observed:
        T, (m, N) = times.size, self.where.A.shape
        psi, u, v = (np.empty((T, N)) for _ in range(3))
        dual, loss = np.empty((T, m)), np.empty(T)
        seen = (psi, u, v, dual, loss)
        observe_slack(self.where, self.p, self.nodes, self.kept, times, seen)
        return observed(psi, dual, u, v, loss)


def _where(flow: Flow) -> Where:
    """The level is L for p = 2, sigma = alpha^(p-2) above (see kernels.state)."""
    A, p = flow.A, flow.p
    b = p / (p - 2.0) if p > 2.0 else 1.0
    level = flow.L if p == 2.0 else math.exp((p - 2.0) * flow.log_alpha)
    squares = np.einsum("ij,ij->j", A, A)
    return Where(A, flow.y, squares, p == 2.0, b, level, flow.eps, flow.c)


class SlackEngine:
    """Radau IIA of 3, 5 or 7 stages, the unknowns the slacks of a basis of m columns."""

    name = "radau-slack"

    def __init__(self, flow: Flow, rtol: float) -> None:
        m, N = flow.A.shape
        stages = 3 if rtol > 1e-4 else (5 if rtol > 1e-9 else 7)
        table = tables(stages)
        self._radau = Radau(table.nodes, table.D[0].copy(), table.D0[0].copy(), float(table.shift))
        self._where, self._p = _where(flow), flow.p
        self._rtol, self._tol = rtol, _SHARE * rtol
        if flow.p == 2.0:  # tau = L - s is no better than the rounding of L
            self._tol = max(self._tol, 2.0**-47 * abs(flow.L))
        columns = np.empty(m, np.int64)
        select_basis(flow.A, np.ones(N), self._where.squares, columns)
        s = np.full(m, self._where.level if flow.p == 2.0 else 1.0)
        first = 0.1 / (flow.c * float(np.max(np.abs(flow.A.T @ flow.y))))
        self._state = State(
            columns, np.ones(m), s, np.zeros(m), flow.A[:, columns].T @ flow.y,
            np.array([0.0, 0.0, math.nan, first, 0.0, 0.0]), np.zeros(4, np.int64),
        )  # fmt: skip
        work = stages * (m * m * N + 3.0 * m**3) + (stages * m) ** 3
        self._budget = max(1, int(_OPERATIONS / (8.0 * work)))
        self._end = math.nan

    @property
    def time(self) -> float:
        return float(self._state.clock[0])

    @property
    def counts(self) -> NDArray[np.int64]:
        return self._state.counts

    def _new_segments(self, room: int) -> Kept:
        m, stages = self._state.s.size, self._radau.nodes.size
        return Kept(
            np.empty((room, 2)), np.empty((room, m), np.int64), np.empty((room, m)),
            np.zeros((room, stages + 1, m)),
        )  # fmt: skip

    def advance(
        self, end: float, grid: Array, keep: bool, limit: Array, watch: bool, most: int
    ) -> tuple[int, _Segments | None]:
        clock, stop = self._state.clock, min(end, _FOREVER)
        if self._end != end:
            self._end = end
            clock[2] = stop - self.time
        kept = self._new_segments(_CAPACITY if keep else min(_CAPACITY, max(1, grid.size)))
        goal = Goal(end, grid, keep, limit, self._rtol, self._tol, min(self._budget, most))
        code, used = slack_piece(self._where, self._radau, goal, self._state, kept)
        if code == ARRIVED:  # rounding of the sum of the steps is none of the user's
            clock[0] = stop
            if used:
                kept.t[used - 1, 1] = stop
        if used == 0:
            return code, None
        return code, self._segments(Kept(*(part[:used] for part in kept)))

    def _segments(self, kept: Kept) -> _Segments:
        return _Segments(self._p, self._where, self._radau.nodes, kept)

    def state(self) -> tuple[float, Observed]:
        t, state, here = self.time, self._state, self._new_segments(1)
        here.t[:], here.columns[0], here.sgn[0], here.S[0, 0] = t, state.columns, state.sgn, state.s
        return t, self._segments(here).observe(np.array([t]))
