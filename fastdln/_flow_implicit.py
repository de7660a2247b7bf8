"""Radau collocation at work on one flow."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._flow_engine import Observed, Segments
from fastdln.kernels.collocation import ORDER, REST, STRIDE
from fastdln.kernels.collocation_tables import ORDERS, all_tables
from fastdln.kernels.collocation_weights import FLOW
from fastdln.kernels.flow_collocation import (
    collocation_piece,
    observe_collocation,
    observe_weights_at,
)
from fastdln.kernels.flow_rhs import Flow

__all__ = ["CollocationEngine"]

Array = NDArray[np.float64]

_CAPACITY = 32
_OPERATIONS = 2e7
_SHARE = 0.5  # of rtol that the error of a leap may take: the estimate is of lower order
_FOREVER = 1e300


class _Problem(NamedTuple):
    """What a flow's segments need to be observed."""

    flow: Flow
    par: Array
    dual_of_tau: Array  # (N, m): lambda = tau @ this


class _Segments(NamedTuple):
    problem: _Problem
    seg_t: Array
    seg_base: Array
    seg_delta: Array
    seg_order: NDArray[np.int64]

    @property
    def times(self) -> Array:
        return np.append(self.seg_t[:1, 0], self.seg_t[:, 1])

    def observe(self, times: Array) -> Observed:
        flow, T = self.problem.flow, times.size
        psi, u, v, tau = (np.empty((T, flow.A.shape[1])) for _ in range(4))
        loss = np.empty(T)
        observe_collocation(
            flow.A, flow.y, self.problem.par, all_tables(), flow.log_alpha, self.seg_t,
            self.seg_base, self.seg_delta, self.seg_order, times, psi, u, v, tau, loss,
        )  # fmt: skip
        return Observed(psi, u, v, tau @ self.problem.dual_of_tau, loss)


def _parameters(flow: Flow) -> Array:
    p, kappa, gain = flow.p, 2.0, -2.0
    b, b_low = 1.0, 0.0
    if p > 2.0:
        wide = np.longdouble(p) / (np.longdouble(p) - 2)
        b, b_low = float(wide), float(wide - np.longdouble(float(wide)))
        kappa, gain = p * math.exp((p - 2.0) * flow.log_alpha), flow.c
    wide = np.longdouble(p) * np.longdouble(flow.log_alpha)
    high = float(wide)
    return np.array([p, b, b_low, high, float(wide - np.longdouble(high)), gain, kappa, FLOW])


class CollocationEngine:
    """Radau IIA of 3, 5, 7 or 9 stages in the slacks, from the start or from a dual state."""

    name = "radau"

    def __init__(
        self, flow: Flow, rtol: float, stages: int = 0,
        start: tuple[float, float, Array] | None = None,
    ) -> None:  # fmt: skip
        m, N = flow.A.shape
        if stages == 0:
            stages = 5 if rtol > 1e-5 else (7 if rtol > 1e-9 else 9)
        gram = flow.A @ flow.A.T
        self._problem = _Problem(flow, _parameters(flow), np.linalg.solve(gram, flow.A).T.copy())
        self._base, self._delta = np.zeros((4, N)), np.zeros((2, 9, N))
        self._meta, self._counts = np.zeros(10), np.zeros(5, np.int64)
        self._clock, self._rtol = np.zeros(2), rtol
        self._tol = _SHARE * rtol / (2.0 if flow.p == 2.0 else flow.p / (flow.p - 2.0))
        self._meta[ORDER] = ORDERS.index(stages)
        stride = self._place(flow, start)
        self._meta[STRIDE] = stride
        self._budget = max(1, int(_OPERATIONS / (stages * 20.0 * (m * N + m**3 / stages))))
        self._end = math.nan

    def _place(self, flow: Flow, start: tuple[float, float, Array] | None) -> float:
        """Fill the base; returns a first stride."""
        base = self._base
        if start is None:
            base[0::2] = 0.0 if flow.p == 2.0 else 1.0
            speed = float(np.max(np.abs(flow.A.T @ flow.y))) * flow.c
            return 0.1 / speed if speed > 0.0 else 1.0
        self._clock[0], stride, dual = start
        tau = flow.A.T @ dual
        if flow.p == 2.0:
            base[0], base[2] = 0.5 * tau, -0.5 * tau
        else:
            base[0], base[2] = 1.0 - tau, 1.0 + tau
            base[1], base[3] = (1.0 - base[0]) - tau, tau - (base[2] - 1.0)
        return stride

    @property
    def time(self) -> float:
        return float(self._clock[0])

    @property
    def counts(self) -> NDArray[np.int64]:
        _, leaps, rejected, iterations, factorisations = self._counts.tolist()
        stages = ORDERS[int(self._meta[ORDER])]
        return np.array([leaps, rejected, iterations * stages, factorisations])

    def advance(
        self, end: float, grid: Array, keep: bool, limit: Array, watch: bool, most: int
    ) -> tuple[int, Segments | None]:
        flow, (_, N) = self._problem.flow, self._problem.flow.A.shape
        if self._end != end:
            self._end = end
            self._meta[REST] = min(end, _FOREVER) - self.time
            self._meta[REST + 1] = 0.0
        room = min(_CAPACITY, max(1, grid.size)) if not keep else _CAPACITY
        seg_t, seg_order = np.empty((room, 2)), np.empty(room, np.int64)
        seg_base, seg_delta = np.empty((room, 4, N)), np.empty((room, 2, 9, N))
        code, used = collocation_piece(
            flow.A, flow.y, self._problem.par, all_tables(), flow.log_alpha, flow.eps, self._rtol,
            self._tol, end, grid, keep, limit, min(self._budget, most), self._base, self._delta,
            self._meta, self._counts, self._clock, seg_t, seg_base, seg_delta, seg_order,
        )  # fmt: skip
        if used == 0:
            return code, None
        return code, _Segments(
            self._problem, seg_t[:used], seg_base[:used], seg_delta[:used], seg_order[:used]
        )

    def state(self) -> tuple[float, Observed]:
        flow = self._problem.flow
        psi, u, v, tau = (np.empty(flow.A.shape[1]) for _ in range(4))
        loss = observe_weights_at(
            flow.A, flow.y, self._problem.par, flow.log_alpha, self._base,
            np.zeros((2, psi.size)), psi, u, v, tau,
        )  # fmt: skip
        dual = tau @ self._problem.dual_of_tau
        psi, u, v, dual = (row[np.newaxis] for row in (psi, u, v, dual))
        return self.time, Observed(psi, u, v, dual, np.array([loss]))
