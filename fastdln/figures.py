"""The data of the papers' three figures, and the tables that go with them."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fastdln import datasets, functions
from fastdln._table import Table, decimal_from_log10
from fastdln.hardness import kink_constant, kink_epsilon
from fastdln.limit import flow_limit
from fastdln.problem import Problem
from fastdln.rates import ConvergenceRate, convergence_rate
from fastdln.results import Status

__all__ = [
    "DEPTHS",
    "EPS_MIN_BOUNDS",
    "KINK_DELTAS",
    "KINK_DEPTHS",
    "PUBLISHED_DECADES",
    "ConvergenceFigure",
    "Curve",
    "FunctionCurve",
    "FunctionsFigure",
    "convergence_figure",
    "functions_figure",
    "kink_constant",
    "kink_epsilon",
    "kink_figure",
]

DEPTHS = (2.0, 2.5, 3.0, 4.0)
KINK_DEPTHS = (3.0, 4.0, 5.0)
KINK_DELTAS = (0.3, 0.1, 0.03, 0.01)
PUBLISHED_DECADES = 9  # the papers' curves end at eps = 1e-9
EPS_MIN_BOUNDS = (1e-300, 1e-9)

# Figure 3 is drawn over the papers' intervals.
_FUNCTIONS: tuple[tuple[str, Callable[..., NDArray[np.float64]], float], ...] = (
    ("q", functions.potential_q, 5.0),
    ("g", functions.selector_g, 8.0),
    ("h", functions.h, 0.99),
)


@dataclass(frozen=True)
class Curve:
    """Distance of the limit to W_p along eps, for one problem and one depth.

    Everything is kept as log10: distances reach 1e-600.
    """

    problem: str
    p: float
    log10_epsilon: NDArray[np.float64]
    log10_distance: NDArray[np.float64]
    status: tuple[Status, ...]
    predicted: ConvergenceRate

    @property
    def slope(self) -> float:
        """Least-squares slope over the last third of the decades."""
        x, y = self.log10_epsilon, self.log10_distance
        last = (x <= x.min() * 2 / 3) & np.isfinite(y)
        return float(np.polyfit(x[last], y[last], 1)[0]) if last.sum() > 1 else math.nan

    def points(self) -> Iterable[tuple[float, float, str]]:
        """log10 eps, log10 distance and the name of the status, point by point."""
        names = (status.name.lower() for status in self.status)
        return zip(self.log10_epsilon.tolist(), self.log10_distance.tolist(), names, strict=True)

    @property
    def log10_constant(self) -> float:
        """log10 of distance / eps at the last eps."""
        return float(self.log10_distance[-1] - self.log10_epsilon[-1])


@dataclass(frozen=True)
class ConvergenceFigure:
    """Curves of Figure 1 or 2, their tables, and the time that computing them took."""

    curves: tuple[Curve, ...]
    summary: Table
    load_seconds: float
    published_seconds: float
    beyond_seconds: float

    @property
    def timing(self) -> str:
        """One sentence on the work done and the time that it took."""
        n_published = len(self.curves) * (PUBLISHED_DECADES + 1)
        n_beyond = sum(len(curve.log10_epsilon) for curve in self.curves) - n_published
        return (
            f"computed the {n_published} published limits in {self.published_seconds:.3f} s, "
            f"{n_beyond} below 1e-{PUBLISHED_DECADES} in {self.beyond_seconds:.3f} s "
            f"(compiled code loaded in {self.load_seconds:.2f} s)"
        )

    @property
    def doubts(self) -> Counter[Status]:
        """How many limits ended otherwise than converged, by status."""
        ends = Counter(status for curve in self.curves for status in curve.status)
        del ends[Status.CONVERGED]
        return ends

    def data(self) -> Table:
        """Every point of every curve."""
        columns = ("problem", "p", "epsilon", "distance", "log10_epsilon", "log10_distance")
        rows = [
            (curve.problem, curve.p, f"{10.0**x:.13g}", decimal_from_log10(y), x, y, status)
            for curve in self.curves
            for x, y, status in curve.points()
        ]
        return Table((*columns, "status"), rows)


@dataclass(frozen=True)
class FunctionCurve:
    """One of q_p, g_p, h_p on its interval."""

    function: str
    p: float
    x: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class FunctionsFigure:
    """Curves of Figure 3, a table of values, and the time that computing them took."""

    curves: tuple[FunctionCurve, ...]
    summary: Table
    seconds: float

    @property
    def timing(self) -> str:
        """One sentence on the time that it took."""
        return f"computed {len(self.curves)} curves in {self.seconds:.3f} s"

    def data(self) -> Table:
        """Every point of every curve."""
        return Table(
            ("function", "p", "x", "value"),
            [
                (curve.function, curve.p, x, value)
                for curve in self.curves
                for x, value in zip(curve.x.tolist(), curve.value.tolist(), strict=True)
            ],
        )


def convergence_figure(eps_min: float) -> ConvergenceFigure:
    """Figure 1: three problems, four depths, from eps = 1 down to `eps_min`."""
    problems = [datasets.line(), datasets.plane(), datasets.random()]
    curves, seconds = _curves([(problem, p) for problem in problems for p in DEPTHS], eps_min)
    summary = Table(
        ("problem", "p", "distance at 1e-9", "fitted slope", "predicted", "from"),
        [
            (
                curve.problem,
                curve.p,
                decimal_from_log10(float(curve.log10_distance[PUBLISHED_DECADES]), 5),
                curve.slope,
                curve.predicted.exponent,
                curve.predicted.reason,
            )
            for curve in curves
        ],
    )
    return ConvergenceFigure(curves, summary, *seconds)


def kink_figure(eps_min: float) -> ConvergenceFigure:
    """Figure 2: the family A = (1, 1 - delta), y = 1, whose rate sets in at a kink."""
    cases = [(datasets.kink(delta), p) for p, delta in product(KINK_DEPTHS, KINK_DELTAS)]
    curves, seconds = _curves(cases, eps_min)
    columns = ("p", "delta", "fitted slope", "predicted", "constant", "predicted", "off by")
    rows = []
    for (p, delta), curve in zip(product(KINK_DEPTHS, KINK_DELTAS), curves, strict=True):
        constant, predicted = 10.0**curve.log10_constant, kink_constant(delta, p)
        slopes = (curve.slope, curve.predicted.exponent)
        off = constant / predicted - 1.0
        rows.append((p, delta, *slopes, constant, predicted, off, kink_epsilon(delta, p)))
    return ConvergenceFigure(curves, Table((*columns, "kink at"), rows), *seconds)


def functions_figure(n_points: int = 501) -> FunctionsFigure:
    """Figure 3: the functions q_p, g_p and h_p."""
    start = time.perf_counter()
    curves = []
    for name, function, bound in _FUNCTIONS:
        x = np.linspace(-bound, bound, n_points)
        curves += [FunctionCurve(name, p, x, np.asarray(function(x, p))) for p in DEPTHS]
    at = {"q": 1.0, "g": 1.0, "h": 0.5}
    rows = [
        (p, *(float(function(np.float64(at[name]), p)) for name, function, _ in _FUNCTIONS))
        for p in DEPTHS
    ]
    seconds = time.perf_counter() - start
    summary = Table(("p", "q_p(1)", "g_p(1)", "h_p(1/2)"), rows)
    return FunctionsFigure(tuple(curves), summary, seconds)


def _grids(eps_min: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """log10 of eps: the published decades, and every third decade from there to `eps_min`."""
    low, high = EPS_MIN_BOUNDS
    if not low <= eps_min <= high:
        raise ValueError(f"eps_min: {eps_min:g} given, a number from {low:g} to {high:g} needed")
    last = math.log10(eps_min)
    beyond = np.arange(-PUBLISHED_DECADES - 3.0, last, -3.0)
    if last < -PUBLISHED_DECADES:
        beyond = np.append(beyond[beyond > last + 1e-9], last)
    return np.arange(0.0, -PUBLISHED_DECADES - 1.0, -1.0), beyond


def _curves(
    cases: Sequence[tuple[Problem, float]], eps_min: float
) -> tuple[tuple[Curve, ...], tuple[float, float, float]]:
    """All curves, and the seconds for: loading the code, the published part, the rest."""
    published, beyond = _grids(eps_min)
    clock = [time.perf_counter()]
    for problem in (datasets.line(), datasets.kink(0.5)):  # compiled code is loaded here,
        for p in (2.0, 3.0):  # so that the times below are of work
            _distances(problem, p, published[:2])
    clock.append(time.perf_counter())
    parts = [[_distances(problem, p, published) for problem, p in cases]]
    clock.append(time.perf_counter())
    parts.append([_distances(problem, p, beyond) for problem, p in cases])
    clock.append(time.perf_counter())
    seconds = (clock[1] - clock[0], clock[2] - clock[1], clock[3] - clock[2])

    grid = np.concatenate([published, beyond])
    curves = []
    for (problem, p), (d1, s1), (d2, s2) in zip(cases, *parts, strict=True):
        rate = convergence_rate(problem, p)
        curves.append(Curve(problem.name, p, grid, np.concatenate([d1, d2]), s1 + s2, rate))
    return tuple(curves), seconds


def _distances(
    problem: Problem, p: float, log10_epsilon: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[Status, ...]]:
    """log10 ||psi - W_p||_2 at the given log10 eps, and what became of each limit."""
    if log10_epsilon.size == 0:
        return np.empty(0), ()
    limit = flow_limit(problem, p, log_alpha=log10_epsilon * (math.log(10.0) / p))
    log_distance = np.asarray(limit.log_deviation_norm)
    return log_distance / math.log(10.0), tuple(np.atleast_1d(np.asarray(limit.status)))
