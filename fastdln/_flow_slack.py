"""Radau collocation in basis slacks at work on one flow: for any alpha, a dense Newton matrix."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._flow_engine import Observed, Segments
from fastdln.kernels.collocation_tables import tables
from fastdln.kernels.flow_rhs import Flow
from fastdln.kernels.flow_slack import observe_slack, slack_piece
from fastdln.kernels.select import select_basis

__all__ = ["SlackEngine"]

Array = NDArray[np.float64]

_CAPACITY = 32
_OPERATIONS = 1e7
_SHARE = 0.2  # of rtol that the error of a step may take
_FOREVER = 1e300


class _Segments(NamedTuple):
    flow: Flow
    nodes: Array
    seg_t: Array
    seg_columns: NDArray[np.int64]
    seg_sgn: Array
    seg_S: Array

    @property
    def times(self) -> Array:
        return np.append(self.seg_t[:1, 0], self.seg_t[:, 1])

    def observe(self, times: Array) -> Observed:
        flow, T = self.flow, times.size
        m, N = flow.A.shape
        psi, u, v = (np.empty((T, N)) for _ in range(3))
        dual, loss = np.empty((T, m)), np.empty(T)
        observe_slack(
            flow.A, flow.y, flow.p, _b(flow), _level(flow), self.nodes, self.seg_t,
            self.seg_columns, self.seg_sgn, self.seg_S, times, psi, u, v, dual, loss,
        )  # fmt: skip
        return Observed(psi, u, v, dual, loss)


def _b(flow: Flow) -> float:
    return flow.p / (flow.p - 2.0) if flow.p > 2.0 else 1.0


def _level(flow: Flow) -> float:
    """L for p = 2, sigma = alpha^(p-2) above (see kernels.state)."""
    return flow.L if flow.p == 2.0 else math.exp((flow.p - 2.0) * flow.log_alpha)


class SlackEngine:
    """Radau IIA of 3, 5 or 7 stages, the unknowns the slacks of a basis of m columns."""

    name = "radau-slack"

    def __init__(self, flow: Flow, rtol: float) -> None:
        m, N = flow.A.shape
        stages = 3 if rtol > 1e-4 else (5 if rtol > 1e-9 else 7)
        table = tables(stages)
        self._tables = (table.nodes, table.D[0].copy(), table.D0[0].copy(), float(table.shift))
        self._flow, self._rtol, self._tol = flow, rtol, _SHARE * rtol
        if flow.p == 2.0:  # tau = L - s is no better than the rounding of L
            self._tol = max(self._tol, 2.0**-47 * abs(flow.L))
        self._squares = np.einsum("ij,ij->j", flow.A, flow.A)
        self._columns, self._sgn = np.empty(m, np.int64), np.ones(m)
        select_basis(flow.A, np.ones(N), self._squares, self._columns)
        self._s = np.full(m, _level(flow) if flow.p == 2.0 else 1.0)
        self._clock, self._counts = np.zeros(5 + 2 * m), np.zeros(4, np.int64)
        self._clock[3] = 0.1 / (flow.c * float(np.max(np.abs(flow.A.T @ flow.y))))
        self._clock[5 : 5 + m] = flow.y
        work = stages * (m * m * N + 3.0 * m**3) + (stages * m) ** 3
        self._budget = max(1, int(_OPERATIONS / (8.0 * work)))
        self._end = math.nan

    @property
    def time(self) -> float:
        return float(self._clock[0])

    @property
    def counts(self) -> NDArray[np.int64]:
        return self._counts

    def advance(
        self, end: float, grid: Array, keep: bool, limit: Array, watch: bool, most: int
    ) -> tuple[int, Segments | None]:
        flow, m, stages = self._flow, self._flow.A.shape[0], self._tables[0].size
        if self._end != end:
            self._end = end
            self._clock[2] = min(end, _FOREVER) - self.time
        room = min(_CAPACITY, max(1, grid.size)) if not keep else _CAPACITY
        seg_t, seg_columns = np.empty((room, 2)), np.empty((room, m), np.int64)
        seg_sgn, seg_S = np.empty((room, m)), np.empty((room, stages + 1, m))
        code, used = slack_piece(
            flow.A, flow.y, self._squares, flow.p == 2.0, _b(flow), _level(flow), flow.eps,
            flow.c, self._tables, self._rtol, self._tol, grid, keep, limit,
            min(self._budget, most), self._columns, self._sgn, self._s, self._clock,
            self._counts, seg_t, seg_columns, seg_sgn, seg_S,
        )  # fmt: skip
        if code == 1:  # arrived: rounding of the sum of the steps is none of the user's
            self._clock[0] = min(end, _FOREVER)
            if used:
                seg_t[used - 1, 1] = self._clock[0]
        if used == 0:
            return code, None
        return code, _Segments(
            flow, self._tables[0], seg_t[:used], seg_columns[:used], seg_sgn[:used], seg_S[:used]
        )

    def state(self) -> tuple[float, Observed]:
        t = self.time
        stages, m = self._tables[0].size, self._s.size
        here = _Segments(
            self._flow, self._tables[0], np.array([[t, t]]), self._columns[np.newaxis].copy(),
            self._sgn[np.newaxis].copy(), np.zeros((1, stages + 1, m)),
        )  # fmt: skip
        here.seg_S[0, 0] = self._s
        return t, here.observe(np.array([t]))
