"""Figure 2's family A = (1, 1 - delta), y = 1: where the rate sets in, for all delta at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import datasets
from fastdln._table import Table
from fastdln.experiments import Experiment
from fastdln.hardness import kink_constant, kink_epsilon, kink_profile
from fastdln.limit import flow_limit

__all__ = ["kink"]

Array = NDArray[np.float64]

DEPTHS = (3.0, 4.0, 5.0)
TIES = (0.3, 0.1, 0.01, 0.001)
_LN10 = math.log(10.0)


class _Curve(NamedTuple):
    p: float
    delta: float
    log10_eps: Array
    log10_distance: Array

    @property
    def log10_ratio(self) -> Array:
        """log10 of eps / delta^(p / (p - 2))."""
        return self.log10_eps - math.log10(kink_epsilon(self.delta, self.p))


def kink(
    depths: Sequence[float] = DEPTHS, ties: Sequence[float] = TIES, points: int = 73
) -> Experiment:
    """Distance to (1, 0) over eps / delta^(p / (p - 2)), against the limit curve of small delta."""
    curves = [_curve(p, delta, points) for p in depths for delta in ties]
    rows = [
        (c.p, c.delta, x, y, math.log10(float(kink_profile(10.0**r, c.p))))
        for c in curves
        for x, y, r in zip(
            c.log10_eps.tolist(), c.log10_distance.tolist(), c.log10_ratio.tolist(), strict=True
        )
    ]
    note = (
        "kink: the eps at which the local slope passes through 1/2; predicted from the limit of "
        "small delta, in proportion to delta^(p/(p-2)). constant: distance / eps at the last eps."
    )
    columns = ("p", "delta", "kink at eps", "predicted", "ratio", "constant", "predicted", "ratio")
    return Experiment(
        "kink",
        Table(("p", "delta", "log10_eps", "log10_distance", "log10_profile"), rows),
        Table(columns, [_row(curve) for curve in curves]),
        note,
        lambda: _draw(curves, depths, ties),
    )


def _curve(p: float, delta: float, points: int) -> _Curve:
    log10_eps = np.linspace(5.0, -13.0, points) + math.log10(kink_epsilon(delta, p))
    log10_eps = log10_eps[log10_eps <= 1.0]
    limit = flow_limit(datasets.kink(delta), p, log_alpha=log10_eps * (_LN10 / p))
    return _Curve(p, delta, log10_eps, np.asarray(limit.log_deviation_norm) / _LN10)


def _half_slope(x: Array, y: Array) -> float:
    """Where the slope of y(x), rising from 0 at large x to 1 at small, is 1/2: interpolated."""
    slope, middle = np.diff(y) / np.diff(x), 0.5 * (x[1:] + x[:-1])
    k = int(np.flatnonzero(slope >= 0.5)[0])
    if k == 0:
        return math.nan
    part = (0.5 - slope[k - 1]) / (slope[k] - slope[k - 1])
    return float(middle[k - 1] + part * (middle[k] - middle[k - 1]))


def _row(curve: _Curve) -> tuple[float, ...]:
    ratio = curve.log10_ratio
    found = _half_slope(curve.log10_eps, curve.log10_distance)
    expected = _half_slope(ratio, np.log10(kink_profile(10.0**ratio, curve.p)))
    expected += math.log10(kink_epsilon(curve.delta, curve.p))
    constant = 10.0 ** float(curve.log10_distance[-1] - curve.log10_eps[-1])
    predicted = kink_constant(curve.delta, curve.p)
    return (curve.p, curve.delta, 10.0**found, 10.0**expected, 10.0 ** (found - expected),
            constant, predicted, constant / predicted)  # fmt: skip


def _draw(curves: Sequence[_Curve], depths: Sequence[float], ties: Sequence[float]) -> Any:
    from fastdln.experiments_drawing import THEORY, canvas, legend_below, measured

    with canvas(2, len(depths), 12.0, 7.0, sharey="row") as (picture, grid):
        for p, (top, bottom) in zip(depths, grid.T, strict=True):
            ratio = np.linspace(-13.0, 5.0, 400)
            profile = np.log10(kink_profile(10.0**ratio, p))
            label = r"theory: limit curve of $\delta \to 0$"
            bottom.plot(ratio, profile, label=label, **dict(THEORY, linewidth=4.0, alpha=0.6))
            for k, delta in enumerate(ties):
                (curve,) = (c for c in curves if c.p == p and c.delta == delta)
                shift = math.log10(kink_epsilon(delta, p))
                top.plot(ratio + shift, profile, **dict(THEORY, linewidth=4.0, alpha=0.6))
                top.axvline(shift, color=measured(k)["color"], linewidth=0.5, linestyle=":")
                style = dict(measured(k), markevery=(2 * k, 8))
                label = rf"measured, $\delta = {delta:g}$"
                top.plot(curve.log10_eps, curve.log10_distance, **style)
                bottom.plot(curve.log10_ratio, curve.log10_distance, label=label, **style)
            top.set_title(f"$p = {p:g}$")
            top.set_xlim(-16.0, 1.0)
            top.set_xlabel(r"$\log_{10}\varepsilon$  (dotted: $\delta^{p/(p-2)}$)")
            bottom.set_xlabel(r"$\log_{10}\,(\varepsilon\, /\, \delta^{p/(p-2)})$")
            bottom.set_xlim(-8.0, 5.0)
            for axes in (top, bottom):
                axes.set_ylim(-8.5, 0.5)
                axes.set_ylabel(
                    r"$\log_{10}$ of the distance to $(1, 0)$" if p == depths[0] else ""
                )
        legend_below(picture, [grid[1, 0]], len(ties) + 1)
    return picture
