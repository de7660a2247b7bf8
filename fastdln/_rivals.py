"""Admissible inputs whose l1 minimisers lie far apart, for data known only to some accuracy.

Candidates come from first-order considerations (docs/hardness.md): moves of A and y that shift
the solution on the support as far as possible, and moves that make the l1 norm smaller along
a vector of ker A, so that the minimiser jumps. Which of them did is for the caller to verify.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastdln._support import Split
from fastdln.null_space import Vertex
from fastdln.problem import Problem

__all__ = ["critical_error", "rivals", "rivals_of_zero"]

Array = NDArray[np.float64]

_COLUMNS = 3  # columns tried for a jump


def rivals(
    problem: Problem, split: Split, vertex: Vertex, dual: Array, delta: float
) -> Iterator[Problem]:
    """Problems within delta of the given one, entry by entry, exactly."""
    toward = np.where(dual >= 0.0, 1.0, -1.0)
    pairs = [_shift(split, problem.N)]
    pairs += [(np.zeros(problem.m), np.outer(toward, np.sign(n)))
              for n in _kernel_vectors(split, vertex, dual, delta, problem.N)]  # fmt: skip
    for f, E in pairs:
        for side in (1.0, -1.0):
            A = _moved(problem.dense, side * E, delta)
            yield Problem(A, _moved(problem.y, side * f, delta))


def rivals_of_zero(problem: Problem, delta: float) -> Iterator[Problem]:
    """The same where y = 0, whose minimiser is 0: only y moves."""
    R = np.linalg.pinv(problem.dense)
    signs = np.where(R[np.argmax(np.abs(R).sum(axis=1))] >= 0.0, 1.0, -1.0)
    for side in (1.0, -1.0):
        yield Problem(problem.dense, _moved(problem.y, side * signs, delta))


def _moved(values: Array, direction: Array, delta: float) -> Array:
    """``values + delta * direction`` for signs, rounded so that no entry moves by more."""
    out = values + delta * direction
    for _ in range(4):
        moved = out - values
        back = moved - out
        low = (out - (moved - back)) - (values + back)  # out - values = moved + low exactly
        low = np.where(moved >= 0.0, low, -low)
        moved = np.abs(moved)
        over = (moved > delta) | ((moved == delta) & (low > 0.0))
        if not np.any(over):
            break
        out = np.where(over, np.nextafter(out, values), out)
    return np.where(over, values, out)


def _shift(split: Split, N: int) -> tuple[Array, Array]:
    """Signs of the moves that shift A_S^-1 y most, by a few steps of a power iteration."""
    P = split.inverse
    signs = np.where(P[np.argmax(np.abs(P).sum(axis=1))] >= 0.0, 1.0, -1.0)
    for _ in range(10):
        signs = np.where(P.T @ (P @ signs) >= 0.0, 1.0, -1.0)
    E = np.zeros((signs.size, N))
    E[:, split.on] = -np.outer(signs, split.sign)
    return signs, E


def _kernel_vectors(
    split: Split, vertex: Vertex, dual: Array, delta: float, N: int
) -> Iterator[Array]:
    """Vectors of ker A along which little is missing for a smaller l1 norm."""
    for column in split.kernel.T:
        n = np.zeros(N)
        n[split.on] = column
        yield n
    if split.off.size == 0:
        return
    if split.free.shape[1] == 0:
        for j in _tied_columns(split, dual, delta):
            n = np.zeros(N)
            sign = 1.0 if split.sign @ split.coupling[:, j] >= 0.0 else -1.0
            n[split.on], n[split.off[j]] = -sign * split.coupling[:, j], sign
            yield n
        return
    active = split.A_off[:, vertex.active] * vertex.sign
    weights = np.linalg.svd(split.free.T @ active, full_matrices=True)[2][-1]
    weights = weights * (1.0 if weights.sum() >= 0.0 else -1.0)
    n = np.zeros(N)
    n[split.off[vertex.active]] = vertex.sign * weights
    n[split.on] = -split.coupling[:, vertex.active] @ (vertex.sign * weights)
    yield n


def _tied_columns(split: Split, dual: Array, delta: float) -> NDArray[np.intp]:
    """Columns that the moves can bring into the support, the longest jumps first."""
    K = split.coupling
    cost = split.sign @ K
    within = _critical(split, dual) < 1.01 * delta
    away = np.where(cost >= 0.0, 1.0, -1.0) * K * split.sign[:, np.newaxis]
    with np.errstate(divide="ignore"):
        step = np.where(away > 0.0, split.size[:, np.newaxis] / away, np.inf).min(axis=0)
    jump = np.where(within & np.isfinite(step), step * np.sqrt(1.0 + (K * K).sum(axis=0)), -1.0)
    order = np.argsort(-jump, kind="stable")[:_COLUMNS]
    return order[jump[order] > 0.0]


def critical_error(split: Split, dual: Array) -> float:
    """The input error up to which the support is decided, in the bound's leading terms.

    That of ``|sigma . K_j| + delta (1 + ||K_j||_1) ||dual||_1 / (1 - delta sum |A_S^-1|) = 1``
    for the first column j; NaN where |S| < m.
    """
    if split.free.shape[1] or split.kernel.shape[1]:
        return float("nan")
    return float(np.min(_critical(split, dual), initial=np.inf))


def _critical(split: Split, dual: Array) -> Array:
    """That error for each column off the support."""
    K = split.coupling
    left = 1.0 - np.abs(split.sign @ K)
    rate = (1.0 + np.abs(K).sum(axis=0)) * np.abs(dual).sum()
    return left / (rate + np.abs(split.inverse).sum() * left)
