"""Radau collocation at work on one flow."""

from __future__ import annotations

import functools
import math
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._flow_engine import Observed, Segments
from fastdln._pairs import exponent_pair, log_eps_pair
from fastdln.functions import h_inverse_slack
from fastdln.kernels.collocation_modes import modes
from fastdln.kernels.collocation_tables import tables
from fastdln.kernels.collocation_weights import FLOW
from fastdln.kernels.flow_collocation import Rows, State, collocation_piece
from fastdln.kernels.flow_collocation import Segments as Kept
from fastdln.kernels.flow_dense import losses, observe_collocation
from fastdln.kernels.flow_goal import Goal
from fastdln.kernels.flow_live import measure_columns
from fastdln.kernels.flow_modes import MODES
from fastdln.kernels.flow_rhs import Flow
from fastdln.kernels.flow_stages import Radau
from fastdln.kernels.lanes import LANES

__all__ = ["CollocationEngine"]

Array = NDArray[np.float64]

_CAPACITY = 32
_OPERATIONS = 1e9  # multiplications of a piece: some 0.05 s
_SHARE = 0.4  # of rtol that the error of a leap may take: the estimate is of lower order
_FOREVER = 1e300
_HIDDEN = 460.0  # log(1/eps) from which weights are not got back from psi


def _observed(flow: Flow, psi: Array, dual: Array) -> Observed:
    """psi and lambda as they come from the kernels; the rest follows from psi."""
    return Observed(psi, dual, partial(_weights, flow, psi), partial(_losses, flow, psi))


def _weights(flow: Flow, psi: Array) -> tuple[Array, Array]:
    """u and v, of which both psi and an invariant are known."""
    size, p = np.abs(psi), flow.p
    if p == 2.0:
        large = np.sqrt(0.5 * (size + np.hypot(size, 2.0 * flow.eps)))
        small = flow.eps / large
    else:
        slack, alpha = h_inverse_slack(size / flow.eps, p), math.exp(flow.log_alpha)
        power = -1.0 / (p - 2.0)
        large, small = alpha * slack**power, alpha * (2.0 - slack) ** power
    up = psi >= 0.0
    return np.where(up, large, small), np.where(up, small, large)


def _losses(flow: Flow, psi: Array) -> Array:
    loss = np.empty(psi.shape[0])
    losses(flow.A, flow.y, psi, loss)
    return loss


class _Rows(NamedTuple):
    """Output that was made on the way."""

    end: float
    seen: Observed

    @property
    def times(self) -> Array:
        return np.array([self.end])

    def observe(self, times: Array) -> Observed:
        return self.seen


class _Segments(NamedTuple):
    flow: Flow
    par: Array
    nodes: Array
    kept: Kept

    @property
    def times(self) -> Array:
        return np.append(self.kept.t[:1, 0], self.kept.t[:, 1])

    def observe(self, times: Array) -> Observed:
        T, (m, N) = times.size, self.flow.A.shape
        psi, dual = np.empty((T, N)), np.empty((T, m))
        known = self.flow.L > _HIDDEN  # then psi underflows before the weights do
        u, v = (np.empty((T if known else 0, N)) for _ in range(2))
        observe_collocation(self.flow, self.par, self.nodes, self.kept, times, psi, dual, u, v)
        seen = _observed(self.flow, psi, dual)
        return seen._replace(weights=lambda: (u, v)) if known else seen


@functools.lru_cache(maxsize=256)
def _parameters(p: float, log_alpha: float) -> Array:
    b, b_low = exponent_pair(p) if p > 2.0 else (1.0, 0.0)
    high, low = map(float, log_eps_pair(np.array(log_alpha), p, True))
    return np.array([p, b, b_low, high, low, 0.0, 0.0, FLOW])


@functools.cache
def _radau(stages: int) -> Radau:
    table, mode = tables(stages), modes(stages)

    def wide(x: Array) -> Array:
        out = np.zeros((LANES,) * x.ndim)
        out[tuple(slice(n) for n in x.shape)] = x
        return out

    lanes = [0]  # of the modes, real and imaginary parts
    for pair in range(1, mode.mu.shape[1]):
        lanes += [pair, MODES + pair]

    def by_modes(x: Array) -> Array:  # (s, modes): wide, in their lanes
        out = np.zeros((LANES, LANES))
        out[:stages, lanes] = x
        return out

    return Radau(
        table.nodes, table.basis, mode.slopes, wide(table.D[0][-1]), wide(table.D0[0]),
        by_modes(mode.WT.T), by_modes(mode.W.T), by_modes(mode.V).T.copy(), mode.mu,
    )  # fmt: skip


