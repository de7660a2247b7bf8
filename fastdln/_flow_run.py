"""One flow from start to end: pieces, outputs, events, the switch of methods, the join."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._flow_engine import Engine, ExplicitEngine, Observed, Segments, observed
from fastdln._flow_events import Watcher
from fastdln._flow_implicit import CollocationEngine
from fastdln._flow_slack import SlackEngine
from fastdln._interrupt import heard_between_pieces
from fastdln.kernels.flow_blocks import WIDTH
from fastdln.kernels.flow_goal import ARRIVED, CONVERGED, INVALID, STIFF, STUCK
from fastdln.kernels.flow_output import weights_of_slack
from fastdln.kernels.flow_rhs import DUAL, Flow
from fastdln.limit import flow_limit
from fastdln.problem import Problem
from fastdln.results import FlowEvent, FlowStats, Status

__all__ = ["Plan", "Trajectory", "flow_of", "noisy", "run"]

Array = NDArray[np.float64]

_NOTHING = np.empty(0)
# implicit steps, m^3 + m N each, never cost more than explicit ones up to so many rows, or up to
# more of them in matrices so wide that m N outweighs m^3
_NARROW, _NARROW_IF_WIDE, _WIDE = 150, 2000, 0.01
_SMALL = 5e-3  # alpha^(p-2): explicit methods would need its inverse of steps
_TIGHT = 1e-9  # up to this rtol more of their steps are held down by accuracy, and none seems stiff
_NOISE = 1e-15  # of rtol * alpha^(p-2)
_FOREVER = 1e300  # stands for t = inf
_PATIENCE = 2000  # steps before the limit is worth its price although t is finite


class Plan(NamedTuple):
    """What to integrate and how."""

    problem: Problem  # reduced
    p: float
    log_alpha: float
    method: str
    form: int
    rtol: float
    times: Array | None  # None: until converged, at every step
    events: Sequence[Any]
    max_steps: int
    progress: Callable[[float, int], None] | None
    keep: bool  # keep the segments, for dense output
    stop: threading.Event  # set by an interrupt


class Trajectory(NamedTuple):
    """What came of it."""

    t: Array
    seen: Observed
    events: tuple[FlowEvent, ...]
    stats: FlowStats
    status: Status
    segments: list[Segments]


def flow_of(problem: Problem, p: float, log_alpha: float) -> Flow:
    """The numbers that the kernels need."""
    L = -p * log_alpha
    c = 4.0 if p == 2.0 else p * (p - 2.0) * math.exp((p - 2.0) * log_alpha)
    if not 1e-290 < c < 1e290:
        raise ValueError(
            f"alpha**(p - 2) must lie within 1e-290 ... 1e290, got exp({(p - 2.0) * log_alpha:.6g})"
        )
    eps = math.exp(-L) if L < 745.0 else 0.0
    columns = np.ascontiguousarray(problem.dense.T)
    blocks = np.empty((0, problem.m, WIDTH))
    return Flow(problem.dense, columns, problem.y, p, c, L, eps, log_alpha, blocks)


def noisy(p: float, log_alpha: float, rtol: float) -> bool:
    """Whether slacks of size alpha^(p-2) drown in the rounding of A^T (A psi - y)."""
    return p > 2.0 and (p - 2.0) * log_alpha + math.log(rtol) < math.log(_NOISE)


class _Record:
    """Rows of output as they come."""

    def __init__(self, plan: Plan) -> None:
        self._times = plan.times
        self._t: list[Array] = []
        self._rows: list[Observed] = []
        self.next = 0  # index of the next time asked for
        self._free = plan.times is None

    @property
    def grid(self) -> Array:
        """Times still to come."""
        return _NOTHING if self._times is None else self._times[self.next :]

    def take(self, segments: Segments) -> None:
        """The outputs within these segments."""
        if self._times is None:
            times = segments.times[0 if not self._t else 1 :]
        else:
            stop = int(np.searchsorted(self._times, segments.times[-1], side="right"))
            times = self._times[self.next : stop]
            self.next = stop
        if times.size:
            self.add(times, segments.observe(times))

    def add(self, times: Array, seen: Observed) -> None:
        """Rows made elsewhere."""
        self._t.append(times)
        self._rows.append(seen)

    @property
    def last(self) -> float:
        """The last time recorded."""
        return float(self._t[-1][-1]) if self._t else -1.0

    def finish(self, m: int, N: int) -> tuple[Array, Observed]:
        """All rows."""
        if not self._t:
            empty = np.empty((0, N))
            return _NOTHING, observed(empty, np.empty((0, m)), empty, empty, _NOTHING)
        if len(self._t) == 1:
            return self._t[0], self._rows[0]
        return np.concatenate(self._t), _joined(self._rows)


def _joined(rows: list[Observed]) -> Observed:
    """One below the other."""

    def weights() -> tuple[Array, Array]:
        u, v = zip(*(row.weights() for row in rows), strict=True)
        return np.concatenate(u), np.concatenate(v)

    psi, dual = (np.concatenate([row[k] for row in rows]) for k in range(2))
    return Observed(psi, dual, weights, lambda: np.concatenate([row.losses() for row in rows]))


class _Runner:
    """The loop over pieces."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.flow = plan, flow_of(plan.problem, plan.p, plan.log_alpha)
        self.record, self.kept = _Record(plan), []  # type: _Record, list[Segments]
        self.watcher = Watcher(plan.events)
        self.engine = self._first_engine()
        self.methods = [(self.engine.name, 0.0)]
        self.done = np.zeros(4, np.int64)  # of engines before this one
        self.limit: Any = None
        self.joined = math.inf

    def _first_engine(self) -> Engine:
        plan = self.plan
        name = plan.method
        if noisy(plan.p, plan.log_alpha, plan.rtol):
            return SlackEngine(self.flow, plan.rtol)
        sigma = math.exp((plan.p - 2.0) * plan.log_alpha)
        stiff = sigma < (_SMALL if plan.rtol > _TIGHT else 10.0 * _SMALL)
        m, N = self.flow.A.shape
        stiff = stiff or m <= _NARROW or (m <= _NARROW_IF_WIDE and _WIDE * m * m <= N)
        if name == "radau" or (name == "auto" and plan.form == DUAL and stiff):
            return CollocationEngine(self.flow, plan.rtol)
        if name == "auto":
            name = "tsit5" if plan.rtol > 1e-5 else "dop853"
        return ExplicitEngine(self.flow, name, plan.form, plan.rtol)

    @property
    def counts(self) -> NDArray[np.int64]:
        return self.done + self.engine.counts

    @property
    def tried(self) -> int:
        """Steps so far, the rejected ones included."""
        return int(self.counts[0] + self.counts[1])

    def run(self) -> Status:
        """Go on until the end, whatever it is."""
        times = self.plan.times
        endless = times is None or math.isinf(times[-1])
        end = _FOREVER if times is None else float(times[times < math.inf][-1:].sum())
        if times is not None and times[0] == 0.0:
            self.record.add(times[:1], self.engine.state()[1])
            self.record.next = 1
        if endless:
            self.limit = self._find_limit()
            if self._limit_is_good() or end == 0.0:
                end = _FOREVER
        if end == 0.0:
            return Status.INTEGRATED
        status = self._advance(end)
        if not endless or self.joined < math.inf:
            return status
        if self._limit_is_good():  # at 1e300 nothing moves, whatever the rounding of psi
            return self._join() if status is Status.INTEGRATED else status
        if status is Status.INTEGRATED or (status is Status.STEP_LIMIT and end == _FOREVER):
            return self._stop(Status.LIMIT_UNKNOWN)
        return status

    def _advance(self, end: float) -> Status:
        """Piece after piece, to a time that is finite."""
        while not self.plan.stop.is_set():
            if self.limit is None and self.tried >= _PATIENCE:
                self.limit = self._find_limit()
            code = self._piece(end)
            if code == ARRIVED:
                return Status.INTEGRATED
            if code == CONVERGED:
                return self._join()
            if code in (STUCK, INVALID):
                if not self._may_switch():
                    return self._broken(code)
                code = STIFF
            if self.tried >= self.plan.max_steps:
                return self._stop(Status.STEP_LIMIT)
            if code == STIFF:
                self._switch()
        return self._stop(Status.INTERRUPTED)

    def _piece(self, end: float) -> int:
        plan = self.plan
        keep = plan.keep or plan.times is None or bool(plan.events)
        goal = self.limit.psi if self.limit is not None and self._limit_is_good() else _NOTHING
        most = plan.max_steps - self.tried
        if self.limit is None:  # the same steps whatever else makes pieces end
            most = min(most, _PATIENCE - self.tried)
        watch = plan.method == "auto" and plan.form == DUAL
        code, segments = self.engine.advance(end, self.record.grid, keep, goal, watch, most)
        if segments is not None:
            self.record.take(segments)
            self.watcher.search(segments)
            if plan.keep:
                self.kept.append(segments)
        if plan.progress is not None:
            plan.progress(self.engine.time, int(self.counts[0]))
        return code

    def _find_limit(self) -> Any:
        return flow_limit(self.plan.problem, self.plan.p, log_alpha=self.plan.log_alpha)

    def _limit_is_good(self) -> bool:
        return self.limit.status is Status.CONVERGED

    def _may_switch(self) -> bool:
        plan = self.plan
        explicit = isinstance(self.engine, ExplicitEngine)
        return explicit and plan.method == "auto" and plan.form == DUAL

    def _switch(self) -> None:
        """From an explicit method to the implicit one."""
        before, plan = self.engine, self.plan
        assert isinstance(before, ExplicitEngine)
        self.done = self.counts
        self.engine = CollocationEngine(self.flow, plan.rtol, start=before.place)
        self.methods.append((self.engine.name, before.time))

    def _join(self) -> Status:
        """What is left of the times has the limit as its value."""
        self.joined = self.engine.time
        times = self.record.grid if self.plan.times is not None else np.array([math.inf])
        if times.size:
            self.record.add(times, self._at_limit(times.size))
        return Status.INTEGRATED

    def _at_limit(self, T: int) -> Observed:
        limit, p = self.limit, self.plan.p
        u, v = np.empty_like(limit.psi), np.empty_like(limit.psi)
        weights_of_slack(p, self.plan.log_alpha, limit.psi, limit.slack, u, v)
        loss = np.full(T, 0.5 * limit.residual**2)
        psi, u, v, dual = (np.tile(row, (T, 1)) for row in (limit.psi, u, v, limit.dual))
        return observed(psi, dual, u, v, loss)

    def _broken(self, code: int) -> Status:
        """Steps that shrink to nothing where the flow itself is NaN are no matter of accuracy."""
        A, y, psi = self.flow.A, self.flow.y, self.engine.state()[1].psi[0]
        finite = np.all(np.isfinite(A.T @ (A @ psi - y)))
        return self._stop(Status.STUCK if code == STUCK and finite else Status.INVALID)

    def _stop(self, status: Status) -> Status:
        """The path so far, and the last good state."""
        time, seen = self.engine.state()
        if time > self.record.last:
            self.record.add(np.array([time]), seen)
        return status

    def result(self, status: Status) -> Trajectory:
        """Everything, as it stands."""
        m, N = self.flow.A.shape
        t, seen = self.record.finish(m, N)
        steps, rejections, evaluations, factorisations = self.counts.tolist()
        stats = FlowStats(
            steps, rejections, evaluations, factorisations, tuple(self.methods), self.joined
        )
        return Trajectory(t, seen, self.watcher.found(), stats, status, self.kept)


def run(plan: Plan) -> Trajectory:
    """Integrate, or stop between two pieces once `plan.stop` is set."""
    overflow = np.errstate(over="ignore", invalid="ignore")  # these end in a status
    with heard_between_pieces(plan.stop), overflow:
        runner = _Runner(plan)
        return runner.result(runner.run())
