"""Gradient descent on the weights of a diagonal linear network."""

from __future__ import annotations

import math
import operator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._check import check_depth
from fastdln._stepping import DIVERGED, STALLED, Stepper
from fastdln.descent_path import DescentPath, DescentStats
from fastdln.problem import Problem, check_problem
from fastdln.results import Status

__all__ = ["gradient_descent"]

Array = NDArray[np.float64]

_METHODS = ("auto", "plain", "compensated")
_LAST = 2**63
_PER_DECADE = 10


def gradient_descent(
    problem: Problem,
    p: float,
    alpha: float,
    step_size: float,
    n_steps: int,
    save_steps: ArrayLike | None = None,
    *,
    method: str = "auto",
    start: DescentPath | None = None,
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
    alpha : float
        Initialisation of every weight, positive.
    step_size : float
        Positive.
    n_steps : int
        Number of the last step, at most 2**63.
    save_steps : array_like of int, optional
        Steps at which to save, ascending, from 0 (with `start`, from its last step) to
        n_steps. Without it: about ten for each power of ten, the first and the last.
    method : str, optional
        "plain" steps in float64. "compensated" steps in double-double, right to the last
        digits. "auto" is "compensated".
    start : DescentPath, optional
        Continue from its last state, bit for bit as if there had been no break; of the
        same problem, p and alpha. Steps are numbered on.

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
    alpha = _positive("alpha", alpha)
    step_size = _positive("step_size", step_size)
    last = _check_steps(n_steps)
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    first = 0 if start is None else _check_start(start, problem, p, alpha)
    if first > last:
        raise ValueError(f"n_steps must be at least {first}, the step of start, got {last}")
    steps = _default_steps(first, last) if save_steps is None else _checked(save_steps, first, last)
    if method == "auto":
        method = "compensated" if start is None else start.method
    if start is not None and start.method != method:
        raise ValueError(f"start must come from method {method!r}, got one of {start.method!r}")
    return _stepped(problem, p, alpha, step_size, steps, last, method, start)


def _stepped(
    problem: Problem,
    p: float,
    alpha: float,
    step_size: float,
    steps: list[int],
    last: int,
    method: str,
    start: DescentPath | None,
) -> DescentPath:
    stepper = Stepper(problem.A, problem.y, p, step_size, method == "compensated")
    if start is None:
        stepper.begin(alpha)
    else:
        stepper.resume(start._resume["step"], start._resume["state"])
    before = stepper.step
    rows = _Rows(problem, steps)
    status = Status.ALL_STEPS
    try:
        for target in [*steps, last]:
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
    resume = {
        "problem": problem,
        "p": p,
        "alpha": alpha,
        "step": last if status is Status.STALLED else taken,
        "state": stepper.snapshot(),
    }
    stats = DescentStats(single_steps=taken - before)
    return rows.path(stats, status, method, resume)


class _Rows:
    """The rows of a path, as they come."""

    def __init__(self, problem: Problem, steps: list[int]) -> None:
        self.problem, self.wanted = problem, set(steps)
        self.steps: list[int] = []
        self.u: list[Array] = []
        self.v: list[Array] = []
        self.psi: list[Array] = []

    def save(self, step: int, u: Array, v: Array, psi: Array, asked: bool = True) -> None:
        """Keep this step once, if it was asked for or is where the path breaks off."""
        if (asked and step not in self.wanted) or (self.steps and self.steps[-1] == step):
            return
        self.u.append(u.copy())
        self.v.append(v.copy())
        self.psi.append(psi.copy())
        self.steps.append(step)

    def path(self, stats: DescentStats, status: Status, method: str, resume: Any) -> DescentPath:
        """All of them as one result."""
        N = self.problem.N
        psi = np.array(self.psi).reshape(-1, N)
        with np.errstate(over="ignore", invalid="ignore"):
            residual = psi @ self.problem.A.T - self.problem.y
            loss = 0.5 * np.einsum("si,si->s", residual, residual)
        steps = _step_array(self.steps)
        u, v = np.array(self.u).reshape(-1, N), np.array(self.v).reshape(-1, N)
        return DescentPath(steps, psi, loss, u, v, stats, status, method, _resume=resume)


def _step_array(steps: list[int]) -> NDArray[Any]:
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


def _check_steps(n_steps: Any) -> int:
    try:
        last = operator.index(n_steps)
    except TypeError:
        raise TypeError(f"n_steps must be an integer, got {n_steps!r}") from None
    if not 0 <= last <= _LAST:
        raise ValueError(f"n_steps must be from 0 to 2**63, got {last}")
    return last


def _check_start(start: Any, problem: Problem, p: float, alpha: float) -> int:
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
    if (kept["p"], kept["alpha"]) != (p, alpha):
        raise ValueError(
            f"start must come from p = {p!r}, alpha = {alpha!r}, got a path of "
            f"p = {kept['p']!r}, alpha = {kept['alpha']!r}"
        )
    return int(kept["step"])


def _checked(save_steps: Any, first: int, last: int) -> list[int]:
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


def _default_steps(first: int, last: int) -> list[int]:
    """About ten a decade, and both ends."""
    steps, k = {first, last}, 0
    while (step := round(10.0 ** (k / _PER_DECADE))) < last:
        if step > first:
            steps.add(step)
        k += 1
    return sorted(steps)
