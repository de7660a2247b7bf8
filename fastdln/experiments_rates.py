"""How fast the limit tends to the l1 minimiser: measured slopes and constants beside theory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import datasets
from fastdln._table import Table
from fastdln.experiments import Experiment
from fastdln.limit import flow_limit
from fastdln.problem import Problem
from fastdln.rates import ConvergenceRate, convergence_rate

__all__ = ["rates"]

Array = NDArray[np.float64]

DEPTHS = (2.0, 2.5, 3.0, 4.0)
_LN10 = math.log(10.0)


class _Curve(NamedTuple):
    problem: str
    rate: ConvergenceRate
    log10_eps: Array
    log10_distance: Array
    log10_predicted: Array

    @property
    def slope(self) -> Array:
        """Slope between neighbouring points."""
        return np.diff(self.log10_distance) / np.diff(self.log10_eps)


def rates(depths: Sequence[float] = DEPTHS, decades: int = 30) -> Experiment:
    """Distance to W_p from eps = 1 to ``10**-decades``, against ``constant * eps**exponent``."""
    gaussian = datasets.gaussian(12, 40, 3, rng=2).problem
    problems = [datasets.line(), datasets.plane(), datasets.random(), gaussian]
    log10_eps = np.arange(0.0, -decades - 1.0, -1.0)
    curves = [_curve(problem, p, log10_eps) for problem in problems for p in depths]
    data = Table(
        ("problem", "p", "log10_eps", "log10_distance", "log10_predicted"),
        [
            (c.problem, c.rate.p, *row)
            for c in curves
            for row in zip(*(v.tolist() for v in c[2:]), strict=True)
        ],
    )
    columns = ("problem", "p", "slope", "predicted", "constant", "predicted", "off by", "from")
    summary = Table(columns, [_row(curve) for curve in curves])
    note = (
        "slope: between the last two eps. constant: distance / eps^predicted slope at the last. "
        "At p = 2 what is left vanishes like a power of eps that can be small."
    )
    return Experiment("rates", data, summary, note, lambda: _draw(curves, depths))


def _curve(problem: Problem, p: float, log10_eps: Array) -> _Curve:
    rate = convergence_rate(problem, p)
    log_alpha = log10_eps * (_LN10 / p)
    distance = np.asarray(flow_limit(problem, p, log_alpha=log_alpha).log_deviation_norm)
    predicted = np.asarray(rate.log_predict(log_alpha=log_alpha))
    return _Curve(problem.name or "", rate, log10_eps, distance / _LN10, predicted / _LN10)


def _row(curve: _Curve) -> tuple[Any, ...]:
    rate = curve.rate
    constant = 10.0 ** float(curve.log10_distance[-1] - rate.exponent * curve.log10_eps[-1])
    off = constant / rate.constant - 1.0
    slope = float(curve.slope[-1])
    return (curve.problem, rate.p, slope, rate.exponent, constant, rate.constant, off, rate.reason)


def _draw(curves: Sequence[_Curve], depths: Sequence[float]) -> Any:
    from fastdln.experiments_drawing import THEORY, canvas, legend_below, measured

    names = list(dict.fromkeys(curve.problem for curve in curves))
    with canvas(2, len(names), 13.0, 6.6, sharex=True) as (picture, grid):
        for name, (top, bottom) in zip(names, grid.T, strict=True):
            for k, curve in enumerate(c for c in curves if c.problem == name):
                label = f"$p = {curve.rate.p:g}$, measured"
                style = dict(measured(k), markevery=(2 * k, 8))
                below = curve.log10_predicted < 1.0
                theory = "theory: leading term, its exponent" if k == len(depths) - 1 else None
                x, y = curve.log10_eps[below], curve.log10_predicted[below]
                top.plot(x, y, label=theory, **dict(THEORY, linewidth=2.6))
                top.plot(curve.log10_eps, curve.log10_distance, label=label, **style)
                middle = 0.5 * (curve.log10_eps[1:] + curve.log10_eps[:-1])
                bottom.axhline(curve.rate.exponent, **dict(THEORY, linewidth=2.6))
                bottom.plot(middle, curve.slope, **style)
            top.set_title(name)
            bottom.set_xlabel(r"$\log_{10}\varepsilon$, $\varepsilon = \alpha^p$")
            bottom.set_ylim(0.0, max(1.2, 1.15 * max(c.rate.exponent for c in curves
                                                     if c.problem == name)))  # fmt: skip
        grid[0, 0].set_ylabel(r"$\log_{10}$ of the distance to $W_p$")
        grid[1, 0].set_ylabel("local slope")
        legend_below(picture, [grid[0, 0]], len(depths) + 1)
    return picture
