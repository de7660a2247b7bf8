"""Gradient flow in time: psi(t) from the plateau at the start to convergence."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._check import (
    check_choice,
    check_count,
    check_depth,
    check_initialisation,
    check_times,
    check_tolerance,
)
from fastdln._flow_engine import EXPLICIT, observed
from fastdln._flow_events import Activation, ResidualBelow, check_events
from fastdln._flow_products import check_plan, run_by_pieces
from fastdln._flow_run import Plan, Trajectory, noisy, run
from fastdln._interrupt import heard_between_pieces
from fastdln._threads import run_all
from fastdln.kernels.flow_rhs import DUAL, WEIGHTS
from fastdln.problem import Problem, check_problem
from fastdln.results import FlowPath, FlowStats, Status

__all__ = ["Activation", "FlowInterrupted", "ResidualBelow", "gradient_flow", "gradient_flows"]

Array = NDArray[np.float64]

METHODS = ("auto", "tsit5", "dop853", "radau")
FORMS = {"dual": DUAL, "weights": WEIGHTS}


class FlowInterrupted(KeyboardInterrupt):
    """Ctrl-C during `gradient_flow` or `gradient_flows`; what was computed until then is kept.

    Parameters
    ----------
    paths : sequence of FlowPath
        The flows, complete or up to the interrupt (see their status).

    Examples
    --------
    >>> import fastdln as fd
    >>> try:
    ...     path = fd.gradient_flow(fd.datasets.line(), 3, 0.1, t=[1.0, 10.0])
    ... except fd.FlowInterrupted as interrupt:
    ...     path = interrupt.paths[0]
    """

    def __init__(self, paths: Sequence[FlowPath]) -> None:
        super().__init__(Status.INTERRUPTED.value)
        self.paths = tuple(paths)


def gradient_flow(
    problem: Problem,
    p: float,
    alpha: float | None = None,
    t: ArrayLike | None = None,
    *,
    log_alpha: float | None = None,
    method: str = "auto",
    form: str = "dual",
    rtol: float = 1e-8,
    events: Sequence[Any] = (),
    max_steps: int = 1_000_000,
    progress: bool | Callable[[float, int], None] = False,
) -> FlowPath:
    """Gradient flow from initialisation alpha, psi(t) at the times t.

    u' = -p u^(p-1) g, v' = p v^(p-1) g with g = A^T (A psi - y), psi = u^p - v^p, from
    u = v = alpha (arXiv 2307.07410, section 2). In every coordinate psi is a function of
    tau = A^T lambda alone, so that m numbers are integrated instead of 2 N:
    lambda' = c (y - A psi), psi = eps h_p(tau), eps = alpha^p.

    Parameters
    ----------
    problem : Problem
        A and y. An A that is read in pieces (`Problem`) takes times t, method "radau" and
        no events; it reads A some ten times a step.
    p : float
        Depth, at least 2, not necessarily an integer.
    alpha : float, optional
        Initialisation, positive.
    t : float or array_like, shape (T,), optional
        Times, increasing; the last may be infinite: then it is joined to `flow_limit` as
        soon as the rest is inside the tolerance. None: every step until then.
    log_alpha : float, optional
        Natural logarithm of alpha instead, for alphas that underflow.
    method : {"auto", "tsit5", "dop853", "radau"}, optional
        Explicit methods of order 5 and 8; Radau collocation in the slacks, for stiff flows
        and any alpha. "auto" takes Radau at once where alpha is tiny or m small beside N,
        and else starts with an explicit one and changes to Radau where stability, not
        accuracy, limits its steps.
    form : {"dual", "weights"}, optional
        Integrate lambda, or the weights as the papers write them: slower, and an
        independent check.
    rtol : float, optional
        Tolerance for each coordinate, relative to abs(psi) + eps.
    events : sequence of Activation, ResidualBelow or callable, optional
        What to look out for. A callable ``g(t, psi)``, compiled by numba or not, is an event
        where its sign changes.
    max_steps : int, optional
        Limit on the steps, the rejected ones included.
    progress : bool or callable, optional
        Called as ``progress(t, steps)`` now and then; True writes to standard error.

    Returns
    -------
    FlowPath
        psi, weights, dual and loss at the times; events, dense output, statistics.

    Raises
    ------
    TypeError, ValueError
        If t is not increasing, negative or NaN, rtol below 1e-14, the method unknown or
        unfit for p and alpha, or an event fails.
    FlowInterrupted
        On Ctrl-C, with the path so far.

    Examples
    --------
    >>> import fastdln as fd
    >>> path = fd.gradient_flow(fd.datasets.line(), p=2, alpha=1e-4, t=[0.1, 1.0, 10.0])
    >>> path.psi.round(6)
    array([[1.000000e-06, 0.000000e+00, 0.000000e+00],
           [1.199240e+00, 8.600000e-05, 2.070000e-03],
           [6.539650e-01, 1.307930e+00, 1.038105e+00]])
    """
    plan = _plan(
        problem, p, alpha, t, log_alpha, method, form, rtol, events, max_steps, progress
    )  # fmt: skip
    path = _integrate(problem, plan)
    if plan.stop.is_set():
        raise FlowInterrupted([path])
    return path


def gradient_flows(
    problem: Problem | Sequence[Problem],
    p: ArrayLike,
    alpha: ArrayLike | None = None,
    t: ArrayLike | None = None,
    *,
    y: ArrayLike | None = None,
    log_alpha: ArrayLike | None = None,
    **options: Any,
) -> tuple[FlowPath, ...]:
    """Many flows at once, on all cores: the same numbers as one by one.

    Parameters
    ----------
    problem : Problem or sequence of Problem, length B
        One for all flows, or one for each.
    p : float or array_like, shape (B,)
        Depths, likewise.
    alpha : float or array_like, shape (B,), optional
        Initialisations, likewise.
    t : float or array_like, shape (T,), optional
        Times, the same for all.
    y : array_like, shape (B, m), optional
        Right-hand sides to take in place of those of the problems.
    log_alpha : float or array_like, shape (B,), optional
        Natural logarithms of alpha instead.
    **options
        Further arguments of `gradient_flow`.

    Returns
    -------
    tuple of FlowPath
        In the order of the arguments.

    Raises
    ------
    TypeError, ValueError
        As `gradient_flow`, or if lengths differ.

    Examples
    --------
    >>> import fastdln as fd
    >>> paths = fd.gradient_flows(fd.datasets.line(), 3, [0.1, 0.01], t=[1.0, 10.0])
    >>> [path.psi.shape for path in paths]
    [(2, 3), (2, 3)]
    """
    columns = _broadcast(problem, p, alpha, log_alpha, y)
    options, stop = _defaults(options), threading.Event()
    plans = [(q, _plan(q, d, a, t, l, **options)._replace(stop=stop)) for q, d, a, l in columns]
    with heard_between_pieces(stop):  # between two flows, too
        paths = run_all(lambda item: _integrate(*item), plans, stop.set)
    if stop.is_set():
        raise FlowInterrupted(paths)
    return tuple(paths)


def _defaults(options: dict[str, Any]) -> dict[str, Any]:
    known = {
        "method": "auto", "form": "dual", "rtol": 1e-8, "events": (), "max_steps": 1_000_000,
        "progress": False,
    }  # fmt: skip
    for name in options:
        if name not in known:
            raise TypeError(f"gradient_flows has no argument {name!r}; it has {', '.join(known)}")
    return {**known, **options}


def _broadcast(problem: Any, p: Any, alpha: Any, log_alpha: Any, y: Any) -> list[Any]:
    """One row of (problem, p, alpha, log_alpha) for each flow."""
    columns: dict[str, list[Any]] = {
        "problem": [problem] if isinstance(problem, Problem) else list(problem),
        "p": np.ravel(p).tolist(),
        "alpha": [None] if alpha is None else np.ravel(alpha).tolist(),
        "log_alpha": [None] if log_alpha is None else np.ravel(log_alpha).tolist(),
        "y": [None] if y is None else list(np.atleast_2d(np.asarray(y))),
    }
    size = max(len(column) for column in columns.values())
    for name, column in columns.items():
        if len(column) not in (1, size):
            raise ValueError(f"{name} must have length 1 or {size}, got {len(column)}")
        columns[name] = column * (size // len(column))
    problems = [
        q if row is None else Problem(check_problem(q).A, row, name=q.name)
        for q, row in zip(columns["problem"], columns["y"], strict=True)
    ]
    rest = (columns[name] for name in ("p", "alpha", "log_alpha"))
    return list(zip(problems, *rest, strict=True))


def _plan(
    problem: Any, p: Any, alpha: Any, t: Any, log_alpha: Any, method: Any, form: Any, rtol: Any,
    events: Any, max_steps: Any, progress: Any,
) -> Plan:  # fmt: skip
    """Check everything before any work."""
    check_problem(problem)
    depth = check_depth(p)
    if check_initialisation(alpha, log_alpha).ndim != 0:
        raise TypeError("alpha must be a number; gradient_flows takes arrays of them")
    size = math.log(float(alpha)) if alpha is not None else float(log_alpha)
    times = None if t is None else check_times(t)
    check_choice("method", method, METHODS)
    check_choice("form", form, tuple(FORMS))
    tolerance = check_tolerance(rtol)
    if form == "weights" and method == "radau":
        raise ValueError("form must be 'dual' for method 'radau', got 'weights'")
    if method in EXPLICIT and form == "dual" and noisy(depth, size, tolerance):
        raise ValueError(
            f"method {method!r} needs rtol * alpha**(p - 2) >= 1e-15, got {tolerance:g} * "
            f"exp({(depth - 2.0) * size:.6g}); 'radau' does not"
        )
    plan = Plan(
        problem=_full_rank(problem), p=depth, log_alpha=size, method=method, form=FORMS[form],
        rtol=tolerance, times=times, events=check_events(events),
        max_steps=check_count("max_steps", max_steps, 1), progress=_progress(progress), keep=False,
        stop=threading.Event(),
    )  # fmt: skip
    if problem.large:
        check_plan(problem, plan)
    return plan


def _full_rank(problem: Problem) -> Problem:
    """The problem of full row rank with the same flow; with A = 0 any will do."""
    if problem.large:  # its rank plays no part
        return problem
    return problem.reduced if problem.rank > 0 else Problem(problem.dense[:1], np.zeros(1))


def _progress(progress: Any) -> Callable[[float, int], None] | None:
    if progress is True:
        return lambda t, steps: print(f"fastdln: t = {t:.6g}, {steps} steps", file=sys.stderr)
    if not progress:
        return None
    if not callable(progress):
        raise TypeError(f"progress must be True, False or a function, got {progress!r}")
    return progress


def _integrate(problem: Problem, plan: Plan) -> FlowPath:
    if plan.problem.large:
        return _wrap(problem, plan, run_by_pieces(plan.problem, plan))
    with np.errstate(over="ignore", invalid="ignore"):  # it ends in a status
        pull = plan.problem.dense.T @ plan.problem.y
    if not np.any(pull):
        return _wrap(problem, plan, _rest_at_zero(plan))
    return _wrap(problem, plan, run(plan))


def _rest_at_zero(plan: Plan) -> Trajectory:
    """A^T y = 0: nothing moves."""
    times = plan.times if plan.times is not None else np.array([0.0, math.inf])
    (m, N), T = plan.problem.dense.shape, times.size
    u = np.full((T, N), math.exp(plan.log_alpha))
    zero = np.zeros((T, N))
    seen = observed(zero, np.zeros((T, m)), u, u.copy(), np.zeros(T))
    stats = FlowStats(0, 0, 0, 0, (), 0.0)
    return Trajectory(times, seen, (), stats, Status.INTEGRATED, [])


def _wrap(problem: Problem, plan: Plan, out: Trajectory) -> FlowPath:
    """The public result, in the units of the problem that was given."""
    dual, unsolved = out.seen.dual, 0.0
    if plan.problem is not problem:
        if problem.rank > 0:
            U = problem._svd[0]
            outside = problem.y - U @ (U.T @ problem.y)
            dual, unsolved = dual @ U.T, 0.5 * float(outside @ outside)
        else:
            dual = np.zeros((out.t.size, problem.m))
            unsolved = 0.5 * float(problem.y @ problem.y)
    return FlowPath(
        t=out.t, psi=out.seen.psi, dual=dual,
        events=out.events, log_eps=plan.p * plan.log_alpha, stats=out.stats, status=out.status,
        _losses=lambda: out.seen.losses() + unsolved, _weights=out.seen.weights,
        _sol=lambda: _dense(plan, float(out.t[-1]) if out.t.size else 0.0),
    )  # fmt: skip


def _integrated_anew(plan: Plan, end: float) -> Callable[[Any], Array]:
    """The same where A is read in pieces: every call integrates again, to its times."""

    def sol(t: Any) -> Array:
        wanted = np.atleast_1d(np.asarray(t, dtype=float))
        if np.any(~((wanted >= 0.0) & (wanted <= end))):
            raise ValueError(f"t must lie within 0 ... {end}, got {t!r}")
        times, place = np.unique(wanted, return_inverse=True)
        out = run_by_pieces(plan.problem, plan._replace(times=times, progress=None)).seen.psi[place]
        return out[0] if np.ndim(t) == 0 else out

    return sol


def _dense(plan: Plan, end: float) -> Callable[[Any], Array]:
    """psi as a function of t in [0, end]."""
    if plan.problem.large:
        return _integrated_anew(plan, end)
    times = plan.times if plan.times is not None else np.array([end])
    again = run(plan._replace(keep=True, times=times, events=(), progress=None))
    if plan.stop.is_set():
        raise KeyboardInterrupt
    segments, last = again.segments, again.seen.psi[-1]
    ends = np.array([part.times[-1] for part in segments])

    def sol(t: Any) -> Array:
        wanted = np.atleast_1d(np.asarray(t, dtype=float))
        if np.any(~((wanted >= 0.0) & (wanted <= end))):
            raise ValueError(f"t must lie within 0 ... {end}, got {t!r}")
        out = np.tile(last, (wanted.size, 1))
        which = np.searchsorted(ends, wanted)
        for k in np.unique(which[which < ends.size]).tolist():
            mine = np.flatnonzero(which == k)
            mine = mine[np.argsort(wanted[mine], kind="stable")]
            out[mine] = segments[k].observe(wanted[mine]).psi
        return out[0] if np.ndim(t) == 0 else out

    return sol
