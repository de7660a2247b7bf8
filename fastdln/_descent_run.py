"""How a descent that was asked for is run, and its rows gathered."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._batch import Batch
from fastdln._leaping import Leaper
from fastdln._stepping import DIVERGED, GROUPED_FROM, GROUPS, STALLED, RowStepper, Stepper
from fastdln._stepping_products import ProductStepper
from fastdln._threads import run_tasks
from fastdln.descent_path import DescentPath, DescentStats
from fastdln.kernels import collocation as engine
from fastdln.kernels.linear import matvec
from fastdln.problem import Problem
from fastdln.results import Status

__all__ = ["Run", "carry_out"]

Array = NDArray[np.float64]

_LAST = 2**63
_MOST_DOUBLINGS = 500  # times 4 each: 1e300 steps


class Run(NamedTuple):
    """What was asked for."""

    problem: Problem
    p: float
    alpha: list[float]
    step_size: list[float]
    steps: list[int]
    last: float
    method: str
    start: DescentPath | None
    rtol: float
    drawn: tuple[int, np.random.Generator] | None
    many: bool

    def stepper(self) -> Stepper | ProductStepper:
        """What takes single steps."""
        if self.problem.large:
            assert self.problem._matrix is not None
            return ProductStepper(self.problem._matrix, self.problem.y, self.p, self.step_size[0])
        A, y, p, eta = self.problem.dense, self.problem.y, self.p, self.step_size[0]
        if self.drawn is not None:
            return RowStepper(A, y, p, eta, *self.drawn)
        return Stepper(A, y, p, eta, self.method == "compensated")

    def prepare(self, state: Stepper | ProductStepper | Leaper) -> int:
        """Set the first state; its step."""
        if self.start is None:
            state.begin(self.alpha[0])
        else:
            state.resume(self.start._resume["step"], self.start._resume["state"])
        return state.step

    def resume(self, step: int, state: Stepper | ProductStepper | Leaper | Batch) -> dict[str, Any]:
        """What another run needs to go on from here."""
        kept = {"problem": self.problem, "p": self.p, "alpha": self.alpha}
        kept["batch_size"] = None if self.drawn is None else self.drawn[0]
        return kept | {"step": step, "state": state.snapshot()}


def _stepped(run: Run) -> DescentPath:
    stepper = run.stepper()
    before, status = run.prepare(stepper), Status.ALL_STEPS
    rows = _Rows(run.problem, run.steps)
    try:
        for target in [*run.steps, int(run.last)]:
            flag = stepper.advance(target) if status is not Status.STALLED else STALLED
            if flag == STALLED:
                status = Status.STALLED
            if flag == DIVERGED:
                status = Status.DIVERGED
                break
            rows.save(target, stepper.u, stepper.v, stepper.psi)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    taken = stepper.step
    if status in (Status.DIVERGED, Status.INTERRUPTED):
        rows.save(taken, stepper.u, stepper.v, stepper.psi, asked=False)
    resume = run.resume(int(run.last) if status is Status.STALLED else taken, stepper)
    stats = DescentStats(single_steps=taken - before)
    return rows.path(stats, status, run.method, resume)


_LEAP_STATUS = {
    engine.DONE: Status.ALL_STEPS,
    engine.TOO_FAR: Status.NO_LEAP,
    engine.STUCK: Status.NO_LEAP,
}


def _together(run: Run) -> DescentPath:
    """Plain steps of all configurations at once."""
    problem = run.problem
    batch = Batch(problem.dense, problem.y, run.p, np.array(run.alpha), np.array(run.step_size))
    if run.start is None:
        batch.begin()
    else:
        batch.resume(run.start._resume["step"], run.start._resume["state"])
    before, interrupted = batch.step, False
    saved: list[tuple[int, Array, Array, Array]] = []
    try:
        for target in [*run.steps, int(run.last)]:
            batch.advance(target)
            if target in run.steps and (not saved or saved[-1][0] != target):
                saved.append((target, *batch.rows()))
    except KeyboardInterrupt:
        interrupted = True
        saved.append((batch.step, *batch.rows()))
    u, v, psi = (np.stack(rows, axis=1) for rows in list(zip(*saved, strict=True))[1:])
    steps = _step_array([row[0] for row in saved])
    status = np.array(batch.status, dtype=object)
    if interrupted:
        status[status == Status.ALL_STEPS] = Status.INTERRUPTED
    stats = DescentStats(single_steps=batch.step - before)
    loss = _losses(problem, psi)
    bound = np.full(len(run.alpha), np.nan)
    resume = run.resume(batch.step if interrupted else int(run.last), batch)
    return DescentPath(steps, psi, loss, u, v, stats, status, "plain", bound, resume)


def _one_by_one(run: Run) -> DescentPath:
    """Configurations one after another; their rows must be those of the same steps."""
    paths: list[DescentPath] = []
    for k, (alpha, step_size) in enumerate(zip(run.alpha, run.step_size, strict=True)):
        start = run.start._resume["paths"][k] if run.start is not None else None
        one = run._replace(alpha=[alpha], step_size=[step_size], start=start)
        if paths and paths[-1].status is Status.INTERRUPTED:  # the others stay where they are
            first = 0 if start is None else int(start._resume["step"])
            one = one._replace(steps=[first], last=first)
        path = _leapt(one) if run.method == "leap" else _stepped(one)
        if one.last != run.last:
            path = replace(path, status=Status.INTERRUPTED)
        paths.append(path)
    ends = [math.inf] if run.last == math.inf else []
    steps = _step_array([*run.steps, *ends])
    u, v, psi, loss = (
        np.stack([_filled(getattr(path, name), len(steps)) for path in paths])
        for name in ("u", "v", "psi", "loss")
    )
    counts = [[getattr(path.stats, f.name) for path in paths] for f in fields(DescentStats)]
    resume = None
    if all(path._resume is not None for path in paths):
        kept = {"problem": run.problem, "p": run.p, "alpha": run.alpha, "paths": paths}
        resume = kept | {"step": min(path._resume["step"] for path in paths)}
    return DescentPath(
        *(steps, psi, loss, u, v, DescentStats(*(sum(c) for c in counts))),
        np.array([path.status for path in paths], dtype=object),
        run.method,
        np.array([path.error_bound for path in paths]),
        resume,
    )


def _filled(rows: Array, count: int) -> Array:
    """Rows up to `count`, the last one repeated where a path ended early."""
    missing = max(0, count - len(rows))
    return np.concatenate([rows, *([rows[-1:]] * missing)])[:count]


def _leapt(run: Run) -> DescentPath:
    A, y, rtol = run.problem.dense, run.problem.y, run.rtol
    leaper = Leaper(A, y, run.p, run.alpha[0], run.step_size[0], rtol)
    before, status = run.prepare(leaper), Status.ALL_STEPS
    rows, bound = _Rows(run.problem, run.steps), math.nan
    try:
        for target in [*run.steps, *([int(run.last)] if run.last < math.inf else [])]:
            status = _LEAP_STATUS[leaper.advance(target)]
            if status is not Status.ALL_STEPS:
                break
            psi = leaper.psi  # computes u and v, too
            rows.save(target, leaper.u, leaper.v, psi)
        if run.last == math.inf and status is Status.ALL_STEPS:
            status, bound = _to_the_limit(leaper, rtol)
            if status is not Status.NO_LEAP:
                rows.save(math.inf, leaper.u, leaper.v, leaper.psi_now, asked=False)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    taken = leaper.step
    if status in (Status.NO_LEAP, Status.INTERRUPTED):
        psi = leaper.psi
        rows.save(taken, leaper.u, leaper.v, psi, asked=False)
    singles = int(leaper.counts[0])
    leapt = math.inf if rows.steps and rows.steps[-1] == math.inf else taken - before - singles
    stats = DescentStats(singles, leapt, *(int(n) for n in leaper.counts[1:]))
    resume = None if leapt == math.inf else run.resume(taken, leaper)
    return rows.path(stats, status, run.method, resume, bound)


def _to_the_limit(leaper: Leaper, rtol: float) -> tuple[Status, float]:
    """Leap on until what is left is so little that its linear part is all of it."""
    target = max(1024, 2 * leaper.step)
    for _ in range(_MOST_DOUBLINGS):
        flag = leaper.advance(target)
        if flag != engine.DONE:
            return Status.NO_LEAP, math.nan
        left = leaper.remainder()
        if left.relative <= max(1e-3 * rtol, left.noise):
            break
        target *= 4
    leaper.finish(left.change)
    bound = rtol + left.relative**2 + left.noise
    small = left.relative <= 1e-3 * rtol and left.noise <= rtol
    return (Status.CONVERGED if small else Status.UNSETTLED), bound


class _Rows:
    """The rows of a path, as they come."""

    def __init__(self, problem: Problem, steps: list[int]) -> None:
        self.problem, self.wanted = problem, set(steps)
        self.steps: list[float] = []
        self.u: list[Array] = []
        self.v: list[Array] = []
        self.psi: list[Array] = []

    def save(self, step: float, u: Array, v: Array, psi: Array, asked: bool = True) -> None:
        """Keep this step once, if it was asked for or is where the path breaks off."""
        if (asked and step not in self.wanted) or (self.steps and self.steps[-1] == step):
            return
        self.u.append(u.copy())
        self.v.append(v.copy())
        self.psi.append(psi.copy())
        self.steps.append(step)

    def path(
        self,
        stats: DescentStats,
        status: Status,
        method: str,
        resume: Any,
        bound: float = math.nan,
    ) -> DescentPath:
        """All of them as one result."""
        N = self.problem.N
        psi = np.array(self.psi).reshape(-1, N)
        loss = _losses(self.problem, psi)
        steps = _step_array(self.steps)
        u, v = np.array(self.u).reshape(-1, N), np.array(self.v).reshape(-1, N)
        return DescentPath(steps, psi, loss, u, v, stats, status, method, bound, resume)


def _losses(problem: Problem, psi: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        if problem.large:
            assert problem._matrix is not None
            products = [problem._matrix.matvec(row) for row in psi]
            return np.array([0.5 * float(np.sum((one - problem.y) ** 2)) for one in products])
        sums = _products(problem.dense, psi.reshape(-1, problem.N))
        residual = sums.reshape(*psi.shape[:-1], -1) - problem.y
        return 0.5 * np.einsum("...i,...i->...", residual, residual)


def _products(A: Array, rows: Array) -> Array:
    """A times each row.

    Not by BLAS where that has threads: they keep a core busy long after, and a descent that
    follows would take twice its time.
    """
    m, N = A.shape
    if m * N < GROUPED_FROM:
        return rows @ A.T
    out = np.empty((len(rows), m))

    def share(i: int) -> None:
        low, high = m * i // GROUPS, m * (i + 1) // GROUPS
        for row, sums in zip(rows, out, strict=True):
            matvec(A[low:high], row, sums[low:high])

    run_tasks(share, GROUPS)
    return out


def _step_array(steps: list[float]) -> NDArray[Any]:
    if steps and steps[-1] == math.inf:
        return np.array(steps, dtype=np.float64)
    large = bool(steps) and steps[-1] >= _LAST
    return np.array(steps, dtype=np.uint64 if large else np.int64)


def carry_out(run: Run) -> DescentPath:
    """Run it, in the way that its method asks for."""
    if run.many and run.method == "plain":
        return _together(run)
    if run.many:
        return _one_by_one(run)
    if run.method == "leap":
        return _leapt(run)
    return _stepped(run)
