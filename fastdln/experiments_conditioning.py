"""Fixed alpha: null space constants swept towards 1, and A from well to badly conditioned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import datasets
from fastdln._table import Table
from fastdln.experiments import Experiment
from fastdln.limit import flow_limit
from fastdln.null_space import null_space_constants
from fastdln.problem import Problem
from fastdln.rates import convergence_rate

__all__ = ["conditioning"]

Array = NDArray[np.float64]

DEPTHS = (2.0, 2.5, 3.0, 4.0)
_ALPHA = 1e-3


class _Point(NamedTuple):
    sweep: str
    value: float
    p: float
    rho: float
    rho_tilde: float
    condition: float
    distance: float
    predicted: float
    bound: float


class _Sweep(NamedTuple):
    name: str
    label: str
    values: Array
    problem: Callable[[float], Problem]


def conditioning(depths: Sequence[float] = DEPTHS, points: int = 13) -> Experiment:
    """Distance to W_p at one alpha: in rho, in the condition of the rows, of the support."""
    sweeps = [
        _Sweep("rho", r"$1 - \varrho$", np.logspace(0.0, -4.0, points)[1:], datasets.kink),
        _Sweep("rows", "condition of $A$, same kernel", 2.0 ** np.linspace(0, 20, points).round(),
               _sheared),
        _Sweep("support", r"condition of $A_S$, same $\varrho$", np.logspace(0, 6, points),
               _nearly_parallel),
    ]  # fmt: skip
    found = [_measure(s.name, v, s.problem(v), p) for s in sweeps for v in s.values.tolist()
             for p in depths]  # fmt: skip
    summary = [_row(sweep.name, p, found) for sweep in sweeps for p in depths]
    note = (
        f"alpha = {_ALPHA:g}. From the first to the last value of each sweep; worst: largest "
        "distance / bound, at most 1. Rows: the flow's limit depends on ker A alone, so the "
        "condition of A has no influence; that of the support has, through rho_tilde."
    )
    columns = ("sweep", "p", "distance, first", "predicted", "distance, last", "predicted",
               "bound, last", "worst")  # fmt: skip
    return Experiment(
        "conditioning",
        Table(_Point._fields, found),
        Table(columns, summary),
        note,
        lambda: _draw(sweeps, found, depths),
    )


def _sheared(t: float) -> Problem:
    """The published random problem with t times one row added to another, without rounding."""
    A = np.round(datasets.random().A * 1024.0)
    y = A @ np.array([0.0, 3.0, 0.0, 5.0, 2.0])
    A[0] += t * A[1]
    y[0] += t * y[1]
    return Problem(A / 1024.0, y / 1024.0)


def _nearly_parallel(t: float) -> Problem:
    """Two support columns at an angle of about 1/t; rho = 0.3 whatever t is."""
    A = [[1.0, 1.0, 0.3, -0.2], [0.0, 1.0 / t, 0.5, 0.6]]
    return Problem(A, [2.0, 1.0 / t])


def _measure(sweep: str, value: float, problem: Problem, p: float) -> _Point:
    rate = convergence_rate(problem, p)
    constants = null_space_constants(problem)
    distance = float(flow_limit(problem, p, alpha=_ALPHA).deviation_norm)
    on = rate.minimizer.support if sweep == "support" else slice(None)
    condition = float(np.linalg.cond(problem.A[:, on]))
    return _Point(sweep, value, p, constants.rho, constants.rho_tilde, condition, distance,
                  float(rate.predict(_ALPHA)), float(rate.bound(_ALPHA)))  # fmt: skip


def _row(sweep: str, p: float, found: Sequence[_Point]) -> tuple[Any, ...]:
    points = [point for point in found if (point.sweep, point.p) == (sweep, p)]
    first, last = points[0], points[-1]
    worst = max(point.distance / point.bound for point in points)
    return (sweep, p, first.distance, first.predicted, last.distance, last.predicted, last.bound,
            worst)  # fmt: skip


def _draw(sweeps: Sequence[_Sweep], found: Sequence[_Point], depths: Sequence[float]) -> Any:
    from fastdln.experiments_drawing import THEORY, canvas, legend_below, measured

    with canvas(1, len(sweeps), 13.0, 4.8) as (picture, (panels,)):
        for axes, sweep in zip(panels, sweeps, strict=True):
            for k, p in enumerate(depths):
                points = [q for q in found if (q.sweep, q.p) == (sweep.name, p)]
                x = [1.0 - q.rho if sweep.name == "rho" else q.condition for q in points]
                first = k == 0
                axes.loglog(x, [min(q.predicted, 30.0) for q in points],
                            label="theory: leading term" if first else None,
                            **dict(THEORY, linewidth=4.0, alpha=0.6))  # fmt: skip
                axes.loglog(
                    x,
                    [q.bound for q in points],
                    ":",
                    color=measured(k)["color"],
                    linewidth=0.9,
                    label="theory: upper bound" if first else None,
                )
                axes.loglog(x, [q.distance for q in points], label=f"$p = {p:g}$, measured",
                            **dict(measured(k), linestyle="none"))  # fmt: skip
            axes.set_xlabel(sweep.label)
        panels[0].invert_xaxis()
        panels[0].set_ylabel(rf"distance to $W_p$ at $\alpha = {_ALPHA:g}$")
        for axes, title in zip(
            panels, (r"$\varrho \to 1$", "rows nearly dependent", "support nearly dependent"),
            strict=True,
        ):  # fmt: skip
            axes.set_title(title)
            axes.set_ylim(1e-13, 10.0)
        legend_below(picture, panels, len(depths) + 2)
    return picture
