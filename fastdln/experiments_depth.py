"""Reconstruction and test error of depth 2 against depth 3 and more, at realistic alpha."""

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
from fastdln.rates import convergence_rate
from fastdln.results import Status

__all__ = ["depth"]

Array = NDArray[np.float64]

DEPTHS = (2.0, 3.0, 4.0, 5.0)
NOISE = (0.0, 0.03, 0.1, 0.4)
_M, _N, _SPARSITY, _TESTS = 60, 200, 5, 500
_LN10 = math.log(10.0)


class _Run(NamedTuple):
    noise: float
    p: float
    seed: int
    reconstruction: Array  # (T,) of the flow
    test: Array  # (T,)
    minimizer: tuple[float, float]  # both of W_p
    predicted: Array  # (T,) leading term of the distance to W_p, relative


class _Draw(NamedTuple):
    problem: Problem
    x: Array
    tests: Array


def depth(
    depths: Sequence[float] = DEPTHS,
    noise: Sequence[float] = NOISE,
    seeds: int = 8,
    decades: int = 6,
) -> Experiment:
    """Sparse x, Gaussian A, y = A x + noise |x| e with e standard normal, and many seeds.

    In terms of the output scale eps = alpha^p over |x|; after Matt and Stoeger, arXiv 2506.01143.
    """
    log10_eps = np.arange(0.0, -decades - 0.25, -0.5)
    runs = [
        _run(_sample(seed, eta), p, eta, seed, log10_eps)
        for eta in noise
        for seed in range(seeds)
        for p in depths
    ]
    rows = [
        (r.noise, r.p, r.seed, *row)
        for r in runs
        for row in zip(
            log10_eps.tolist(), r.reconstruction.tolist(), r.test.tolist(), r.predicted.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    columns = ("noise", "p", "seed", "log10_eps", "reconstruction", "test", "predicted_distance")
    note = (
        f"m = {_M}, N = {_N}, {_SPARSITY} nonzeros, {seeds} seeds, medians. Errors are relative: "
        "|psi - x| / |x|, and |B psi - B x| / |B x| on new data B. W: of the l1 minimiser. "
        "eps for W + 10 %: the largest eps whose error is within a tenth (or 0.01) of that of W."
    )
    names = ("noise", "p", "error at 1e-1", "at 1e-3", "last", "W", "best", "at eps",
             "eps for W + 10 %", "test, last", "predicted slope", "measured")  # fmt: skip
    table = [_row(runs, eta, p, log10_eps) for eta in noise for p in depths]
    return Experiment(
        "depth", Table(columns, rows), Table(names, table), note,
        lambda: _draw(runs, depths, noise, log10_eps),
    )  # fmt: skip


def _sample(seed: int, noise: float) -> _Draw:
    """The same A, x and directions of noise for each level of it; exact where there is none."""
    clean, x = datasets.gaussian(_M, _N, _SPARSITY, rng=seed)
    generator = np.random.default_rng((seed, 1))
    e = generator.standard_normal(_M) * np.linalg.norm(x)
    return _Draw(Problem(clean.A, clean.y + noise * e), x, generator.standard_normal((_TESTS, _N)))


def _run(draw: _Draw, p: float, noise: float, seed: int, log10_eps: Array) -> _Run:
    log_alpha = (log10_eps * _LN10 + math.log(np.linalg.norm(draw.x))) / p
    limit = flow_limit(draw.problem, p, log_alpha=log_alpha)
    minimizer = limit.minimizer
    W = minimizer.psi
    predicted = np.full(log10_eps.size, math.nan)
    if noise == 0.0:
        rate = convergence_rate(draw.problem, p)
        if rate.status is Status.PROVED:
            predicted = np.asarray(rate.predict(log_alpha=log_alpha)) / np.linalg.norm(draw.x)
    reconstruction, test = _errors(draw, limit.psi)
    w_errors = _errors(draw, W[np.newaxis])
    ends = (float(w_errors[0][0]), float(w_errors[1][0]))
    return _Run(noise, p, seed, reconstruction, test, ends, predicted)


def _errors(draw: _Draw, psi: Array) -> tuple[Array, Array]:
    """Relative reconstruction and test errors of the rows of psi."""
    off = psi - draw.x
    test = np.linalg.norm(off @ draw.tests.T, axis=1) / np.linalg.norm(draw.tests @ draw.x)
    return np.linalg.norm(off, axis=1) / np.linalg.norm(draw.x), test


def _pick(runs: Sequence[_Run], noise: float, p: float) -> list[_Run]:
    return [r for r in runs if (r.noise, r.p) == (noise, p)]


def _row(runs: Sequence[_Run], noise: float, p: float, log10_eps: Array) -> tuple[Any, ...]:
    chosen = _pick(runs, noise, p)
    error = np.median([r.reconstruction for r in chosen], axis=0)
    test = np.median([r.test for r in chosen], axis=0)
    W = float(np.median([r.minimizer[0] for r in chosen]))
    best = int(np.argmin(error))
    near = np.flatnonzero(error <= max(1.1 * W, 0.01))
    at = {float(v): float(e) for v, e in zip(log10_eps, error, strict=True)}
    slopes: tuple[float | None, float | None] = (None, None)
    if noise == 0.0:
        predicted = np.median([r.predicted for r in chosen], axis=0)
        step = float(log10_eps[-3] - log10_eps[-1])
        slopes = (float(np.log10(predicted[-3] / predicted[-1])) / step,
                  float(np.log10(error[-3] / error[-1])) / step)  # fmt: skip
    return (noise, p, at.get(-1.0), at.get(-3.0), float(error[-1]), W, float(error[best]),
            10.0 ** float(log10_eps[best]), 10.0 ** float(log10_eps[near[0]]) if near.size else
            None, float(test[-1]), *slopes)  # fmt: skip


def _draw(
    runs: Sequence[_Run], depths: Sequence[float], noise: Sequence[float], log10_eps: Array
) -> Any:
    from fastdln.experiments_drawing import canvas, legend_below, measured

    eps = 10.0**log10_eps
    with canvas(2, len(noise), 13.0, 6.8, sharex=True) as (picture, grid):
        for eta, column in zip(noise, grid.T, strict=True):
            for axes, kind in zip(column, ("reconstruction", "test"), strict=True):
                for k, p in enumerate(depths):
                    errors = np.array([getattr(r, kind) for r in _pick(runs, eta, p)])
                    low, middle, high = np.quantile(errors, (0.1, 0.5, 0.9), axis=0)
                    style = measured(k)
                    axes.fill_between(eps, low, high, color=style["color"], alpha=0.13, linewidth=0)
                    axes.loglog(eps, middle, label=f"depth {p:g}, measured", **style)
                _draw_theory(axes, runs, depths, eta, eps, kind)
                axes.set_xlim(1.0, eps[-1])
            column[0].set_title(rf"noise $\eta = {eta:g}$")
            column[1].set_xlabel(r"output scale $\varepsilon = \alpha^p$, relative to $|x|$")
            if eta > 0.0:
                level = np.median([r.minimizer[0] for r in _pick(runs, eta, depths[0])])
                for axes in column:
                    axes.set_ylim(0.7 * level, 1.2)
        grid[0, 0].set_ylabel("reconstruction error")
        grid[1, 0].set_ylabel("test error")
        legend_below(picture, (grid[0, 0], grid[0, -1]), len(depths) + 2)
    return picture


def _draw_theory(
    axes: Any, runs: Sequence[_Run], depths: Sequence[float], noise: float, eps: Array, kind: str
) -> None:
    """Without noise the leading term; with noise the error of the l1 minimiser."""
    from fastdln.experiments_drawing import THEORY

    wide = dict(THEORY, linewidth=3.5, alpha=0.6)
    if noise > 0.0:
        k = 0 if kind == "reconstruction" else 1
        level = np.median([r.minimizer[k] for r in _pick(runs, noise, depths[0])])
        axes.axhline(level, label="theory: $l_1$ minimiser", **dict(wide, linestyle=":"))
        return
    if kind == "test":
        return
    for k, p in enumerate(depths):
        predicted = np.median([r.predicted for r in _pick(runs, noise, p)], axis=0)
        label = "theory: leading term" if k == 0 else None
        axes.loglog(eps[predicted < 3.0], predicted[predicted < 3.0], label=label, **wide)
