"""What step sizes do: descent against flow, and the minimiser that large steps choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln import datasets
from fastdln._table import Table
from fastdln.descent import gradient_descent
from fastdln.limit import flow_limit
from fastdln.minimizer import l1_minimizer
from fastdln.problem import Problem
from fastdln.step_size import max_stable_step

__all__ = ["Discretization", "Edge", "discretization", "draw_discretization", "draw_edge", "edge"]

Array = NDArray[np.float64]

_STEPS_AT_THE_EDGE = 400_000


@dataclass(frozen=True)
class Discretization:
    """Distance between the limits of descent and flow, one row per depth and step size.

    Attributes
    ----------
    p : ndarray, shape (R,)
        Depth.
    step_size : ndarray, shape (R,)
        Step size.
    distance : ndarray, shape (R,)
        ||limit of the iterates - limit of the flow||_2.
    error : ndarray, shape (R,)
        What the two limits may be wrong by, in the same norm.
    """

    p: Array
    step_size: Array
    distance: Array
    error: Array

    def slope(self, p: float) -> float:
        """Least-squares slope of log distance against log step size, over the smaller half."""
        rows = np.flatnonzero(self.p == p)
        rows = rows[np.argsort(self.step_size[rows])][: max(2, (len(rows) + 1) // 2)]
        return float(np.polyfit(np.log(self.step_size[rows]), np.log(self.distance[rows]), 1)[0])

    def table(self) -> Table:
        """All rows."""
        columns = ("p", "step size", "distance", "error")
        rows = np.column_stack([self.p, self.step_size, self.distance, self.error])
        return Table(columns, [tuple(row) for row in rows.tolist()])


def discretization(
    problem: Problem | None = None,
    depths: Sequence[float] = (2.0, 3.0, 4.0),
    alpha: float = 0.2,
    fractions: Sequence[float] = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4),
) -> Discretization:
    """Distance between the limits of descent and flow, against the step size.

    Parameters
    ----------
    problem : Problem, optional
        The published problem "random" without it.
    depths : sequence of float
        Depths p.
    alpha : float
        Initialisation.
    fractions : sequence of float
        Step sizes, in units of `max_stable_step`.

    Returns
    -------
    Discretization
        One row per depth and step size; distances fall in proportion to the step size.
    """
    problem = datasets.random() if problem is None else problem
    rows = []
    for p in depths:
        flow, unit = flow_limit(problem, p, alpha), max_stable_step(problem, p, alpha)
        size = float(np.linalg.norm(flow.psi))
        for fraction in fractions:
            eta = fraction * unit
            path = gradient_descent(problem, p, alpha, eta, math.inf, method="leap", rtol=1e-11)
            distance = float(np.linalg.norm(path.psi[-1] - flow.psi))
            rows.append((p, eta, distance, (float(path.error_bound) + 1e-13) * size))
    return Discretization(*np.array(rows, dtype=float).T)


@dataclass(frozen=True)
class Edge:
    """What large steps do to the minimiser chosen at p = 2, one row per step size.

    Attributes
    ----------
    fraction : ndarray, shape (R,)
        Step size in units of `max_stable_step`.
    psi : ndarray, shape (R, N)
        Where descent ends; NaN where it does not.
    gain : ndarray, shape (R, N)
        log(u v / alpha^2), which is sum log(1 - 4 eta^2 g_i^2): 0 for the flow.
    shift : ndarray, shape (R, N)
        The part of log(u/v) outside the row space of A: 0 for the flow.
    distance : ndarray, shape (R,)
        ||psi - W_2||_2; W_2 is the minimiser that the flow tends to.
    l1_norm : ndarray, shape (R,)
        ||psi||_1.
    """

    fraction: Array
    psi: Array
    gain: Array
    shift: Array
    distance: Array
    l1_norm: Array

    def table(self) -> Table:
        """The numbers of each row, its largest gain and shift."""
        columns = ("fraction of edge", "distance to W_2", "l1 norm", "largest -gain", "shift")
        largest = [np.max(np.abs(part), axis=1) for part in (self.gain, self.shift)]
        rows = np.column_stack([self.fraction, self.distance, self.l1_norm, *largest])
        return Table(columns, [tuple(row) for row in rows.tolist()])


def edge(
    problem: Problem | None = None,
    alpha: float = 1e-3,
    fractions: Sequence[float] = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
) -> Edge:
    """Where descent with large steps ends at p = 2, and by what exact gain and shift.

    For p = 2, while 2 eta |g_i| < 1, the iterates are
    psi_i = 2 a_i^2 sinh((A^T l)_i + shift_i) with a_i^2 = alpha^2 prod(1 - 4 eta^2 g_i^2)
    and shift_i = -2 sum [artanh(2 eta g_i) - 2 eta g_i]: the flow of another initialisation.
    u v = a_i^2 and log(u/v) give both.

    Parameters
    ----------
    problem : Problem, optional
        The published problem "line" without it, whose l1 minimisers are many.
    alpha : float
        Initialisation.
    fractions : sequence of float
        Step sizes, in units of `max_stable_step`.

    Returns
    -------
    Edge
        One row per step size.
    """
    problem = datasets.line() if problem is None else problem
    unit, minimizer = max_stable_step(problem, 2.0, alpha), l1_minimizer(problem, 2.0)
    outside = np.eye(problem.N) - np.linalg.pinv(problem.A) @ problem.A
    psi, gain, shift = [], [], []
    for fraction in fractions:
        path = gradient_descent(
            *(problem, 2.0, alpha, fraction * unit, _STEPS_AT_THE_EDGE, [_STEPS_AT_THE_EDGE]),
            method="compensated",
        )
        ended = path.steps[-1] == _STEPS_AT_THE_EDGE
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = np.log(np.abs(path.u[-1])), np.log(np.abs(path.v[-1]))
        psi.append(path.psi[-1] if ended else np.full(problem.N, np.nan))
        gain.append(u + v - 2.0 * math.log(alpha))
        shift.append(outside @ (u - v))
    ends = np.array(psi)
    return Edge(
        *(np.array(fractions, dtype=float), ends, np.array(gain), np.array(shift)),
        np.linalg.norm(ends - minimizer.psi, axis=1),
        np.abs(ends).sum(axis=1),
    )


def draw_discretization(result: Discretization) -> Any:
    """Distance against step size, a curve per depth, with a line of slope one."""
    import matplotlib
    from matplotlib.figure import Figure

    from fastdln.plotting import RC, STYLES

    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(5.6, 4.2), layout="constrained")
        axes = picture.subplots()
        for p, style in zip(dict.fromkeys(result.p.tolist()), STYLES, strict=False):
            rows = result.p == p
            label = f"$p = {p:g}$, slope {result.slope(p):.4f}"
            axes.loglog(result.step_size[rows], result.distance[rows], label=label, **style)
        ends = np.array([result.step_size.min(), result.step_size.max()])
        middle = np.exp(np.mean(np.log(result.distance / result.step_size)))
        axes.loglog(ends, middle * ends, color="0.6", linewidth=0.8, label="slope 1")
        axes.set_xlabel(r"step size $\eta$")
        axes.set_ylabel(r"$\Vert\psi_\eta(\infty) - \psi_\alpha(\infty)\Vert_2$")
        axes.legend(loc="lower right")
    return picture


def draw_edge(result: Edge) -> Any:
    """Distance to W_2 and the largest gain and shift, against the step size."""
    import matplotlib
    from matplotlib.figure import Figure

    from fastdln.plotting import RC, STYLES

    curves = (
        (result.distance, r"$\Vert\psi - W_2\Vert_2$"),
        (np.max(np.abs(result.gain), axis=1), r"$\max_i -\log(u_i v_i / \alpha^2)$"),
        (np.max(np.abs(result.shift), axis=1), r"$\max_i |$shift$_i|$"),
    )
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(5.6, 4.2), layout="constrained")
        axes = picture.subplots()
        for (values, label), style in zip(curves, STYLES, strict=False):
            axes.loglog(result.fraction, values, label=label, **style)
        axes.set_xlabel(r"step size $\eta$ / largest stable step size")
        axes.legend(loc="lower right")
    return picture
