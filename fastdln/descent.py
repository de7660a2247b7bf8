"""Gradient descent on the weights of a diagonal linear network."""

from __future__ import annotations

import math
import operator
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._batch import Batch
from fastdln._check import check_count, check_depth
from fastdln._leaping import Leaper
from fastdln._stepping import DIVERGED, STALLED, RowStepper, Stepper
from fastdln.descent_path import DescentPath, DescentStats
from fastdln.kernels import collocation as engine
from fastdln.problem import Problem, check_problem
from fastdln.results import Status

__all__ = ["gradient_descent"]

Array = NDArray[np.float64]

_METHODS = ("auto", "plain", "compensated", "leap")
_LAST = 2**63
_PER_DECADE = 10
_LEAP_FROM, _LEAP_ROWS = 20_000, 2_000
_MOST_DOUBLINGS = 500  # times 4 each: 1e300 steps
_RTOL = (1e-12, 1e-2)


def gradient_descent(
    problem: Problem,
    p: float,
    alpha: ArrayLike,
    step_size: ArrayLike,
    n_steps: float,
    save_steps: ArrayLike | None = None,
    *,
    method: str = "auto",
    rtol: float = 1e-9,
    start: DescentPath | None = None,
    batch_size: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> DescentPath:
    """Gradient descent from the weights u = v = alpha.

    The iterates of ``theta' = theta - step_size grad L(theta)`` for the loss
    L = 1/2 ||A (u^p - v^p) - y||^2 (arXiv 2307.07410, equation 2.1, in discrete time):
    u' = u - step_size p u^(p-1) g, v' = v + step_size p v^(p-1) g, g = A^T (A psi - y).

    Parameters
    ----------
    problem : Problem
        A and y, taken as they are.
    p : float
        Depth, at least 2, not necessarily an integer.
    alpha : float or array_like, shape (B,)
        Initialisation of every weight, positive.
    step_size : float or array_like, shape (B,)
        Positive. With arrays, B configurations that share A: for "plain" they run as one
        blocked product, for the other methods one after another.
    n_steps : int or inf
        Number of the last step, at most 2**63; or infinity, for the limit of the iterates
        (method "leap"), which is not that of the flow.
    save_steps : array_like of int, optional
        Steps at which to save, ascending, from 0 (with `start`, from its last step) to
        n_steps. Without it: about ten for each power of ten, the first and the last.
    method : str, optional
        "plain" steps in float64. "compensated" steps in double-double, right to the last
        digits. "leap" takes many steps at once by difference collocation where the iterates vary
        slowly, and single steps elsewhere. "auto" (the default) is "leap" where that is
        likely to be faster than "compensated".
    rtol : float, optional
        Relative error of each psi_i for "leap", with a floor of alpha^p.
    start : DescentPath, optional
        Continue from its last state, bit for bit as if there had been no break; of the
        same problem, p and alpha. Steps are numbered on.
    batch_size : int, optional
        Take each step with that many rows of A, drawn without replacement, and their share
        of the gradient times m / batch_size: stochastic descent, in float64.
    rng : int or numpy.random.Generator, optional
        Where the draws come from; needed with `batch_size`, unless `start` brings it. A
        generator is advanced, an integer is a seed.

    Returns
    -------
    DescentPath
        psi, the weights and the loss at the steps saved.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind or out of its range, or `start` comes from
        another problem, depth, initialisation or method.

    Notes
    -----
    Ctrl-C is heard within a second; the path then ends with the state reached. Memory
    is O(N) beyond A and the rows saved. docs/descent.md tells how it is computed.

    Examples
    --------
    >>> import fastdln as fd
    >>> path = fd.gradient_descent(fd.datasets.line(), 2, alpha=0.1, step_size=1e-3, n_steps=10000)
    >>> path.psi[-1]
    array([0.65256509, 1.30513018, 1.04230473])
    >>> print(path.status)
    Finished: every step that was asked for was taken.
    """
    problem = check_problem(problem)
    p = check_depth(p)
    alphas, step_sizes, many = _configurations(alpha, step_size)
    last = _check_steps(n_steps)
    rtol = _check_rtol(rtol)
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    first = 0 if start is None else _check_start(start, problem, p, alphas.tolist(), many)
    if first > last:
        raise ValueError(f"n_steps must be at least {first}, the step of start, got {last}")
    steps = _default_steps(first, last) if save_steps is None else _checked(save_steps, first, last)
    if method == "auto" and batch_size is not None:
        method = "plain"
    if method == "auto":
        method = _choice(problem, last) if start is None else start.method
    if start is not None and start.method != method:
        raise ValueError(f"start must come from method {method!r}, got one of {start.method!r}")
    if last == math.inf and method != "leap":
        raise ValueError(f"n_steps must be finite for method {method!r}, got inf")
    drawn = _check_rows(problem, method, many, batch_size, rng, start)
    run = _Run(
        problem, p, alphas.tolist(), step_sizes.tolist(), steps, last, method, start, rtol, drawn
    )
    if many and method == "plain":
        return _together(run)
    if many:
        return _one_by_one(run)
    if method == "leap":
        return _leapt(run)
    return _stepped(run)


class _Run(NamedTuple):
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

    def stepper(self) -> Stepper:
        """What takes single steps."""
        A, y, p, eta = self.problem.A, self.problem.y, self.p, self.step_size[0]
        if self.drawn is not None:
            return RowStepper(A, y, p, eta, *self.drawn)
        return Stepper(A, y, p, eta, self.method == "compensated")

    def prepare(self, state: Stepper | Leaper) -> int:
        """Set the first state; its step."""
        if self.start is None:
            state.begin(self.alpha[0])
        else:
            state.resume(self.start._resume["step"], self.start._resume["state"])
        return state.step

    def resume(self, step: int, state: Stepper | Leaper | Batch) -> dict[str, Any]:
        """What another run needs to go on from here."""
        kept = {"problem": self.problem, "p": self.p, "alpha": self.alpha}
        kept["batch_size"] = None if self.drawn is None else self.drawn[0]
        return kept | {"step": step, "state": state.snapshot()}


def _stepped(run: _Run) -> DescentPath:
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


def _together(run: _Run) -> DescentPath:
    """Plain steps of all configurations at once."""
    problem = run.problem
    batch = Batch(problem.A, problem.y, run.p, np.array(run.alpha), np.array(run.step_size))
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


def _one_by_one(run: _Run) -> DescentPath:
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


def _leapt(run: _Run) -> DescentPath:
    A, y, rtol = run.problem.A, run.problem.y, run.rtol
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


def _choice(problem: Problem, last: float) -> str:
    """Leaps pay where many steps are to be taken: each costs some m^2 N."""
    return "leap" if last > _LEAP_FROM + _LEAP_ROWS * problem.m else "compensated"


def _check_rows(
    problem: Problem,
    method: str,
    many: bool,
    batch_size: Any,
    rng: Any,
    start: DescentPath | None,
) -> tuple[int, np.random.Generator] | None:
    """Number of rows a step and their generator, for stochastic descent."""
    kept = None if start is None else start._resume.get("batch_size")
    if start is not None and kept != batch_size:
        raise ValueError(f"start must come from batch_size {batch_size!r}, got one of {kept!r}")
    if batch_size is None:
        if rng is not None:
            raise ValueError("rng must be given with batch_size only")
        return None
    size = check_count("batch_size", batch_size, 1)
    if size > problem.m:
        raise ValueError(f"batch_size must be at most m = {problem.m}, got {size}")
    if method != "plain" or many:
        what = "arrays of configurations" if many else f"method {method!r}"
        raise ValueError(f"batch_size needs method 'plain' and one configuration, got {what}")
    if (rng is None) == (start is None):
        needed = "must be given with batch_size" if start is None else "comes with start"
        raise ValueError(f"rng {needed}, got {rng!r}")
    return size, np.random.default_rng(rng)


def _check_rtol(rtol: Any) -> float:
    value = _positive("rtol", rtol)
    if not _RTOL[0] <= value <= _RTOL[1]:
        raise ValueError(f"rtol must be from {_RTOL[0]:g} to {_RTOL[1]:g}, got {rtol!r}")
    return value


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
        residual = psi @ problem.A.T - problem.y
        return 0.5 * np.einsum("...i,...i->...", residual, residual)


def _step_array(steps: list[float]) -> NDArray[Any]:
    if steps and steps[-1] == math.inf:
        return np.array(steps, dtype=np.float64)
    large = bool(steps) and steps[-1] >= _LAST
    return np.array(steps, dtype=np.uint64 if large else np.int64)


def _positive(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a positive real number, got {value!r}") from None
    if not 0.0 < number < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return number


def _configurations(alpha: Any, step_size: Any) -> tuple[Array, Array, bool]:
    """alpha and step_size as arrays of one shape (B,), and whether one was given as an array."""
    pair = []
    for name, value in (("alpha", alpha), ("step_size", step_size)):
        array = np.asarray(value)
        if array.ndim == 0:
            pair.append(np.array([_positive(name, value)]))
            continue
        if array.ndim > 1 or array.size == 0 or array.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be a real number or a 1-D array of them, got {value!r}")
        pair.append(np.array([_positive(name, number) for number in array.tolist()]))
    many = np.ndim(alpha) + np.ndim(step_size) > 0
    if len(pair[0]) != len(pair[1]) and 1 not in (len(pair[0]), len(pair[1])):
        raise ValueError(
            f"alpha and step_size must have the same length, got {len(pair[0])} and {len(pair[1])}"
        )
    one, two = np.broadcast_arrays(*pair)
    return one, two, many


def _check_steps(n_steps: Any) -> float:
    if isinstance(n_steps, float) and n_steps == math.inf:
        return n_steps
    try:
        last = operator.index(n_steps)
    except TypeError:
        raise TypeError(f"n_steps must be an integer or inf, got {n_steps!r}") from None
    if not 0 <= last <= _LAST:
        raise ValueError(f"n_steps must be from 0 to 2**63, got {last}")
    return last


def _check_start(start: Any, problem: Problem, p: float, alphas: list[float], many: bool) -> int:
    """The number of the step at which `start` ends, if this run can go on from there."""
    if not isinstance(start, DescentPath):
        raise TypeError(
            f"start must be a DescentPath, got an object of type {type(start).__name__}"
        )
    kept = start._resume
    if kept is None:
        raise ValueError("start must be one path, as gradient_descent returned it")
    other = kept["problem"]
    if start.psi.shape[-1] != problem.N:
        raise ValueError(
            f"start must have {problem.N} coordinates, as problem has, got {start.psi.shape[-1]}"
        )
    if other is not problem and not (
        np.array_equal(other.A, problem.A) and np.array_equal(other.y, problem.y)
    ):
        raise ValueError("start must come from the same problem, got a path of another one")
    given = (kept["p"], *kept["alpha"])
    if given != (p, *alphas) or many != (start.psi.ndim == 3):
        raise ValueError(f"start must come from (p, alpha) = {(p, *alphas)}, got a path of {given}")
    return int(kept["step"])


def _checked(save_steps: Any, first: int, last: float) -> list[int]:
    array = np.asarray(save_steps)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise TypeError(
            f"save_steps must be a 1-D array of integers, got dtype {array.dtype}, "
            f"shape {array.shape}"
        )
    steps = [int(step) for step in array]
    for i, (one, two) in enumerate(pairwise(steps)):
        if one >= two:
            raise ValueError(f"save_steps must ascend, got {one} before {two} at index {i}")
    if steps[0] < first or steps[-1] > last:
        worst = steps[0] if steps[0] < first else steps[-1]
        raise ValueError(f"save_steps must lie from {first} to n_steps = {last}, got {worst}")
    return steps


def _default_steps(first: int, last: float) -> list[int]:
    """About ten a decade, and both ends."""
    if last == math.inf:
        return [first]
    steps, k = {first, int(last)}, 0
    while (step := round(10.0 ** (k / _PER_DECADE))) < last:
        if step > first:
            steps.add(step)
        k += 1
    return sorted(steps)
