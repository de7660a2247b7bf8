"""Gradient descent on the weights of a diagonal linear network."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._check import check_count, check_depth, whole
from fastdln._descent_run import Run, carry_out
from fastdln.descent_path import DescentPath
from fastdln.problem import Problem, check_problem

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
        likely to be faster than "compensated". An A that is used through its products takes
        "plain" steps only, and reads A once a step.
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
    method = _check_method(method, problem, many, batch_size, last, start)
    drawn = _check_rows(problem, method, many, batch_size, rng, start)
    given = Run(
        *(problem, p, alphas.tolist(), step_sizes.tolist(), steps, last, method, start),
        *(rtol, drawn, many),
    )
    return carry_out(given)


def _check_method(
    method: str, problem: Problem, many: bool, batch_size: Any, last: float,
    start: DescentPath | None,
) -> str:  # fmt: skip
    """The method itself in place of "auto", if it can do what is asked for."""
    if method == "auto" and (batch_size is not None or problem.large):
        method = "plain"
    if problem.large and (method != "plain" or many or batch_size is not None):
        what = "arrays of configurations" if many else f"method {method!r}"
        raise ValueError(
            "an A that is used through its products needs method 'plain' and one configuration, "
            f"got {what if batch_size is None else 'batch_size'}: raise memory_budget for others"
        )
    if method == "auto":
        method = _choice(problem, last) if start is None else start.method
    if start is not None and start.method != method:
        raise ValueError(f"start must come from method {method!r}, got one of {start.method!r}")
    if last == math.inf and method != "leap":
        raise ValueError(f"n_steps must be finite for method {method!r}, got inf")
    return method


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
        last = whole(n_steps)
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
    if problem.large and (other.A is not problem.A or not np.array_equal(other.y, problem.y)):
        raise ValueError("start must come from the same problem, got a path of another one")
    if (
        not problem.large
        and other is not problem
        and not (np.array_equal(other.dense, problem.dense) and np.array_equal(other.y, problem.y))
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
