"""Which minimiser: the point of the optimal face that each depth selects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._table import Table
from fastdln.experiments import Experiment
from fastdln.limit import flow_limit
from fastdln.minimizer import l1_minimizer
from fastdln.problem import Problem

__all__ = ["selection"]

Array = NDArray[np.float64]

DEPTHS = (2.0, 2.2, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
_SECOND_ROW = (3.0, 0.0, 1.0, 2.0, 4.0)
_LOG10_EPS = -12.0


class _Face(NamedTuple):
    dimension: int
    depth: Array  # (T,)
    limit: Array  # (T, N) of the flow, at a small eps
    fine: Array  # (F,) depths of the theory
    theory: Array  # (F, N)
    centre: Array  # (N,) as p -> inf
    slope: Array  # (T,) of sum g_p along the face at W_p, relative


def selection(depths: Sequence[float] = DEPTHS, fine: int = 41) -> Experiment:
    """W_p, which maximises the entropy at p = 2 and sum |x|^(2/p) above, and the flow's limit.

    A has a row of ones and a row of distinct numbers, so every nonnegative solution is an l1
    minimiser: a face of dimension N - 2.
    """
    faces = [_face(dimension, depths, fine) for dimension in (1, 2, 3)]
    rows, summary = [], []
    for face in faces:
        for k, p in enumerate(face.depth.tolist()):
            W = face.theory[np.searchsorted(face.fine, p)]
            rows += [
                (face.dimension, p, i, float(x), float(w))
                for i, (x, w) in enumerate(zip(face.limit[k], W, strict=True))
            ]
            off = float(np.linalg.norm(face.limit[k] - W))
            summary.append((face.dimension, p, off, float(face.slope[k]), *W.tolist()))
    most = max(len(row) for row in summary)
    filled = [row + (None,) * (most - len(row)) for row in summary]
    names = tuple(f"W_{i}" for i in range(most - 4))
    note = (
        f"|limit - W|: the flow's limit at eps = 1e{_LOG10_EPS:.0f} against W_p. slope: of sum g_p "
        "at W_p along the face, relative to its gradient; 0 at the minimum."
    )
    return Experiment(
        "selection",
        Table(("face_dimension", "p", "coordinate", "limit", "W_p"), rows),
        Table(("face", "p", "|limit - W|", "slope", *names), filled),
        note,
        lambda: _draw(faces),
    )


def _face(dimension: int, depths: Sequence[float], count: int) -> _Face:
    N = dimension + 2
    problem = Problem([[1.0] * N, _SECOND_ROW[:N]], [3.0, 3.0])
    grid = 2.0 / np.linspace(1.0, 0.05, count)
    fine = np.unique(np.concatenate((grid, depths)))
    theory = np.array([l1_minimizer(problem, p).psi for p in fine])
    log_eps = _LOG10_EPS * np.log(10.0)
    limits = np.array([flow_limit(problem, p, log_alpha=log_eps / p).psi for p in depths])
    kernel = np.linalg.svd(problem.A)[2][problem.m :]
    at = theory[np.searchsorted(fine, depths)]
    slopes = np.array([_slope(W, p, kernel) for W, p in zip(at, depths, strict=True)])
    return _Face(dimension, np.array(depths), limits, fine, theory,
                 _centre(theory[0], kernel), slopes)  # fmt: skip


def _slope(W: Array, p: float, kernel: Array) -> float:
    """|kernel g_p'(W)| / |g_p'(W)|, g_2' = log x, g_p' = 1 - x^(2/p - 1)."""
    gradient = np.log(W) if p == 2.0 else 1.0 - W ** (2.0 / p - 1.0)
    return float(np.linalg.norm(kernel @ gradient) / np.linalg.norm(gradient))


def _centre(x: Array, kernel: Array) -> Array:
    """The maximiser of sum log x on the face, where W_p tends as p -> inf."""
    for _ in range(50):
        scaled = kernel / x
        step = kernel.T @ np.linalg.solve(scaled @ scaled.T, kernel @ (1.0 / x))
        x = x + step * min(1.0, 0.9 / float(np.max(-step / x, initial=0.9)))
    return x


def _draw(faces: Sequence[_Face]) -> Any:
    from fastdln.experiments_drawing import THEORY, canvas, legend_below, measured

    marks = ("o", "s", "^", "D", "v")
    with canvas(1, len(faces), 12.5, 4.6) as (picture, (panels,)):
        for axes, face in zip(panels, faces, strict=True):
            for i in range(face.limit.shape[1]):
                theory = r"theory: $W_p$" if i == 0 else None
                axes.plot(2.0 / face.fine, face.theory[:, i], label=theory, **THEORY)
                style = dict(measured(i, line=False), marker=marks[i])
                label = rf"limit, $\psi_{i}$"
                axes.plot(2.0 / face.depth, face.limit[:, i], label=label, **style)
                last = r"theory, $p \to \infty$" if i == 0 else None
                axes.plot(0.0, face.centre[i], "x", color="#616161", label=last, clip_on=False)
            axes.set_xlim(1.03, 0.0)
            axes.set_xticks([1.0, 0.8, 0.5, 1 / 3, 0.2, 0.1, 0.0],
                            ["2", "2.5", "4", "6", "10", "20", r"$\infty$"])  # fmt: skip
            axes.set_xlabel("depth $p$ (axis in $2/p$)")
            axes.set_title(f"face of dimension {face.dimension}")
            axes.set_ylim(0.0, None)
        panels[0].set_ylabel("coordinates")
        legend_below(picture, panels[::-1], 7)
    return picture