class CollocationEngine:
    """Radau IIA of 7 stages in the slacks, from the start or from a dual state."""

    name = "radau"

    def __init__(
        self, flow: Flow, rtol: float, stages: int = 7,
        start: tuple[float, float, Array] | None = None,
    ) -> None:  # fmt: skip
        m, N = flow.A.shape
        self._radau, self._flow = _radau(stages), flow
        self._par = _parameters(flow.p, flow.log_alpha)
        self._sizes = np.empty((3, N))
        pull = measure_columns(flow.A, flow.y, flow.p, self._sizes)
        self._rtol = rtol
        self._tol = _SHARE * rtol / (2.0 if flow.p == 2.0 else flow.p / (flow.p - 2.0))
        self._state = State(
            np.zeros((4, N)), np.zeros((2, m)), np.zeros((m, LANES)), np.zeros((N, LANES)),
            np.zeros((N, LANES)), np.zeros((m, LANES)), np.zeros(7), np.zeros(4, np.int64),
        )  # fmt: skip
        self._state.clock[4] = self._place(start, pull * flow.c)
        self._budget = max(1, int(_OPERATIONS / (60.0 * m * N + m * m * (5.0 * m + 100.0))))
        self._end, self._rows = math.nan, Rows(np.empty((0, N)), np.empty((0, m)))

    def _place(self, start: tuple[float, float, Array] | None, speed: float) -> float:
        """Fill the state; returns a first stride. speed: the largest of tau' at the start."""
        flow, base = self._flow, self._state.base
        if start is None:
            base[0::2] = 0.0 if flow.p == 2.0 else 1.0
            return 0.1 / speed if speed > 0.0 else 1.0
        self._state.clock[0], stride, dual = start
        self._state.dual[0] = dual
        tau = flow.A.T @ dual
        if flow.p == 2.0:
            base[0] = tau
        else:
            base[0], base[2] = 1.0 - tau, 1.0 + tau
            base[1], base[3] = (1.0 - base[0]) - tau, tau - (base[2] - 1.0)
        return stride

    @property
    def time(self) -> float:
        return float(self._state.clock[0])

    @property
    def counts(self) -> NDArray[np.int64]:
        return self._state.counts.copy()

    def advance(
        self, end: float, grid: Array, keep: bool, limit: Array, watch: bool, most: int
    ) -> tuple[int, Segments | None]:
        m, N = self._flow.A.shape
        if self._end != end:
            self._end = end
            self._state.clock[2:4] = min(end, _FOREVER) - self.time, 0.0
        keep = keep or self._flow.L > _HIDDEN
        rows = self._rows_of(0 if keep else grid.size)
        room = _CAPACITY if keep else 0
        kept = Kept(
            np.empty((room, 2)), np.empty((room, 4, N)), np.empty((room, m)),
            np.empty((room, m, LANES)),
        )  # fmt: skip
        budget = min(self._budget, most)
        goal = Goal(end, grid, keep, limit, self._rtol, self._tol, budget)
        code, used = collocation_piece(
            self._flow, self._par, self._radau, self._sizes, goal, self._state, kept, rows
        )
        if used == 0:
            return code, None
        if not keep:
            seen = _observed(self._flow, rows.psi[:used], rows.dual[:used])
            return code, _Rows(self.time, seen)
        kept = Kept(*(part[:used] for part in kept))
        return code, _Segments(self._flow, self._par, self._radau.nodes, kept)

    def _rows_of(self, count: int) -> Rows:
        """The last `count` rows of the output, which is made once."""
        if self._rows.psi.shape[0] < count:
            m, N = self._flow.A.shape
            self._rows = Rows(np.empty((count, N)), np.empty((count, m)))
        first = self._rows.psi.shape[0] - count
        return Rows(self._rows.psi[first:], self._rows.dual[first:])

    def state(self) -> tuple[float, Observed]:
        t, state = self.time, self._state
        here = Kept(
            np.array([[t, t]]), state.base[np.newaxis].copy(), state.dual[:1].copy(),
            np.zeros((1, *state.last.shape)),
        )  # fmt: skip
        return t, _Segments(self._flow, self._par, self._radau.nodes, here).observe(np.array([t]))
