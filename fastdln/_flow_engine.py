"""Integrators of one flow, a piece at a time, and the segments that they leave behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastdln.kernels.flow_blocks import blocks_of
from fastdln.kernels.flow_dense import losses
from fastdln.kernels.flow_goal import Goal
from fastdln.kernels.flow_output import observe_dual, observe_weights, weights_of_duals
from fastdln.kernels.flow_rhs import DUAL, WEIGHTS, Flow
from fastdln.kernels.runge_kutta import (
    Kept,
    State,
    evaluate_segments,
    explicit_piece,
    first_step,
)
from fastdln.kernels.runge_kutta_tables import DOP853, TSIT5, Pair

__all__ = ["EXPLICIT", "Engine", "ExplicitEngine", "Observed", "Segments", "observed"]

Array = NDArray[np.float64]

EXPLICIT: dict[str, Pair] = {"tsit5": TSIT5, "dop853": DOP853}
_CAPACITY = 64  # segments that a piece can hold
_OPERATIONS = 2e7  # multiplications of a piece: some 0.05 s
# Local errors add up: the part of rtol that one step may use.
_SHARE = {"tsit5": 0.1, "dop853": 0.05}


class Observed(NamedTuple):
    """What belongs to T times; weights and loss are made where they are asked for."""

    psi: Array  # (T, N)
    dual: Array  # (T, m)
    weights: Callable[[], tuple[Array, Array]]  # u and v, (T, N)
    losses: Callable[[], Array]  # (T,)


def observed(psi: Array, dual: Array, u: Array, v: Array, loss: Array) -> Observed:
    """The same where everything is known."""
    return Observed(psi, dual, lambda: (u, v), lambda: loss)


class Segments(Protocol):
    """A stretch of the flow as a piecewise polynomial."""

    @property
    def times(self) -> Array:
        """Ends of the steps, the first start included: (K + 1,)."""

    def observe(self, times: Array) -> Observed:
        """The flow at ascending times within the stretch."""


class Engine(Protocol):
    """A method at work: it holds the state and goes on from there."""

    name: str

    @property
    def time(self) -> float:
        """How far it has come."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Steps, rejections, evaluations, factorisations."""

    def advance(self, end: float, grid: Array, keep: bool, limit: Array, watch: bool,
                most: int) -> tuple[int, Segments | None]:  # fmt: skip
        """One piece towards `end`: its code (kernels.flow_goal) and its segments."""

    def state(self) -> tuple[float, Observed]:
        """Where it stands."""


class _ExplicitSegments(NamedTuple):
    form: int
    flow: Flow
    kept: Kept

    @property
    def times(self) -> Array:
        return np.append(self.kept.t[:1, 0], self.kept.t[:, 2])

    def observe(self, times: Array) -> Observed:
        X = np.empty((times.size, self.kept.x.shape[1]))
        evaluate_segments(self.kept, times, X)
        return _observe(self.form, self.flow, X)


def _observe(form: int, flow: Flow, X: Array) -> Observed:
    T, (m, N) = X.shape[0], flow.A.shape
    if form == DUAL:
        psi = np.empty((T, N))
        observe_dual(flow, X, psi)
        return Observed(psi, X, partial(_weights, flow, X), partial(_losses, flow, psi))
    psi, u, v = (np.empty((T, N)) for _ in range(3))
    loss = np.empty(T)
    dual = np.empty((T, m))
    observe_weights(flow, X, psi, u, v, dual, loss)
    return observed(psi, dual, u, v, loss)


def _weights(flow: Flow, X: Array) -> tuple[Array, Array]:
    u, v = (np.empty((X.shape[0], flow.A.shape[1])) for _ in range(2))
    weights_of_duals(flow, X, u, v)
    return u, v


def _losses(flow: Flow, psi: Array) -> Array:
    loss = np.empty(psi.shape[0])
    losses(flow.A, flow.y, psi, loss)
    return loss


class ExplicitEngine:
    """Tsitouras 5(4) or Dormand-Prince 8(5,3), on the dual or on the weights."""

    def __init__(self, flow: Flow, name: str, form: int, rtol: float) -> None:
        m, N = flow.A.shape
        if form == DUAL:
            flow = flow._replace(blocks=blocks_of(flow.A))
        self.name, self._flow, self._form, self._pair = name, flow, form, EXPLICIT[name]
        x = np.zeros(m if form == DUAL else 2 * N + m)
        if form == WEIGHTS:
            x[: 2 * N] = math.exp(flow.log_alpha)
        k, self._tol = np.empty_like(x), _SHARE[name] * rtol
        h = first_step(form, flow, x, self._tol, self._pair.order, k)
        clock = np.array([0.0, h, 1.0, 0.0])
        self._state = State(x, np.zeros_like(x), k, clock, np.zeros(4, np.int64))
        work = 2.0 * self._pair.stages * m * N + 20.0 * self._pair.stages * (m + N)
        self._budget = max(1, int(_OPERATIONS / work))

    @property
    def time(self) -> float:
        return float(self._state.clock[0])

    @property
    def counts(self) -> NDArray[np.int64]:
        return np.append(self._state.counts[:3], 0)

    def advance(
        self, end: float, grid: Array, keep: bool, limit: Array, watch: bool, most: int
    ) -> tuple[int, Segments | None]:
        n, pair = self._state.x.size, self._pair
        room = min(_CAPACITY, max(1, grid.size)) if not keep else _CAPACITY
        kept = Kept(np.empty((room, 3)), np.empty((room, n)),
                    np.empty((room, pair.dense.shape[0], n)))  # fmt: skip
        goal = Goal(end, grid, keep, limit, self._tol, self._tol, min(self._budget, most))
        code, used = explicit_piece(self._form, self._flow, pair, goal, watch, self._state, kept)
        if used == 0:
            return code, None
        kept = Kept(*(part[:used] for part in kept))
        return code, _ExplicitSegments(self._form, self._flow, kept)

    def state(self) -> tuple[float, Observed]:
        return self.time, _observe(self._form, self._flow, self._state.x[np.newaxis].copy())

    @property
    def place(self) -> tuple[float, float, Array]:
        """Time, step and lambda, for another method to go on from (dual form)."""
        return self.time, float(self._state.clock[1]), self._state.x
